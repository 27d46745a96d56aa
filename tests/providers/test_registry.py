"""Plugins of strangers: found, served, listed when broken, refused when selected, blocked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from support import DIALECTS, cli_runner
from support.dists import PROVIDER, Site, open_site

from adapter.cli import main
from adapter.client import connect
from adapter.errors import ConfigurationError, PluginError
from adapter.privacy import Secret
from adapter.registry import BrokenPlugin, PluginInfo, Registry, load_plugins
from adapter.settings.loader import load_settings
from adapter.web.app import create_app, service_state
from adapter.web.introspection import describe_plugins

FILES = (Path(__file__).parents[2] / "providers").glob("[!_]*.py")
BUILT_IN = {file.stem.replace("_", "-") for file in FILES}
"""One provider a file; what begins with an underscore is none."""
HEAD = """
from adapter import *
from marshmallow import Schema, fields
"""
HOOK = """
@hookimpl
def register_providers():
    return [{}]
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path / "site") as opened:
        yield opened


def broken_one(name: str) -> BrokenPlugin:
    broken = load_plugins().find_broken(name)
    assert broken is not None
    return broken


def stranger(body: str, hook: str = "Part") -> str:
    """Return a plugin whose provider `Part` works, but for what `body` changes."""
    works = PROVIDER.format(name="echo").partition("\n@hookimpl")[0].replace("Echo", "Works")
    return f"{works}\n{HEAD}\n\nclass Part(Works):\n{body}\n\n{HOOK.format(hook)}"


# --- found


def test_the_built_in_providers_come_through_the_door_of_the_strangers() -> None:
    ours = {
        entry.name
        for entry in entry_points(group="contact_adapter")
        if entry.dist is not None and entry.dist.name == "contact-adapter"
    }
    registry = load_plugins()
    assert ours == BUILT_IN == set(registry.providers)
    for registered in registry.providers.values():
        assert registered.plugin.distribution == "contact-adapter"
    assert set(registry.dialects) == set(DIALECTS)
    assert registry.broken == ()


def test_a_strangers_provider_is_found_and_serves(site: Site) -> None:
    site.install("stranger-pack", {"echo": PROVIDER.format(name="echo")}, version="2.3")
    registered = load_plugins().providers["echo"]
    assert registered.plugin.id == "stranger-pack:echo"
    assert registered.plugin.origin == "stranger-pack 2.3"
    with connect({"accounts": {"a": {"provider": "echo"}}}) as contacts:
        result = contacts.block("+55 11 99999-9999").raise_for_code()
        assert result.provider == "echo"
        assert not contacts.blocked().ok


def test_the_name_of_a_provider_is_its_own_and_not_its_plugins(site: Site) -> None:
    site.install("stranger", {"plugin-name": PROVIDER.format(name="provider-name")})
    providers = load_plugins().providers
    assert "provider-name" in providers
    assert "plugin-name" not in providers


def test_one_plugin_may_bring_several_providers_and_a_dialect(site: Site) -> None:
    source = stranger(
        """
    name = "first"

class Second(Works):
    name = "second"

class Native(Dialect):
    provider = Part
    parse_credential = parse_request = write_success = write_error = lambda *rest: None

@hookimpl
def register_dialects():
    return [Native]
""",
        hook="Part, Second",
    )
    site.install("stranger", {"pack": source})
    registry = load_plugins()
    assert registry.find_broken("pack") is None
    assert {"first", "second"} <= set(registry.providers)
    assert registry.dialects["first"].cls.__name__ == "Native"


def test_the_registries_of_two_loads_are_independent(site: Site) -> None:
    before = load_plugins()
    site.install("stranger", {"echo": PROVIDER.format(name="echo")})
    after = load_plugins()
    blocked = load_plugins(["echo", "wuts"])
    assert "echo" not in before.providers
    assert "echo" in after.providers
    assert set(blocked.providers) == BUILT_IN - {"wuts"}
    assert set(after.providers) == BUILT_IN | {"echo"}


# --- broken

