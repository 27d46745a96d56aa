"""Third-party plugins: found, used, listed when broken, refused when selected, blocked."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from support import cli_runner
from support.dists import PROVIDER, Site, open_site

from adapter.cli import main
from adapter.client import connect
from adapter.errors import ConfigurationError, PluginError
from adapter.registry import BrokenPlugin, PluginInfo, PluginRegistry, load_plugins
from adapter.secret import Secret
from adapter.settings.loader import load_settings
from adapter.web.app import create_app, service_state
from adapter.web.introspection import describe_plugins

FILES = {
    file.stem.replace("_", "-"): file.read_text("utf-8")
    for file in (Path(__file__).parents[2] / "providers").glob("[!_]*.py")
}
BUILT_IN = set(FILES)
"""One provider a file, except files with an underscore in front."""
WITH_DIALECT = {name for name, text in FILES.items() if re.search(r"class \w+Dialect\(", text)}
HEAD = """
from adapter.plugin import *
from marshmallow import Schema, fields
"""
HOOK = """
@hookimpl
def register(registry):
    registry.add({})
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path / "site") as opened:
        yield opened


def broken_one(name: str) -> BrokenPlugin:
    (broken,) = (each for each in load_plugins().broken if each.plugin.name == name)
    return broken


def acme(body: str, hook: str = "Acme") -> str:
    """Return a plugin whose provider `Acme` works, except for what `body` changes."""
    works = PROVIDER.format(name="echo").partition("\n@hookimpl")[0].replace("Echo", "Works")
    return f"{works}\n{HEAD}\n\nclass Acme(Works):\n{body}\n\n{HOOK.format(hook)}"


def hook(body: str, name: str = "register", arguments: str = "registry") -> str:
    """Return the source of a hook."""
    return f"\n\n@hookimpl\ndef {name}({arguments}):\n    {body}\n"


# --- found


def test_the_built_in_providers_are_plugins_like_those_of_third_parties() -> None:
    ours = {
        entry.name
        for entry in entry_points(group="contact_adapter")
        if entry.dist is not None and entry.dist.name == "contact-adapter"
    }
    registry = load_plugins()
    assert ours == BUILT_IN == set(registry.providers)
    for registered in registry.providers.values():
        assert registered.plugin.distribution == "contact-adapter"
    assert set(registry.dialects) == WITH_DIALECT
    assert registry.broken == ()


def test_a_third_party_provider_is_found_and_used(site: Site) -> None:
    site.install("third-party-pack", {"echo": PROVIDER.format(name="echo")}, version="2.3")
    registered = load_plugins().providers["echo"]
    assert registered.plugin.id == "third-party-pack:echo"
    assert registered.plugin.origin == "third-party-pack 2.3"
    with connect({"accounts": {"a": {"provider": "echo"}}}) as contacts:
        result = contacts.block("+55 11 99999-9999").raise_for_code()
        assert result.provider == "echo"
        assert not contacts.blocked().ok


def test_the_name_of_a_provider_is_its_own_and_not_its_plugins(site: Site) -> None:
    site.install("third-party", {"plugin-name": PROVIDER.format(name="provider-name")})
    providers = load_plugins().providers
    assert "provider-name" in providers
    assert "plugin-name" not in providers


def test_one_plugin_may_add_several_providers_and_a_dialect(site: Site) -> None:
    source = acme(
        """
    name = "first"

class Second(Works):
    name = "second"

class Native(Dialect):
    provider = Acme
    parse_credential = parse_request = write_success = write_error = lambda *rest: None
""",
        hook="Acme, Second, Native",
    )
    site.install("third-party", {"pack": source})
    registry = load_plugins()
    assert registry.broken == ()
    assert {"first", "second"} <= set(registry.providers)
    assert registry.dialects["first"].cls.__name__ == "Native"


def test_the_registries_of_two_loads_are_independent(site: Site) -> None:
    before = load_plugins()
    site.install("third-party", {"echo": PROVIDER.format(name="echo")})
    after = load_plugins()
    blocked = load_plugins(["echo", "wuts"])
    assert "echo" not in before.providers
    assert "echo" in after.providers
    assert set(blocked.providers) == BUILT_IN - {"wuts"}
    assert set(after.providers) == BUILT_IN | {"echo"}


