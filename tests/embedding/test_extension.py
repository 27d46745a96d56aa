"""The Flask extension in a host app."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from support import FAILING_PLUGIN, JID, NATIVE, NUMBER, OTHER_NUMBER, key_for

from adapter import Code, ConfigurationError, ContactAdapter, OutcomeError
from adapter.web.extension import UNSET, ExtensionState

MEMORY: dict[str, Any] = {"accounts": {"support": {"provider": "memory"}}}
KEYED = {**MEMORY, "keys": {"crm": key_for("k")}}
HEADERS = {"X-API-Key": "k"}


@pytest.fixture
def host() -> Iterator[Flask]:
    """Return a host app with one page."""
    app = Flask("host")

    @app.get("/")
    def home() -> str:
        return "home"

    yield app
    for each in app.extensions.values():
        if isinstance(each, ExtensionState):
            each.service.close()


# In Python


def test_python_api_blocks_lists_and_unblocks(host: Flask) -> None:
    contacts = ContactAdapter(host, MEMORY)
    with host.app_context():
        blocked = contacts.block("+55 11 99999-9999")
        contacts.block(jid=f"{OTHER_NUMBER}@c.us", account="support")
        named = contacts.block(NUMBER, user_id="BR.1", account="support").command
        assert named is not None
        assert named.contact is not None
        assert named.contact.user_id == "BR.1"
        assert contacts.unblock(user_id="x", account="support").code is Code.INVALID_TARGET
        listed = contacts.blocked()
        unblocked = contacts.unblock(NUMBER)
        left = contacts.blocked(account="support")
    assert (blocked.ok, unblocked.ok) == (True, True)
    assert [each.number for each in listed.contacts or ()] == [NUMBER, OTHER_NUMBER]
    assert [each.number for each in left.contacts or ()] == [OTHER_NUMBER]
    assert blocked.account == "support"
    assert blocked.envelope()["data"]["contact"]["jid"] == JID


def test_python_api_needs_no_key(host: Flask) -> None:
    contacts = ContactAdapter(host, KEYED)
    with host.app_context():
        assert contacts.block(NUMBER).ok


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, Code.VALIDATION_ERROR),
        ({"number": 5511999999999}, Code.VALIDATION_ERROR),
        ({"number": "12"}, Code.INVALID_TARGET),
        ({"jid": "status@broadcast"}, Code.INVALID_TARGET),
        ({"number": NUMBER, "jid": f"{OTHER_NUMBER}@c.us"}, Code.INVALID_TARGET),
        ({"number": NUMBER, "account": "nowhere"}, Code.ACCOUNT_NOT_FOUND),
        ({"number": "15005550012"}, Code.SESSION_NOT_CONNECTED),
    ],
)
def test_python_api_returns_failures_and_raises_them_on_request(
    host: Flask, arguments: dict[str, Any], code: Code
) -> None:
    contacts = ContactAdapter(host, MEMORY)
    with host.app_context():
        result = contacts.block(**arguments)
    assert not result.ok
    assert result.code is code
    with pytest.raises(OutcomeError, match=code.value) as caught:
        result.raise_for_code()
    assert caught.value.result is result
    assert NUMBER not in str(caught.value)


def test_python_api_works_in_a_request_of_the_host(host: Flask) -> None:
    contacts = ContactAdapter()
    contacts.init_app(host, MEMORY)

    @host.post("/customers/<number>/block")
    def block(number: str) -> dict[str, object]:
        return {"done": contacts.block(number).ok}

    response = host.test_client().post(f"/customers/{NUMBER}/block")
    assert response.get_json() == {"done": True}


def test_python_api_outside_of_an_app_context_raises() -> None:
    with pytest.raises(RuntimeError, match="application context"):
        ContactAdapter().block(NUMBER)


def test_python_api_in_an_app_without_the_extension_raises(host: Flask) -> None:
    with host.app_context(), pytest.raises(RuntimeError, match="no extension named 'contacts'"):
        ContactAdapter(name="contacts").block(NUMBER)


# Over HTTP


def test_http_api_is_mounted_below_its_prefix_and_the_host_is_unchanged(host: Flask) -> None:
    ContactAdapter(host, KEYED)
    client = host.test_client()
    answer = client.post(
        "/contact-adapter/v1/contacts/block", json={"number": NUMBER}, headers=HEADERS
    )
    assert answer.status_code == 200
    assert answer.headers["X-Request-Id"] == answer.get_json()["meta"]["request_id"]
    home = client.get("/")
    assert home.text == "home"
    assert "X-Request-Id" not in home.headers
    assert "Cache-Control" not in home.headers
    for path in ("/v1/accounts", "/nowhere", "/livez", "/docs", "/openapi.json"):
        missing = client.get(path)
        assert missing.status_code == 404
        assert missing.mimetype == "text/html"


@pytest.mark.parametrize("prefix", ["/whatsapp", "/a/b", ""])
def test_url_prefix_moves_the_whole_http_api(host: Flask, prefix: str) -> None:
    config = {**KEYED, "dialects": {"enabled": ["wuts"]}}
    ContactAdapter(host, config, url_prefix=prefix)
    client = host.test_client()
    assert client.get(f"{prefix}/v1/accounts", headers=HEADERS).status_code == 200
    native = client.post(
        f"{prefix}/dialects/wuts/contacts/block",
        json={"jid": JID},
        headers={"Authorization": "Bearer k"},
    )
    assert native.status_code == 200
    assert client.get("/contact-adapter/v1/accounts", headers=HEADERS).status_code == 404


def test_url_prefix_none_mounts_no_http_api(host: Flask) -> None:
    before = {rule.rule for rule in host.url_map.iter_rules()}
    contacts = ContactAdapter(host, KEYED, url_prefix=None)
    assert {rule.rule for rule in host.url_map.iter_rules()} == before
    with host.app_context():
        assert contacts.block(NUMBER).ok


def test_dialects_without_the_http_api_are_refused(host: Flask) -> None:
    config = {**KEYED, "dialects": {"enabled": list(NATIVE)}}
    with pytest.raises(ConfigurationError, match="dialects: needs the HTTP API"):
        ContactAdapter(host, config, url_prefix=None)
    assert "contact_adapter" not in host.extensions
    ContactAdapter(host, {**KEYED, "dialects": {"enabled": []}}, url_prefix=None)


def test_http_api_without_keys_is_401(host: Flask) -> None:
    ContactAdapter(host, MEMORY)
    response = host.test_client().get("/contact-adapter/v1/accounts")
    assert response.status_code == 401


WARNING = "no API key is configured, so every HTTP request will be answered 401"


def test_http_api_without_keys_is_a_warning_when_it_is_mounted(
    host: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    ContactAdapter(host, MEMORY)
    (line,) = caplog.messages
    assert line.startswith(WARNING)


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (MEMORY, {"url_prefix": None}),
        (MEMORY, {"allow_unauthenticated": True}),
        (KEYED, {}),
    ],
    ids=["no HTTP API", "open to everyone", "with a key"],
)
def test_no_warning_about_missing_keys(
    host: Flask,
    caplog: pytest.LogCaptureFixture,
    config: dict[str, Any],
    options: dict[str, Any],
) -> None:
    ContactAdapter(host, config, **options)
    assert caplog.messages == []


def test_http_api_without_keys_can_be_opened_by_the_host(host: Flask) -> None:
    ContactAdapter(allow_unauthenticated=True).init_app(host, MEMORY)
    response = host.test_client().get("/contact-adapter/v1/accounts")
    assert response.status_code == 200


def test_exception_in_a_provider_reaches_the_host(
    host: Flask, plugin: Callable[[str, str], Path]
) -> None:
    plugin("failing", FAILING_PLUGIN)
    contacts = ContactAdapter(
        host, {"accounts": {"a": {"provider": "failing"}}, "keys": KEYED["keys"]}
    )
    seen = []

    @host.errorhandler(ZeroDivisionError)
    def handle(error: ZeroDivisionError) -> tuple[str, int]:
        seen.append(error)
        return "the host's own page", 500

    response = host.test_client().post(
        "/contact-adapter/v1/contacts/block", json={"number": NUMBER}, headers=HEADERS
    )
    assert response.text == "the host's own page"
    assert len(seen) == 1
    with host.app_context(), pytest.raises(ZeroDivisionError):
        contacts.block(NUMBER)


# Several instances


def test_duplicate_name_in_one_app_is_rejected(host: Flask) -> None:
    contacts = ContactAdapter(host, MEMORY)
    with pytest.raises(RuntimeError, match="already has an extension named 'contact_adapter'"):
        contacts.init_app(host, MEMORY)
    with pytest.raises(RuntimeError, match="already has an extension"):
        ContactAdapter(host, MEMORY, url_prefix="/other")


def test_two_instances_in_one_app_have_separate_block_lists(host: Flask) -> None:
    one = ContactAdapter(host, KEYED, name="one", url_prefix="/one")
    two = ContactAdapter(host, KEYED, name="two", url_prefix="/two")
    with host.app_context():
        one.block(NUMBER)
        two.block(OTHER_NUMBER)
    client = host.test_client()
    for name, number in (("one", NUMBER), ("two", OTHER_NUMBER)):
        data = client.get(f"/{name}/v1/contacts/blocked", headers=HEADERS).get_json()["data"]
        assert [each["number"] for each in data["contacts"]] == [number]


def test_one_instance_in_two_apps_has_two_configurations() -> None:
    contacts = ContactAdapter()
    apps = [Flask("one"), Flask("two")]
    for app, name in zip(apps, ("first", "second"), strict=True):
        contacts.init_app(app, {"accounts": {name: {"provider": "memory"}}})
    accounts = []
    for app in apps:
        with app.app_context():
            accounts.append(contacts.block(NUMBER).account)
    assert accounts == ["first", "second"]


# The configuration


def test_configuration_is_a_mapping_in_app_config(host: Flask) -> None:
    host.config["CONTACT_ADAPTER"] = MEMORY
    contacts = ContactAdapter(host)
    with host.app_context():
        assert contacts.block(NUMBER).account == "support"


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("place", ["argument", "config"])
def test_configuration_is_the_path_of_a_file(
    host: Flask, tmp_path: Path, kind: type, place: str
) -> None:
    path = tmp_path / "adapter.toml"
    path.write_text('[accounts.filed]\nprovider = "memory"\n')
    if place == "config":
        host.config["CONTACT_ADAPTER"] = kind(path)
    contacts = ContactAdapter(host, kind(path) if place == "argument" else None)
    with host.app_context():
        assert contacts.block(NUMBER).account == "filed"


def test_configuration_argument_overrides_app_config(host: Flask) -> None:
    host.config["CONTACT_ADAPTER"] = {"accounts": {"other": {"provider": "memory"}}}
    contacts = ContactAdapter(host, MEMORY)
    with host.app_context():
        assert contacts.block(NUMBER).account == "support"


def test_extension_without_configuration_ignores_the_environment_and_the_sandbox(
    host: Flask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "adapter.toml"
    path.write_text('[accounts.filed]\nprovider = "memory"\n')
    monkeypatch.setenv("CONTACT_ADAPTER_CONFIG", str(path))
    with pytest.raises(ConfigurationError, match=r'app\.config\["CONTACT_ADAPTER"\]'):
        ContactAdapter(host)


@pytest.mark.parametrize("given", [None, 5, [], True])
def test_missing_configuration_is_an_error(host: Flask, given: object) -> None:
    host.config["CONTACT_ADAPTER"] = given
    with pytest.raises(ConfigurationError, match="a mapping, or the path of a TOML file"):
        ContactAdapter(host)


def test_invalid_configuration_leaves_the_app_unchanged(host: Flask) -> None:
    before = {rule.rule for rule in host.url_map.iter_rules()}
    with pytest.raises(ConfigurationError):
        ContactAdapter(host, {"accounts": {"a": {"provider": "nobody"}}})
    assert {rule.rule for rule in host.url_map.iter_rules()} == before
    assert "contact_adapter" not in host.extensions
    ContactAdapter(host, KEYED)
    response = host.test_client().get("/contact-adapter/v1/accounts", headers=HEADERS)
    assert response.status_code == 200


def test_configuration_mapping_is_not_modified(host: Flask) -> None:
    config = {"accounts": {"support": {"provider": "memory", "aliases": ["x"]}}}
    host.config["CONTACT_ADAPTER"] = config
    ContactAdapter(host)
    assert config == {"accounts": {"support": {"provider": "memory", "aliases": ["x"]}}}
    assert host.config["CONTACT_ADAPTER"] is config


def test_one_instance_twice_in_one_app_is_rejected(host: Flask) -> None:
    contacts = ContactAdapter(host, MEMORY)
    with pytest.raises(RuntimeError, match="make a second ContactAdapter object"):
        contacts.init_app(host, MEMORY, url_prefix="/second", name="second")


@pytest.mark.parametrize("prefix", ["/contact-adapter", "/contact-adapter/"])
def test_duplicate_prefix_is_rejected(host: Flask, prefix: str) -> None:
    ContactAdapter(host, MEMORY)
    with pytest.raises(RuntimeError, match="url_prefix"):
        ContactAdapter(host, MEMORY, name="second", url_prefix=prefix)
    ContactAdapter(host, MEMORY, name="second", url_prefix=None)


def test_chunked_body_discarded_by_the_host_is_not_a_missing_body(host: Flask) -> None:
    ContactAdapter(host, MEMORY, allow_unauthenticated=True)
    host.before_request(lambda: (request.get_data(cache=False), None)[1])
    response = host.test_client().post(
        f"/contact-adapter/v1/contacts/block?number={NUMBER}",
        input_stream=BytesIO(b'{"number": "+5511888888888"}'),
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert response.get_json()["error"]["code"] == "invalid_json"


def test_argument_none_of_init_app_overrides_the_constructor_and_a_missing_one_does_not() -> None:
    assert repr(UNSET) == "UNSET"
    for given, expected in ((UNSET, "/from-constructor"), (None, None), ("/other", "/other")):
        app = Flask("other")
        ContactAdapter(url_prefix="/from-constructor").init_app(app, KEYED, url_prefix=given)
        assert app.extensions["contact_adapter"].prefix == expected