BROKEN = {
    "an exception at import": ("1 / 0", "ZeroDivisionError"),
    "a module that it needs and has not": ("import no_such_module_at_all", "ModuleNotFoundError"),
    "a syntax error": ("def (", "SyntaxError"),
    "an exception at registration": (
        HEAD + "@hookimpl\ndef register_providers():\n    raise LookupError('no luck')",
        "LookupError: no luck",
    ),
    "nothing registered": (HEAD, "neither a provider nor a dialect"),
    "an empty list": (HEAD + HOOK.format(""), "neither a provider nor a dialect"),
    "a hook that nobody calls": (
        HEAD + "@hookimpl\ndef register_provider():\n    return []",
        "register_provider",
    ),
    "a hook beside a good one that nobody calls": (
        PROVIDER.format(name="echo") + "\n\n@hookimpl\ndef register_diallects():\n    return []",
        "register_diallects",
    ),
    "a hook with an argument that nobody gives": (
        HEAD + "@hookimpl\ndef register_providers(config):\n    return []",
        "config",
    ),
    "a class instead of a list": (
        HEAD + "@hookimpl\ndef register_providers():\n    return Provider",
        "TypeError",
    ),
    "a number instead of a list": (
        HEAD + "@hookimpl\ndef register_providers():\n    return 1",
        "TypeError",
    ),
    "an instance instead of a class": (stranger("    pass", "Part({})"), "no subclass of Provider"),
    "a stranger's class": (HEAD + HOOK.format("dict"), "no subclass of Provider"),
    "a text": (HEAD + HOOK.format("'Part'"), "no subclass of Provider"),
    "a dialect among the providers": (HEAD + HOOK.format("Dialect"), "no subclass of Provider"),
    "the base class itself": (HEAD + HOOK.format("Provider"), "build_request, parse_success"),
    "an abstract provider": (
        HEAD
        + "class Part(Provider):\n    name = title = 'x'\n"
        + "    def build_request(self, command): ...\n"
        + HOOK.format("Part"),
        "Part lacks parse_success",
    ),
    "a local provider that does not answer": (
        HEAD
        + "class Part(LocalProvider):\n    name = title = 'x'\n"
        + "    def build_request(self, command): ...\n"
        + "    def parse_success(self, command, response): ...\n"
        + HOOK.format("Part"),
        "Part lacks handle_request",
    ),
    "no name": (
        PROVIDER.format(name="echo").replace("    name =", "    other ="),
        "name must be lower-case words",
    ),
    "an upper-case name": (stranger("    name = 'Echo'"), "name must be lower-case words"),
    "a name with a space": (stranger("    name = 'my echo'"), "name must be lower-case words"),
    "a name with a slash": (stranger("    name = 'a/b'"), "name must be lower-case words"),
    "a name with a newline": (stranger("    name = 'echo\\n'"), "name must be lower-case words"),
    "a name that is no text": (stranger("    name = 1"), "name must be lower-case words"),
    "no title": (stranger("    title = ''"), "title must be a text"),
    "no routes": (stranger("    routes = ()"), "routes must name at least one"),
    "routes that are none": (
        stranger("    routes = ('/block',)"),
        "has no attribute 'action'",
    ),
    "options that are no schema": (stranger("    Options = dict"), "must be a marshmallow Schema"),
    "options that take a key of the core": (
        stranger("    class Options(Schema):\n        transport = fields.String()"),
        "takes keys of the core: ['transport']",
    ),
    "an abstract dialect": (
        HEAD
        + "class Native(Dialect): ...\n\n@hookimpl\ndef register_dialects():\n    return [Native]",
        "Native lacks parse_credential",
    ),
    "a dialect of no provider": (
        HEAD
        + "class Native(Dialect):\n"
        + "    parse_credential = parse_request = lambda *rest: None\n"
        + "    write_success = write_error = lambda *rest: None\n"
        + "\n@hookimpl\ndef register_dialects():\n    return [Native]",
        "no subclass of Provider",
    ),
}


@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_that_nobody_selected_is_listed_with_its_reason(
    site: Site, source: str, reason: str
) -> None:
    site.install("stranger", {"odd": source})
    registry = load_plugins()
    (broken,) = registry.broken
    assert broken.plugin.id == "stranger:odd"
    assert reason in broken.reason
    assert "\n" not in broken.reason
    assert set(registry.providers) == BUILT_IN
    with connect({"accounts": {"a": {"provider": "memory"}}}) as contacts:
        assert contacts.block("+5511999999999").ok