def test_a_plugin_may_add_a_dialect_for_a_provider_of_another_plugin(site: Site) -> None:
    source = "\nfrom adapter.providers.whapi import WhapiProvider as Acme\n" + HEAD + NATIVE
    site.install("third-party", {"whapi-dialect": source + HOOK.format("Native")})
    registry = load_plugins()
    assert registry.broken == ()
    found = registry.find_dialect("whapi")
    assert found is not None
    assert found.plugin.id == "third-party:whapi-dialect"


# --- broken

NATIVE = """

class Native(Dialect):
    provider = Acme
    parse_credential = parse_request = write_success = write_error = lambda *rest: None
"""

BROKEN = {
    "an exception at import": ("1 / 0", "ZeroDivisionError"),
    "a missing module": ("import no_such_module_at_all", "ModuleNotFoundError"),
    "a syntax error": ("def (", "SyntaxError"),
    "an exception of the hook": (HEAD + hook("raise LookupError('no luck')"), "no luck"),
    "no hook": (HEAD, "it has no hook; write @p.hookimpl, then def register(registry"),
    "an empty hook": (HEAD + hook("pass"), "its hook adds neither a provider nor a dialect"),
    "nothing added": (HEAD + HOOK.format(""), "write registry.add(AcmeProvider)"),
    "the hook of an older release": (
        HEAD + hook("return []", "register_providers", ""),
        "unknown hook 'register_providers'",
    ),
    "an unknown hook beside a good one": (
        PROVIDER.format(name="echo") + hook("return []", "registre"),
        "unknown hook 'registre'",
    ),
    "a hook with an unknown argument": (HEAD + hook("pass", arguments="config"), "config"),
    "a hook that returns classes": (HEAD + hook("return [Provider]", arguments=""), "argument"),
    "an instance": (acme("    pass", "Acme({})"), "neither a Provider class nor a Dialect class"),
    "another class": (HEAD + HOOK.format("dict"), "neither a Provider class nor a Dialect class"),
    "a text": (HEAD + HOOK.format("'Acme'"), "registry.add: 'Acme' is neither a Provider class"),
    "the base class": (HEAD + HOOK.format("Provider"), "build_request, parse_success"),
    "an abstract provider": (
        HEAD
        + "class Acme(Provider):\n    name = title = 'x'\n"
        + "    def build_request(self, command): ...\n"
        + HOOK.format("Acme"),
        "Acme lacks the methods: parse_success",
    ),
    "a local provider without handle_request": (
        HEAD
        + "class Acme(LocalProvider):\n    name = title = 'x'\n"
        + "    def build_request(self, command): ...\n"
        + "    def parse_success(self, command, response): ...\n"
        + HOOK.format("Acme"),
        "Acme lacks the methods: handle_request",
    ),
    "no name": (
        PROVIDER.format(name="echo").replace("    name =", "    other ="),
        "Echo.name must be lower-case words",
    ),
    "the base class of dialects": (HEAD + HOOK.format("Dialect"), "Dialect.provider must be"),
    "an abstract dialect": (
        acme("    class Inner: ...")
        + "\nclass Native(Dialect):\n    provider = Acme\n"
        + hook("registry.add(Acme, Native)"),
        "Native lacks the methods: parse_credential",
    ),
    "a dialect without a provider": (
        HEAD + NATIVE.replace("    provider = Acme\n", "") + HOOK.format("Native"),
        "Native.provider must be a subclass of Provider",
    ),
    "a dialect whose provider is not registered": (
        acme("    pass", "Native").replace(HOOK.format("Native"), NATIVE + HOOK.format("Native")),
        "Native.provider is Acme, which is not registered; write registry.add(Acme, Native)",
    ),
}
"""Plugins that cannot be used, with the reason."""

