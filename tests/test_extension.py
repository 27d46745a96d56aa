"""The Flask extension, in an app that has other things to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from support import FAILING_PLUGIN, JID, NATIVE, NUMBER, OTHER_NUMBER, key_for

from adapter import Code, ConfigurationError, ContactAdapter, OutcomeError
from adapter.web.extension import State

MEMORY: dict[str, Any] = {"accounts": {"support": {"provider": "memory"}}}
KEYED = {**MEMORY, "keys": {"crm": key_for("k")}}
HEADERS = {"X-API-Key": "k"}


@pytest.fixture
def host() -> Iterator[Flask]:
    """Return an app of somebody else."""
    app = Flask("host")

    @app.get("/")
    def home() -> str:
        return "home"

    yield app
    for each in app.extensions.values():
        if isinstance(each, State):
            each.service.close()


# In Python


def test_in_process_a_contact_is_blocked_listed_and_unblocked(host: Flask) -> None:
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


def test_in_process_no_key_is_asked_for(host: Flask) -> None:
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
def test_in_process_a_failure_is_a_result_and_an_exception_only_where_asked_for(
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


def test_inside_a_request_of_the_host_it_is_just_there(host: Flask) -> None:
    contacts = ContactAdapter()
    contacts.init_app(host, MEMORY)

    @host.post("/customers/<number>/block")
    def block(number: str) -> dict[str, object]:
        return {"done": contacts.block(number).ok}

    response = host.test_client().post(f"/customers/{NUMBER}/block")
    assert response.get_json() == {"done": True}


def test_outside_of_any_app_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="application context"):
        ContactAdapter().block(NUMBER)


def test_in_an_app_without_it_it_says_so(host: Flask) -> None:
    with host.app_context(), pytest.raises(RuntimeError, match="no extension named 'contacts'"):
        ContactAdapter(name="contacts").block(NUMBER)


# Over HTTP


def test_the_api_is_mounted_below_its_prefix_and_the_host_stays_as_it_was(host: Flask) -> None:
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
def test_another_prefix_moves_the_whole_api(host: Flask, prefix: str) -> None:
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


def test_no_prefix_at_all_mounts_nothing(host: Flask) -> None:
    before = {rule.rule for rule in host.url_map.iter_rules()}
    contacts = ContactAdapter(
        host, {**KEYED, "dialects": {"enabled": list(NATIVE)}}, url_prefix=None
    )
    assert {rule.rule for rule in host.url_map.iter_rules()} == before
    with host.app_context():
        assert contacts.block(NUMBER).ok


def test_without_keys_nobody_is_served_over_http(host: Flask) -> None:
    ContactAdapter(host, MEMORY)
    response = host.test_client().get("/contact-adapter/v1/accounts")
    assert response.status_code == 401


def test_the_host_may_open_it(host: Flask) -> None:
    ContactAdapter(allow_unauthenticated=True).init_app(host, MEMORY)
    response = host.test_client().get("/contact-adapter/v1/accounts")
    assert response.status_code == 200


def test_a_bug_is_an_exception_that_the_host_sees(
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


# Several


def test_the_same_name_twice_in_one_app_is_refused(host: Flask) -> None:
    contacts = ContactAdapter(host, MEMORY)
    with pytest.raises(RuntimeError, match="already has an extension named 'contact_adapter'"):
        contacts.init_app(host, MEMORY)
    with pytest.raises(RuntimeError, match="already has an extension"):
        ContactAdapter(host, MEMORY, url_prefix="/other")


def test_two_names_live_in_one_app_with_lists_of_their_own(host: Flask) -> None:
    one = ContactAdapter(host, KEYED, name="one", url_prefix="/one")
    two = ContactAdapter(host, KEYED, name="two", url_prefix="/two")
    with host.app_context():
        one.block(NUMBER)
        two.block(OTHER_NUMBER)
    client = host.test_client()
    for name, number in (("one", NUMBER), ("two", OTHER_NUMBER)):
        data = client.get(f"/{name}/v1/contacts/blocked", headers=HEADERS).get_json()["data"]
        assert [each["number"] for each in data["contacts"]] == [number]


def test_one_instance_serves_two_apps_each_with_its_own_configuration() -> None:
    contacts = ContactAdapter()
    apps = [Flask("one"), Flask("two")]
    for app, name in zip(apps, ("first", "second"), strict=True):
        contacts.init_app(app, {"accounts": {name: {"provider": "memory"}}})
    accounts = []
    for app in apps:
        with app.app_context():
            accounts.append(contacts.block(NUMBER).account)
    assert accounts == ["first", "second"]


# Where its configuration comes from


def test_the_configuration_is_a_mapping_in_the_hosts_own(host: Flask) -> None:
    host.config["CONTACT_ADAPTER"] = MEMORY
    contacts = ContactAdapter(host)
    with host.app_context():
        assert contacts.block(NUMBER).account == "support"


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("place", ["argument", "config"])
def test_the_configuration_is_the_path_of_a_file(
    host: Flask, tmp_path: Path, kind: type, place: str
) -> None:
    path = tmp_path / "adapter.toml"
    path.write_text('[accounts.filed]\nprovider = "memory"\n')
    if place == "config":
        host.config["CONTACT_ADAPTER"] = kind(path)
    contacts = ContactAdapter(host, kind(path) if place == "argument" else None)
    with host.app_context():
        assert contacts.block(NUMBER).account == "filed"


def test_what_is_given_goes_before_what_the_host_has(host: Flask) -> None:
    host.config["CONTACT_ADAPTER"] = {"accounts": {"other": {"provider": "memory"}}}
    contacts = ContactAdapter(host, MEMORY)
    with host.app_context():
        assert contacts.block(NUMBER).account == "support"


def test_an_embedded_app_never_starts_the_sandbox_by_itself(
    host: Flask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "adapter.toml"
    path.write_text('[accounts.filed]\nprovider = "memory"\n')
    monkeypatch.setenv("CONTACT_ADAPTER_CONFIG", str(path))
    with pytest.raises(ConfigurationError, match=r'app\.config\["CONTACT_ADAPTER"\]'):
        ContactAdapter(host)


@pytest.mark.parametrize("given", [None, 5, [], True])
def test_a_missing_configuration_is_explained(host: Flask, given: object) -> None:
    host.config["CONTACT_ADAPTER"] = given
    with pytest.raises(ConfigurationError, match="a mapping, or the path of a TOML file"):
        ContactAdapter(host)


def test_a_bad_configuration_leaves_the_app_as_it_was(host: Flask) -> None:
    before = {rule.rule for rule in host.url_map.iter_rules()}
    with pytest.raises(ConfigurationError):
        ContactAdapter(host, {"accounts": {"a": {"provider": "nobody"}}})
    assert {rule.rule for rule in host.url_map.iter_rules()} == before
    assert "contact_adapter" not in host.extensions
    ContactAdapter(host, KEYED)
    response = host.test_client().get("/contact-adapter/v1/accounts", headers=HEADERS)
    assert response.status_code == 200


def test_the_hosts_mapping_is_read_and_not_changed(host: Flask) -> None:
    config = {"accounts": {"support": {"provider": "memory", "aliases": ["x"]}}}
    host.config["CONTACT_ADAPTER"] = config
    ContactAdapter(host)
    assert config == {"accounts": {"support": {"provider": "memory", "aliases": ["x"]}}}
    assert host.config["CONTACT_ADAPTER"] is config


def test_one_object_serves_an_app_once(host: Flask) -> None:
    contacts = ContactAdapter(host, MEMORY)
    with pytest.raises(RuntimeError, match="make a second object"):
        contacts.init_app(host, MEMORY, url_prefix="/second", name="second")


@pytest.mark.parametrize("prefix", ["/contact-adapter", "/contact-adapter/"])
def test_two_of_one_prefix_are_refused_since_one_would_never_be_reached(
    host: Flask, prefix: str
) -> None:
    ContactAdapter(host, MEMORY)
    with pytest.raises(RuntimeError, match="url_prefix"):
        ContactAdapter(host, MEMORY, name="second", url_prefix=prefix)
    ContactAdapter(host, MEMORY, name="second", url_prefix=None)


def test_a_chunked_body_that_the_host_has_thrown_away_is_no_missing_body(host: Flask) -> None:
    ContactAdapter(host, MEMORY, allow_unauthenticated=True)
    host.before_request(lambda: (request.get_data(cache=False), None)[1])
    response = host.test_client().post(
        f"/contact-adapter/v1/contacts/block?number={NUMBER}",
        input_stream=BytesIO(b'{"number": "+5511888888888"}'),
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert response.get_json()["error"]["code"] == "invalid_json"