@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_that_is_selected_refuses_with_its_own_error_as_the_cause(
    site: Site, source: str, reason: str
) -> None:
    site.install("stranger", {"odd": source})
    with pytest.raises(PluginError, match="stranger:odd") as caught:
        load_settings({"accounts": {"a": {"provider": "odd"}}})
    assert caught.value.__cause__ is not None
    assert reason in f"{type(caught.value.__cause__).__name__}: {caught.value.__cause__}"


def test_the_cause_still_knows_the_line_that_raised_it(site: Site) -> None:
    modules = site.install("stranger", {"odd": "\n\nraise LookupError('no luck')\n"})
    with pytest.raises(PluginError) as caught:
        load_settings({"accounts": {"a": {"provider": "odd"}}})
    trace = caught.value.__cause__.__traceback__  # type: ignore[union-attr]
    while trace.tb_next is not None:  # type: ignore[union-attr]
        trace = trace.tb_next  # type: ignore[union-attr]
    assert trace.tb_lineno == 3  # type: ignore[union-attr]
    assert Path(trace.tb_frame.f_code.co_filename).stem == modules["odd"]  # type: ignore[union-attr]


def test_a_broken_dialect_that_is_enabled_refuses(site: Site) -> None:
    site.install("stranger", {"odd": "raise LookupError('no luck')"})
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
        f"{LEAVING}{HEAD}@hookimpl\ndef register_providers():\n    raise Leaving",
        HEAD + "@hookimpl\ndef register_providers():\n    raise SystemExit",
        HEAD + "@hookimpl\ndef register_dialects():\n    exit()",
        "class Odd(Exception):\n    def __str__(self): raise SystemExit\nraise Odd",
        "raise LookupError('a\x1b[2J\u2028b')",
    ],
)
def test_a_plugin_that_leaves_by_any_door_is_broken_and_no_more(site: Site, source: str) -> None:
    site.install("stranger", {"odd": source})
    registry = select("memory")
    (broken,) = registry.broken
    assert broken.plugin.id == "stranger:odd"
    assert broken.reason.isprintable()
    with pytest.raises(PluginError, match="stranger:odd"):
        select("odd")


@pytest.mark.parametrize(
    "wrong",
    [
        'confirmation = "accepted"',
        "session_location = None",
        'contact_forms = ("digits",)',
        "contact_forms = None",
        "documentation = 1",
        "verified_on = 2026",
        "base_url = 1",
        'header_templates = ["Authorization"]',
        "actions = classmethod(lambda cls: ['block'])",
    ],
)
def test_a_provider_with_an_attribute_of_the_wrong_type_is_broken_and_the_others_are_listed(
    site: Site, wrong: str
) -> None:
    site.install("stranger", {"odd": stranger(f'    name = "odd"\n    {wrong}')})
    settings = load_settings({"accounts": {"a": {"provider": "memory"}}})
    listed = describe_plugins(settings, in_full=True)
    assert {each["name"] for each in listed["providers"]} == BUILT_IN
    (broken,) = listed["broken"]
    assert broken["name"] == "odd"
    assert broken["reason"].startswith("PluginError: Part.")


def test_the_text_of_a_broken_plugin_is_masked(site: Site, tmp_path: Path) -> None:
    site.install("stranger", {"odd": "raise LookupError('+55 11 99999-9999, 5511999999999')"})
    assert "99999" not in broken_one("odd").reason
    config = tmp_path / "adapter.toml"
    config.write_text('accounts.a.provider = "odd"\n')
    result = cli_runner().invoke(main, ["check", "--config", str(config)])
    assert result.exit_code == 1
    assert "LookupError" in result.stderr
    assert "99999" not in result.stderr