WRONG = {
    "name = 'Echo'": "name must be lower-case words joined by dashes",
    "name = 'my echo'": "name must be lower-case words joined by dashes",
    "name = 'a/b'": "name must be lower-case words joined by dashes",
    "name = 'echo\\n'": "name must be lower-case words joined by dashes",
    "name = 1": "name must be lower-case words joined by dashes",
    "title = ''": "title must be a text",
    "documentation = 1": "documentation must be a text",
    "base_url = 'api.acme.example'": "base_url must be an http or https URL without a query",
    "base_url = 'https://api.acme.example/?x=1'": "base_url must be an http or https URL without",
    "base_url = 1": "base_url must be a text, or None",
    "session_location = None": "session_location must be a SessionLocation",
    "confirmation = 'accepted'": "confirmation must be a Confirmation",
    "contact_forms = None": "contact_forms must be a tuple of ContactForm",
    "contact_forms = ('digits',)": "contact_forms must be a tuple of ContactForm",
    "verified_on = 2026": "verified_on must be a text, or None",
    "verified_on = '2026-11'": "verified_on must be a date as YYYY-MM-DD, or None",
    "verified_on = '20261122'": "verified_on must be a date",
    "verified_on = '2026-02-30'": "verified_on must be a date",
    "header_templates = ['X-Key']": "header_templates must be a mapping",
    "header_templates = {'X-Key': 1}": "header_templates must map texts to texts",
    "header_templates = {'X-Key': '{}'}": "header_templates: X-Key must name an option as {lower",
    "header_templates = {'X-Key': '{tokn}'}": (
        "header_templates: X-Key has {tokn}, but Options has no tokn; the options are: none"
    ),
    "routes = {}": 'routes must have an action; write {"block": ("POST", "/contacts/block")}',
    "routes = ('/block',)": "routes must be a mapping; write",
    "routes = {'blokc': ('POST', '/block')}": (
        "routes: 'blokc' is not an action; the actions are: block, unblock, list"
    ),
    "routes = {'block': '/block'}": "routes: block must be a method and a path; write",
    "routes = {'block': ('POST', '/a', '/b')}": "routes: block must be a method and a path; write",
    "routes = {'block': ('POST', 1)}": "routes: block must be a method and a path; write",
    "routes = {'block': ('post', '/block')}": (
        "routes: block has the method 'post'; the methods are: GET, POST, PUT, PATCH, DELETE"
    ),
    "routes = {'block': ('POST', 'block')}": "routes: block: the path must start with a slash",
    "routes = {'block': ('POST', '/block?x=1')}": "routes: block: the path has a query or a frag",
    "routes = {'block': ('POST', '/block#x')}": "routes: block: the path has a query or a fragment",
    "routes = {'block': ('POST', '/{Jid}')}": "routes: block: a variable part is lower-case",
    "actions = classmethod(lambda cls: ['block'])": "actions must return Actions; write routes",
    "provider_code_at = '/error'": "provider_code_at must be a tuple of JSON pointers; write",
    "provider_code_at = ('error',)": "provider_code_at must be a tuple of JSON pointers; write",
    "error_codes = ['A']": "error_codes must be a mapping; write",
    "error_codes = {'A': Code.PROVIDER_ERROR}": "error_codes: 'A' must be a text that maps to its",
    "error_codes = {'A': (Code.PROVIDER_ERROR, 400)}": "error_codes: 'A' must be a text that maps",
    "error_codes = {'A': (400, 'provider_error')}": "error_codes: 'A' must be a text that maps",
    "error_codes = {'A': (400, Code.PROVIDER_ERROR, 1)}": "error_codes: 'A' must be a text",
    "error_codes = {1: (400, Code.PROVIDER_ERROR)}": "error_codes: 1 must be a text that maps to",
    "error_codes = {'A': (42, Code.PROVIDER_ERROR)}": (
        "error_codes: 'A' has the status 42; write one from 200 to 299, or from 400 to 599"
    ),
    "error_rules = (404,)": "error_rules[0] must be an ErrorRule; write p.ErrorRule(",
    "error_rules = ErrorRule(Code.PROVIDER_ERROR, 404)": "error_rules must be a tuple; write (",
    "error_rules = (ErrorRule(404, Code.PROVIDER_ERROR),)": (
        "error_rules[0]: the first argument must be a Code"
    ),
    "error_rules = (ErrorRule(Code.PROVIDER_ERROR, 600),)": (
        "error_rules[0] has the status 600; write one from 200 to 299, or from 400 to 599"
    ),
    "error_rules = (ErrorRule(Code.PROVIDER_ERROR, 150, any_sender=True),)": (
        "error_rules[0] has the status 150; write one from 200 to 299, or from 400 to 599"
    ),
    "error_rules = (ErrorRule(Code.PROVIDER_ERROR, 302),)": (
        "error_rules[0] has the status 302; write one from 200 to 299, or from 400 to 599"
    ),
    "error_codes = {'A': (302, Code.PROVIDER_ERROR)}": (
        "error_codes: 'A' has the status 302; write one from 200 to 299, or from 400 to 599"
    ),
    "error_rules = (ErrorRule(Code.PROVIDER_ERROR, 400, provider_code=7),)": (
        "error_rules[0]: provider_code must be a text"
    ),
    "error_rules = (ErrorRule(Code.PROVIDER_ERROR, 400, where='error'),)": (
        "error_rules[0]: where must be a function of the body"
    ),
    "error_rules = (ErrorRule(Code.PROVIDER_ERROR, 400, retry='never'),)": (
        "error_rules[0]: retry must be a Retry"
    ),
    "Options = dict": "Options must be a schema; write class Options(p.Options)",
    "class Options(Schema): transport = fields.String()": (
        "Options has keys of the core: transport; rename the options"
    ),
    "routes = {'block': ('POST', '/{token}')}\n    class Options(Schema): token = SecretField()": (
        "routes: block has the secret {token} in its path; write SecretField(in_path=True)"
    ),
}
"""Attributes of a provider that cannot be used, each with the start of the message."""

BROKEN |= {
    wrong: (acme(f"    {wrong}"), f"PluginError: Acme.{why}") for wrong, why in WRONG.items()
}


@pytest.mark.no_cover
@pytest.mark.slow
@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_listed_with_its_reason_and_the_others_work(
    site: Site, source: str, reason: str
) -> None:
    site.install("third-party", {"odd": source})
    registry = load_plugins()
    (broken,) = registry.broken
    assert broken.plugin.id == "third-party:odd"
    assert reason in broken.reason
    assert "\n" not in broken.reason
    assert set(registry.providers) == BUILT_IN
    with connect({"accounts": {"a": {"provider": "memory"}}}) as contacts:
        assert contacts.block("+5511999999999").ok


@pytest.mark.slow
@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN)
def test_selecting_a_broken_plugin_raises_with_its_exception_as_the_cause(
    site: Site, source: str, reason: str
) -> None:
    site.install("third-party", {"odd": source})
    with pytest.raises(PluginError, match="third-party:odd") as caught:
        load_settings({"accounts": {"a": {"provider": "odd"}}})
    assert caught.value.__cause__ is not None
    assert reason in f"{type(caught.value.__cause__).__name__}: {caught.value.__cause__}"


LINES = {
    "at import": ("\n\nraise LookupError('no luck')\n", 3),
    "in a function of the module": ("def run():\n    return {}['+5511999999999']\n\nrun()\n", 2),
    "in the standard library": ("import json\n\njson.loads('{')\n", 3),
    "in the hook": (HEAD + hook("raise LookupError('no luck')"), 8),
    "to end the process": ("\nraise SystemExit(3)\n", 2),
    "in the attributes of a class": (
        "from adapter.plugin import Provider\n\nclass Acme(Provider):\n    routes = ()\n",
        3,
    ),
    "of registry.add": (HEAD + HOOK.format("7"), 7),
}


@pytest.mark.parametrize(("source", "line"), LINES.values(), ids=LINES)
def test_the_reason_names_the_line_of_the_plugin_that_raised(
    site: Site, source: str, line: int
) -> None:
    modules = site.install("third-party", {"odd": source})
    reason = broken_one("odd").reason
    assert reason.endswith(f" ({modules['odd']}.py, line {line})")
    assert "99999" not in reason


def test_the_reason_of_a_syntax_error_names_its_line_once(site: Site) -> None:
    modules = site.install("third-party", {"odd": "\ndef ("})
    assert broken_one("odd").reason.count(f"({modules['odd']}.py, line 2)") == 1


def test_the_reason_names_the_line_of_another_module_of_the_plugins_package(site: Site) -> None:
    package = site.folder / "acme_pack"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inner.py").write_text("\n\n1 / 0\n")
    modules = site.install("third-party", {"odd": "from acme_pack import inner"})
    assert broken_one("odd").reason.endswith(f" ({modules['odd']}.py, line 1)")
    info = next(site.folder.glob("*.dist-info")) / "entry_points.txt"
    (package / "plugin.py").write_text("from acme_pack import inner")
    info.write_text("[contact_adapter]\nodd = acme_pack.plugin\n")
    assert broken_one("odd").reason.endswith("division by zero (inner.py, line 3)")


def test_the_traceback_of_the_cause_ends_at_the_line_that_raised(site: Site) -> None:
    modules = site.install("third-party", {"odd": "\n\nraise LookupError('no luck')\n"})
    with pytest.raises(PluginError) as caught:
        load_settings({"accounts": {"a": {"provider": "odd"}}})
    trace = caught.value.__cause__.__traceback__  # type: ignore[union-attr]
    while trace.tb_next is not None:  # type: ignore[union-attr]
        trace = trace.tb_next  # type: ignore[union-attr]
    assert trace.tb_lineno == 3  # type: ignore[union-attr]
    assert Path(trace.tb_frame.f_code.co_filename).stem == modules["odd"]  # type: ignore[union-attr]