def test_an_interrupt_at_the_import_of_a_plugin_is_a_fault_where_a_server_has_the_signal(
    site: Site,
) -> None:
    site.install("stranger", {"odd": "raise KeyboardInterrupt"})
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        assert broken_one("odd").reason == "PluginError: the plugin raised KeyboardInterrupt"
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_at_the_import_of_a_plugin_is_the_persons(site: Site) -> None:
    site.install("stranger", {"odd": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        load_plugins().providers  # noqa: B018 - it is the look that imports


def test_a_plugin_whose_import_was_ended_from_outside_is_imported_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    gevent = pytest.importorskip("gevent")
    ended = [gevent.GreenletExit(), gevent.Timeout()]
    monkeypatch.setattr("builtins.ends_of_this_test", ended, raising=False)
    once = (
        "import builtins\nif builtins.ends_of_this_test: raise builtins.ends_of_this_test.pop()\n"
    )
    site.install("stranger", {"echo": once + PROVIDER.format(name="echo")})
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


def test_greenlets_that_look_while_a_plugin_is_imported_see_it_too(site: Site) -> None:
    pytest.importorskip("gevent")
    source = "import gevent\nfor _ in range(9): gevent.sleep(0)\n" + PROVIDER.format(name="echo")
    site.install("stranger", {"echo": source})
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


def test_an_entry_point_to_a_module_that_is_not_there_is_broken(site: Site) -> None:
    modules = site.install("stranger", {"odd": ""})
    (site.folder / f"{modules['odd']}.py").unlink()
    assert "ModuleNotFoundError" in broken_one("odd").reason


def test_one_broken_plugin_leaves_another_of_its_distribution_working(site: Site) -> None:
    site.install("stranger", {"odd": "1 / 0", "echo": PROVIDER.format(name="echo")})
    registry = load_plugins()
    assert "echo" in registry.providers
    assert [broken.plugin.name for broken in registry.broken] == ["odd"]


def test_a_broken_plugin_brings_nothing_of_what_it_registered(site: Site) -> None:
    half = PROVIDER.format(name="echo") + (
        "\n\n@hookimpl\ndef register_dialects():\n    raise LookupError('no luck')\n"
    )
    site.install("stranger", {"odd": half, "good": PROVIDER.format(name="good")})
    registry = load_plugins()
    assert set(registry.providers) == BUILT_IN | {"good"}


# --- imported when needed


def marking(name: str, marker: Path) -> str:
    """Return a plugin that leaves a file when it is imported."""
    return f"open({str(marker)!r}, 'w').close()\n{PROVIDER.format(name=name)}"


def test_a_plugin_that_nobody_uses_is_not_imported_at_the_start(site: Site, tmp_path: Path) -> None:
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


def select(*names: str, dialects: tuple[str, ...] = (), blocked: tuple[str, ...] = ()) -> Registry:
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


DIALECT = """

class Native(Dialect):
    provider = Part
    parse_credential = parse_request = write_success = write_error = lambda *rest: None

@hookimpl
def register_dialects():
    return [Native]
"""

TWINS = {
    "an entry point of the name": {"wuts": PROVIDER.format(name="wuts")},
    "a provider of the name": {"acme": PROVIDER.format(name="wuts")},
    "both": {"wuts": PROVIDER.format(name="wuts"), "acme": stranger("    name = 'wuts'")},
    "a dialect of the name": {"acme": stranger("    name = 'wuts'") + DIALECT},
    "an entry point of the name that is broken": {"wuts": "1 / 0"},
}


@pytest.mark.parametrize("version", ["1.0", "99"])
@pytest.mark.parametrize("plugins", TWINS.values(), ids=TWINS)
def test_what_is_built_in_wins_over_a_third_party_that_takes_its_name(
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
def test_a_clash_with_what_is_built_in_is_listed_and_its_advice_blocks_the_newcomer(
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


def test_a_third_party_serves_under_a_name_whose_built_in_plugin_is_blocked(site: Site) -> None:
    site.install("their-wuts", {"wuts": PROVIDER.format(name="wuts")})
    registered = select("wuts", blocked=("contact-adapter:wuts",)).find_provider("wuts")
    assert registered is not None
    assert registered.plugin.id == "their-wuts:wuts"


THIRD_PARTIES = {
    "entry points of one name": ({"echo": "echo"}, {"echo": "echo"}),
    "providers of one name": ({"left": "echo"}, {"right": "echo"}),
}


@pytest.mark.parametrize(("one", "other"), THIRD_PARTIES.values(), ids=THIRD_PARTIES)
def test_two_third_parties_of_one_name_matter_where_it_is_selected_and_are_named_there(
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


def test_two_third_parties_with_dialects_of_one_name_matter_where_it_is_enabled(
    site: Site,
) -> None:
    for side in ("left", "right"):
        site.install(f"{side}-pack", {side: stranger("    name = 'echo'") + DIALECT})
    assert {clash.kind for clash in select("memory").clashes} == {"provider", "dialect"}
    with pytest.raises(PluginError, match="the dialect 'echo'") as caught:
        select("memory", dialects=("echo",))
    select("memory", dialects=("echo",), blocked=tuple(setting_of(str(caught.value))))


def test_the_plugin_of_the_name_goes_before_another_that_takes_it(
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


def test_a_name_that_a_plugin_brings_twice_makes_it_broken(site: Site) -> None:
    site.install("odd-pack", {"odd": stranger("    name = 'twice'", hook="Part, Part")})
    assert "two parts named 'twice'" in broken_one("odd").reason
    select("memory")


@pytest.mark.parametrize("spelling", ["contact_adapter", "Contact.Adapter"])
def test_a_distribution_is_ours_however_its_name_is_spelt(spelling: str) -> None:
    assert PluginInfo("x", spelling, "1").is_builtin
    assert not PluginInfo("x", f"{spelling}-x", "1").is_builtin


@pytest.mark.parametrize("blocked", ["one-pack:echo", "other-pack:echo"])
def test_blocking_one_of_two_by_its_distribution_lets_the_other_serve(
    site: Site, blocked: str
) -> None:
    for distribution in ("one-pack", "other-pack"):
        site.install(distribution, {"echo": PROVIDER.format(name="echo")})
    providers = load_settings(
        {"accounts": {"a": {"provider": "echo"}}, "plugins": {"blocked": [blocked]}}
    ).registry.providers
    assert providers["echo"].plugin.id in {"one-pack:echo", "other-pack:echo"} - {blocked}


# --- blocked


@pytest.mark.parametrize("blocked", ["marked", "stranger-pack:marked"])
def test_a_blocked_plugin_is_never_imported(site: Site, tmp_path: Path, blocked: str) -> None:
    marker = tmp_path / "imported"
    source = f"open({str(marker)!r}, 'w').close()\n{PROVIDER.format(name='marked')}"
    modules = site.install("stranger-pack", {"marked": source})
    registry = load_settings(
        {"accounts": {"a": {"provider": "memory"}}, "plugins": {"blocked": [blocked]}}
    ).registry
    assert not marker.exists()
    assert modules["marked"] not in sys.modules
    assert "marked" not in registry.providers
    assert registry.find_broken("marked") is None
    assert "marked" in load_plugins().providers
    assert marker.exists()


def test_blocking_another_distributions_plugin_blocks_nothing(site: Site) -> None:
    site.install("stranger", {"echo": PROVIDER.format(name="echo")})
    assert "echo" in load_plugins(["other:echo", "stranger", "stranger:", ":echo"]).providers


@pytest.mark.parametrize("blocked", ["Stranger_Pack:echo", "stranger.pack:echo", "echo"])
def test_a_distribution_is_blocked_however_its_name_is_written(site: Site, blocked: str) -> None:
    site.install("stranger-pack", {"echo": PROVIDER.format(name="echo")})
    registry = load_plugins([blocked])
    assert "echo" not in registry.providers
    assert registry.idle_blocks == ()


def test_check_tells_what_is_blocked_and_not_there(site: Site, tmp_path: Path) -> None:
    site.install("stranger-pack", {"echo": PROVIDER.format(name="echo")})
    config = tmp_path / "adapter.toml"
    config.write_text(
        'accounts.a.provider = "memory"\n'
        'plugins.blocked = ["ehco", "other-pack:echo", "echo:stranger-pack", "echo", '
        '"AKIAXXXXXXXXXXXXXXXX"]\n'
    )
    result = cli_runner().invoke(main, ["check", "--config", str(config)])
    assert result.exit_code == 0
    notes = [line for line in result.stdout.splitlines() if "matches no installed plugin" in line]
    shown = [note.split()[1] for note in notes]
    assert shown == ["ehco", "other-pack:echo", "echo:stranger-pack", "…"]


def test_a_blocked_provider_that_is_selected_is_no_provider() -> None:
    mapping = {"accounts": {"a": {"provider": "memory"}}, "plugins": {"blocked": ["memory"]}}
    with pytest.raises(ConfigurationError) as caught:
        load_settings(mapping)
    (problem,) = caught.value.problems
    assert problem.path == "accounts.a.provider"
    assert "no such provider" in problem.message