def test_enabling_a_broken_dialect_raises(site: Site) -> None:
    site.install("third-party", {"odd": "raise LookupError('no luck')"})
    mapping = {"accounts": {"a": {"provider": "memory"}}, "dialects": {"enabled": ["odd"]}}
    with pytest.raises(PluginError) as caught:
        load_settings(mapping)
    assert isinstance(caught.value.__cause__, LookupError)


LEAVING = "class Leaving(BaseException): pass\n"


@pytest.mark.parametrize(
    "source",
    [
        "raise SystemExit(3)",
        "raise GeneratorExit",
        f"{LEAVING}raise Leaving('far')",
        "import asyncio\nraise asyncio.CancelledError",
        f"{LEAVING}{HEAD}{hook('raise Leaving')}",
        HEAD + "@hookimpl\ndef register_providers():\n    raise SystemExit",
        HEAD + "@hookimpl\ndef register_dialects():\n    exit()",
        "class Odd(Exception):\n    def __str__(self): raise SystemExit\nraise Odd",
        "raise LookupError('a\x1b[2J\u2028b')",
    ],
)
def test_a_plugin_that_raises_a_base_exception_is_broken(site: Site, source: str) -> None:
    site.install("third-party", {"odd": source})
    registry = select("memory")
    (broken,) = registry.broken
    assert broken.plugin.id == "third-party:odd"
    assert broken.reason.isprintable()
    with pytest.raises(PluginError, match="third-party:odd"):
        select("odd")


@pytest.mark.parametrize("wrong", WRONG)
def test_a_provider_with_an_attribute_of_the_wrong_type_is_broken_and_the_others_are_listed(
    site: Site, wrong: str
) -> None:
    site.install("third-party", {"odd": acme(f"    {wrong}")})
    settings = load_settings({"accounts": {"a": {"provider": "memory"}}})
    listed = describe_plugins(settings, in_full=True)
    assert {each["name"] for each in listed["providers"]} == BUILT_IN
    (broken,) = listed["broken"]
    assert broken["name"] == "odd"
    assert broken["reason"].startswith(f"PluginError: Acme.{WRONG[wrong]}")


def test_the_text_of_a_broken_plugin_is_masked(site: Site, tmp_path: Path) -> None:
    site.install("third-party", {"odd": "raise LookupError('+55 11 99999-9999, 5511999999999')"})
    assert "99999" not in broken_one("odd").reason
    config = tmp_path / "adapter.toml"
    config.write_text('accounts.a.provider = "odd"\n')
    result = cli_runner().invoke(main, ["check", "--config", str(config)])
    assert result.exit_code == 1
    assert "LookupError" in result.stderr
    assert "99999" not in result.stderr


def test_a_keyboard_interrupt_of_a_plugin_makes_it_broken_if_a_server_handles_the_signal(
    site: Site,
) -> None:
    modules = site.install("third-party", {"odd": "raise KeyboardInterrupt"})
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        raised = f"the plugin raised KeyboardInterrupt ({modules['odd']}.py, line 1)"
        assert broken_one("odd").reason == f"PluginError: {raised}"
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_keyboard_interrupt_at_the_import_of_a_plugin_is_raised(site: Site) -> None:
    site.install("third-party", {"odd": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        load_plugins().providers  # noqa: B018 - it is the look that imports


def test_a_plugin_whose_import_a_scheduler_ended_is_imported_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    gevent = pytest.importorskip("gevent")
    ended = [gevent.GreenletExit(), gevent.Timeout()]
    monkeypatch.setattr("builtins.ends_of_this_test", ended, raising=False)
    once = (
        "import builtins\nif builtins.ends_of_this_test: raise builtins.ends_of_this_test.pop()\n"
    )
    site.install("third-party", {"echo": once + PROVIDER.format(name="echo")})
    registry = load_plugins()
    for kind in (gevent.Timeout, gevent.GreenletExit):
        with pytest.raises(kind):
            registry.providers  # noqa: B018 - it is the look that imports
    assert "echo" in registry.providers
    assert registry.broken == ()


GREENLETS = """
import os
from adapter.registry import load_plugins
registry = load_plugins()
child = os.fork()  # as gunicorn does: the registry is made before gevent changes anything
if child:
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
from gevent import joinall, monkey, spawn
monkey.patch_all()
looks = [spawn(lambda: "echo" in registry.providers) for _ in range(3)]
joinall(looks)
os._exit(0 if all(look.value for look in looks) else 1)
"""


@pytest.mark.slow
def test_greenlets_wait_for_the_import_of_a_plugin(site: Site) -> None:
    pytest.importorskip("gevent")
    source = "import gevent\nfor _ in range(9): gevent.sleep(0)\n" + PROVIDER.format(name="echo")
    site.install("third-party", {"echo": source})
    path = os.pathsep.join(filter(None, [str(site.folder), os.environ.get("PYTHONPATH")]))
    looked = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GREENLETS],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert looked.returncode == 0, looked.stderr


def test_an_entry_point_to_a_missing_module_is_broken(site: Site) -> None:
    modules = site.install("third-party", {"odd": ""})
    (site.folder / f"{modules['odd']}.py").unlink()
    assert "ModuleNotFoundError" in broken_one("odd").reason


def test_one_broken_plugin_leaves_another_of_its_distribution_working(site: Site) -> None:
    site.install("third-party", {"odd": "1 / 0", "echo": PROVIDER.format(name="echo")})
    registry = load_plugins()
    assert "echo" in registry.providers
    assert [broken.plugin.name for broken in registry.broken] == ["odd"]


def test_a_plugin_that_raises_after_adding_a_class_adds_none(site: Site) -> None:
    half = PROVIDER.format(name="echo") + "    raise LookupError('no luck')\n"
    site.install("third-party", {"odd": half, "good": PROVIDER.format(name="good")})
    registry = load_plugins()
    assert set(registry.providers) == BUILT_IN | {"good"}


# --- imported when needed


def marking(name: str, marker: Path) -> str:
    """Return a plugin that leaves a file when it is imported."""
    return f"open({str(marker)!r}, 'w').close()\n{PROVIDER.format(name=name)}"


def test_an_unused_plugin_is_not_imported_at_the_start(site: Site, tmp_path: Path) -> None:
    for number in range(20):
        site.install(f"pack-{number}", {f"p{number}": marking(f"p{number}", tmp_path / "any")})
    used, marker = tmp_path / "used", tmp_path / "any"
    site.install("pack-used", {"used": marking("used", used)})
    mapping = {
        "accounts": {"a": {"provider": "used"}, "b": {"provider": "memory"}},
        "dialects": {"enabled": ["wuts"]},
    }
    with connect(mapping) as contacts:
        assert contacts.block("+5511999999999", account="a").ok
    assert used.exists()
    assert not marker.exists()
    registry = load_settings(mapping).registry
    assert not marker.exists()
    assert "p7" in registry.providers  # a list needs them all
    assert marker.exists()


def test_a_server_imports_what_its_accounts_use_and_a_list_of_plugins_the_rest(
    site: Site, tmp_path: Path
) -> None:
    marker = tmp_path / "imported"
    site.install("pack", {"unused": marking("unused", marker)})
    app = create_app({"accounts": {"a": {"provider": "memory"}}}, allow_unauthenticated=True)
    client = app.test_client()
    for path in ("/v1/accounts", "/openapi.json", "/metrics"):
        assert client.get(path).status_code == 200
    assert client.post("/v1/contacts/block", json={"number": "+5511999999999"}).status_code == 200
    assert not marker.exists()
    listed = client.get("/v1/providers").get_json()["data"]["providers"]
    service_state(app).service.close()
    assert "unused" in {each["name"] for each in listed}
    assert marker.exists()


# --- two of one name

MEMORY = {"accounts": {"a": {"provider": "memory"}}}


def select(
    *names: str, dialects: tuple[str, ...] = (), blocked: tuple[str, ...] = ()
) -> PluginRegistry:
    accounts = {f"a{name}": {"provider": name} for name in names} or MEMORY["accounts"]
    mapping = {
        "accounts": accounts,
        "dialects": {"enabled": list(dialects)},
        "plugins": {"blocked": list(blocked)},
    }
    return load_settings(mapping).registry


def setting_of(text: str) -> list[str]:
    """Return what the text says has to be blocked, read as TOML."""
    line = text.rpartition("[plugins] ")[2]
    return tomllib.loads(line)["blocked"]  # type: ignore[no-any-return]


def with_dialect(name: str) -> str:
    """Return a plugin with a provider and a dialect of this name."""
    return acme(f"    name = {name!r}\n{NATIVE}", "Acme, Native")


TWINS = {
    "an entry point of the name": {"wuts": PROVIDER.format(name="wuts")},
    "a provider of the name": {"acme": PROVIDER.format(name="wuts")},
    "both": {"wuts": PROVIDER.format(name="wuts"), "acme": acme("    name = 'wuts'")},
    "a dialect of the name": {"acme": with_dialect("wuts")},
    "an entry point of the name that is broken": {"wuts": "1 / 0"},
}


@pytest.mark.parametrize("version", ["1.0", "99"])
@pytest.mark.parametrize("plugins", TWINS.values(), ids=TWINS)
def test_a_built_in_plugin_wins_over_a_third_party_plugin_of_its_name(
    site: Site, plugins: dict[str, str], version: str
) -> None:
    site.install("aaa-evil-twin", plugins, version=version)  # its name sorts before ours
    assert select("memory").find_provider("memory") is not None
    registry = load_settings(
        {
            "accounts": {"a": {"provider": "wuts", "token": Secret("t")}},
            "dialects": {"enabled": ["wuts"]},
        }
    ).registry
    for found in (
        registry.find_provider("wuts"),
        registry.find_dialect("wuts"),
        registry.providers["wuts"],
        registry.dialects["wuts"],
    ):
        assert found is not None
        assert found.plugin.id == "contact-adapter:wuts"
        assert found.cls.__module__ == "adapter.providers.wuts"


@pytest.mark.parametrize("plugins", list(TWINS.values())[:4], ids=list(TWINS)[:4])
def test_a_clash_with_a_built_in_plugin_is_listed_and_its_advice_blocks_the_third_party(
    site: Site, plugins: dict[str, str]
) -> None:
    site.install("evil-twin", plugins)
    clashes = load_plugins().clashes
    assert {clash.name for clash in clashes} == {"wuts"}
    for clash in clashes:
        advice = setting_of(str(clash))
        assert set(advice) <= {f"evil-twin:{name}" for name in plugins}
        assert advice
    blocked = [each for clash in clashes for each in setting_of(str(clash))]
    registry = load_plugins(blocked)
    assert registry.clashes == ()
    assert registry.providers["wuts"].plugin.id == "contact-adapter:wuts"


def test_a_third_party_plugin_is_used_if_the_built_in_one_of_its_name_is_blocked(
    site: Site,
) -> None:
    site.install("their-wuts", {"wuts": PROVIDER.format(name="wuts")})
    registered = select("wuts", blocked=("contact-adapter:wuts",)).find_provider("wuts")
    assert registered is not None
    assert registered.plugin.id == "their-wuts:wuts"


THIRD_PARTIES = {
    "entry points of one name": ({"echo": "echo"}, {"echo": "echo"}),
    "providers of one name": ({"left": "echo"}, {"right": "echo"}),
}


@pytest.mark.parametrize(("one", "other"), THIRD_PARTIES.values(), ids=THIRD_PARTIES)
def test_two_third_party_providers_of_one_name_are_an_error_when_it_is_selected(
    site: Site, one: dict[str, str], other: dict[str, str]
) -> None:
    for distribution, version, plugins in (("one-pack", "1.2", one), ("other-pack", "3.4", other)):
        sources = {name: PROVIDER.format(name=brings) for name, brings in plugins.items()}
        site.install(distribution, sources, version=version)
    registry = select("memory")
    assert "echo" not in registry.providers
    (clash,) = registry.clashes
    with pytest.raises(PluginError) as caught:
        select("echo")
    text = str(caught.value)
    assert text == str(clash)
    for words in ("'echo'", "one-pack 1.2", "other-pack 3.4", "block all but one"):
        assert words in text
    named = setting_of(text)
    assert len(named) == 1
    assert select("echo", blocked=tuple(named)).clashes == ()


def test_two_third_party_dialects_of_one_name_are_an_error_when_it_is_enabled(
    site: Site,
) -> None:
    for side in ("left", "right"):
        site.install(f"{side}-pack", {side: with_dialect("echo")})
    assert {clash.kind for clash in select("memory").clashes} == {"provider", "dialect"}
    with pytest.raises(PluginError, match="the dialect 'echo'") as caught:
        select("memory", dialects=("echo",))
    select("memory", dialects=("echo",), blocked=tuple(setting_of(str(caught.value))))


def test_the_plugin_of_a_name_goes_before_another_with_a_class_of_that_name(
    site: Site, tmp_path: Path
) -> None:
    site.install("one-pack", {"echo": PROVIDER.format(name="echo")})
    site.install("aaa-pack", {"aaa": marking("echo", tmp_path / "imported")})
    registry = select("echo")
    found = registry.find_provider("echo")
    assert found is not None
    assert found.plugin.id == "one-pack:echo"
    assert not (tmp_path / "imported").exists()
    (clash,) = registry.clashes
    assert clash.winner == found.plugin
    assert setting_of(str(clash)) == ["aaa-pack:aaa"]


def test_a_plugin_with_two_classes_of_one_name_is_broken(site: Site) -> None:
    twice = "    name = 'twice'\n\nclass Second(Acme): ..."
    site.install("odd-pack", {"odd": acme(twice, hook="Acme, Second")})
    assert "two classes have the name 'twice'" in broken_one("odd").reason
    select("memory")


@pytest.mark.parametrize("spelling", ["contact_adapter", "Contact.Adapter"])
def test_the_distribution_is_built_in_in_every_spelling_of_its_name(spelling: str) -> None:
    assert PluginInfo("x", spelling, "1").is_builtin
    assert not PluginInfo("x", f"{spelling}-x", "1").is_builtin


@pytest.mark.parametrize("blocked", ["one-pack:echo", "other-pack:echo"])
def test_with_one_of_two_blocked_by_its_distribution_the_other_is_used(
    site: Site, blocked: str
) -> None:
    for distribution in ("one-pack", "other-pack"):
        site.install(distribution, {"echo": PROVIDER.format(name="echo")})
    providers = load_settings(
        {"accounts": {"a": {"provider": "echo"}}, "plugins": {"blocked": [blocked]}}
    ).registry.providers
    assert providers["echo"].plugin.id in {"one-pack:echo", "other-pack:echo"} - {blocked}


# --- blocked


@pytest.mark.parametrize("blocked", ["marked", "third-party-pack:marked"])
def test_a_blocked_plugin_is_never_imported(site: Site, tmp_path: Path, blocked: str) -> None:
    marker = tmp_path / "imported"
    source = f"open({str(marker)!r}, 'w').close()\n{PROVIDER.format(name='marked')}"
    modules = site.install("third-party-pack", {"marked": source})
    registry = load_settings(
        {"accounts": {"a": {"provider": "memory"}}, "plugins": {"blocked": [blocked]}}
    ).registry
    assert not marker.exists()
    assert modules["marked"] not in sys.modules
    assert "marked" not in registry.providers
    assert registry.broken == ()
    assert "marked" in load_plugins().providers
    assert marker.exists()


def test_blocking_another_distributions_plugin_blocks_nothing(site: Site) -> None:
    site.install("third-party", {"echo": PROVIDER.format(name="echo")})
    assert "echo" in load_plugins(["other:echo", "third-party", "third-party:", ":echo"]).providers


@pytest.mark.parametrize("blocked", ["Third-Party_Pack:echo", "third-party.pack:echo", "echo"])
def test_a_distribution_is_blocked_in_every_spelling_of_its_name(site: Site, blocked: str) -> None:
    site.install("third-party-pack", {"echo": PROVIDER.format(name="echo")})
    registry = load_plugins([blocked])
    assert "echo" not in registry.providers
    assert registry.idle_blocks == ()


def test_check_lists_the_blocked_entries_without_a_plugin(site: Site, tmp_path: Path) -> None:
    site.install("third-party-pack", {"echo": PROVIDER.format(name="echo")})
    config = tmp_path / "adapter.toml"
    config.write_text(
        'accounts.a.provider = "memory"\n'
        'plugins.blocked = ["ehco", "other-pack:echo", "echo:third-party-pack", "echo", '
        '"AKIAXXXXXXXXXXXXXXXX"]\n'
    )
    result = cli_runner().invoke(main, ["check", "--config", str(config)])
    assert result.exit_code == 0
    notes = [line for line in result.stdout.splitlines() if "matches no installed plugin" in line]
    shown = [note.split()[1] for note in notes]
    assert shown == ["ehco", "other-pack:echo", "echo:third-party-pack", "…"]


def test_selecting_a_blocked_provider_is_a_configuration_error() -> None:
    mapping = {"accounts": {"a": {"provider": "memory"}}, "plugins": {"blocked": ["memory"]}}
    with pytest.raises(ConfigurationError) as caught:
        load_settings(mapping)
    (problem,) = caught.value.problems
    assert problem.path == "accounts.a.provider"
    assert "no such provider" in problem.message
