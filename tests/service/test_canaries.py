"""Canaries: a secret and a phone number, searched for in all output.

The number may appear where the API returns the contact, and nowhere else; a secret nowhere.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from support import wait_until
from support.faults import SHORT_DEADLINE
from support.raw_server import Peer, RawServer, Script, always, http_response
from support.server_faults import SERVER_FAULTS, WUTS_OK
from werkzeug.test import TestResponse

import adapter
from adapter import (
    Action,
    Code,
    Command,
    ConfigurationError,
    ConfigurationProblem,
    Contact,
    ContactAdapter,
    ContactError,
    Outcome,
    OutcomeError,
    PluginError,
    RequestError,
    Result,
    Secret,
    connect,
    create_app,
)
from adapter import plugin as plugin_names
from adapter.cli import main
from adapter.plugin import DialectRequest, Headers, HttpRequest, HttpResponse, json_response
from adapter.readings import BlockState, Lookup, Session, SessionState
from adapter.service import Service
from adapter.settings.loader import load_settings
from adapter.web.app import service_state

NUMBER = "5521976543210"
TYPED = "+55 (21) 97654-3210"
JID = f"{NUMBER}@s.whatsapp.net"
LID = "90817263544536@lid"
UPSTREAM_SECRET = "canary-of-the-provider"
CALLER_SECRET = "canary-of-the-caller"

CANARIES = (NUMBER, NUMBER[4:], TYPED, "97654-3210", LID[:-4], UPSTREAM_SECRET, CALLER_SECRET)
"""What must not be found; the number also without its country code, and as typed."""

GOOD = {
    "wuts": http_response(200, WUTS_OK),
    "session-gateway": http_response(204),
    "z-api": http_response(200, {"value": True}),
}
"""A provider with the secret in a header, one with the number in the path, one with both."""

OPTIONS: dict[str, dict[str, Any]] = {
    "wuts": {},
    "session-gateway": {"session": "s1"},
    "z-api": {"instance_id": "i1", "client_token": Secret(UPSTREAM_SECRET)},
}

_ECHO = {"success": False, "error": f"{JID} {UPSTREAM_SECRET}", "message": TYPED, "data": [LID]}
_ECHOING = f"X-Echo: {JID} {UPSTREAM_SECRET}\r\nSet-Cookie: t={UPSTREAM_SECRET}\r\n"


def echo(status: int, code: str = "") -> Script:
    """Return a provider that echoes everything in its body, status line and headers."""
    document = {**_ECHO, "error_code": code, "validation": [{"field": "jid", "message": JID}]}
    location = f"Location: http://127.0.0.1:1/{JID}?token={UPSTREAM_SECRET}\r\n"
    raw = http_response(status, document, _ECHOING + location)
    return always(raw.replace(b" Status\r\n", f" {JID} {UPSTREAM_SECRET}\r\n".encode(), 1))


def respond_well(peer: Peer) -> None:
    """Script no fault at all."""
    always(peer.good)(peer)


SCRIPTS: Mapping[str, Script] = {
    **{fault.name: fault.how for fault in SERVER_FAULTS},
    **{
        f"{status} that echoes": echo(status)
        for status in (200, 302, 400, 401, 403, 404, 409, 422, 429, 501)
    },
    "a documented code that echoes": echo(400, "VALIDATION_ERROR"),
    "a number for a code": echo(400, JID),
    "a secret for a code": echo(500, UPSTREAM_SECRET),
    "a status line that echoes": always(f"{JID} {UPSTREAM_SECRET}\r\n\r\n".encode()),
    "no fault": respond_well,
}
WAITING = [fault.how for fault in SERVER_FAULTS if fault.deadline == SHORT_DEADLINE]
"""The scripts that only the deadline ends."""
CLOSING = [fault.how for fault in SERVER_FAULTS if fault.closes]
"""The scripts that close a connection between calls."""


def assert_no_canary(text: str, where: str) -> None:
    for canary in CANARIES:
        assert canary not in text, f"{where} shows {canary}"


class Records(logging.Handler):
    """All records of all loggers, as a plain handler of the host app would format them."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.loggers: set[str] = set()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.loggers.add(record.name)
        # The line, and everything else that a third-party handler may send: args, extra, facts.
        self.texts.append(logging.Formatter("%(levelname)s %(name)s %(message)s").format(record))
        self.texts.append(json.dumps(record.__dict__, default=repr))

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


@pytest.fixture
def records() -> Iterator[Records]:
    """Log everything at DEBUG, as a host app does for debugging."""
    kept = Records()
    root = logging.getLogger()
    levels = {logger: logger.level for logger in (root, logging.getLogger("adapter"))}
    root.addHandler(kept)
    for logger in levels:
        logger.setLevel(logging.DEBUG)
    yield kept
    root.removeHandler(kept)
    for logger, level in levels.items():
        logger.setLevel(level)


def config_for(provider: str, port: int, deadline: float = 0.2) -> dict[str, Any]:
    account: dict[str, Any] = {
        "provider": provider,
        "base_url": f"http://127.0.0.1:{port}",
        "token": Secret(UPSTREAM_SECRET),
        "aliases": ["their-session"],
        **OPTIONS[provider],
    }
    return {
        "accounts": {"a": account},
        "dialects": {"enabled": [provider] if provider in NATIVE else []},
        "keys": {
            "crm": {
                "secret": Secret(CALLER_SECRET),
                "scopes": ["block", "read", "metrics"],
                "accounts": ["*"],
            }
        },
        "transport": {"deadline": deadline, "connect_timeout": 0.2, "breaker_threshold": 0},
    }


@contextmanager
def app_for(provider: str, port: int, deadline: float = 0.2) -> Iterator[Flask]:
    app = create_app(config_for(provider, port, deadline))
    try:
        yield app
    finally:
        service_state(app).service.close()


@contextmanager
def host_for(provider: str, port: int, deadline: float) -> Iterator[tuple[Flask, ContactAdapter]]:
    host = Flask("host")
    contacts = ContactAdapter(host, config_for(provider, port, deadline))
    try:
        yield host, contacts
    finally:
        host.extensions["contact_adapter"].service.close()


def assert_response_is_clean(response: TestResponse) -> None:
    """Search the whole response for canaries, except the contact of a success."""
    assert_no_canary(str(response.headers), "a header")
    if response.status_code != 200:
        assert_no_canary(response.text, f"a body of {response.status_code}")
        return
    data = response.get_json()["data"]
    for name in ("contact", "jid", "phone_number"):
        data.pop(name, None)
    assert_no_canary(json.dumps(response.get_json() | {"data": data}), "a body of 200")


BEARER = {"Authorization": f"Bearer {CALLER_SECRET}"}
NATIVE: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "wuts": lambda action: {"path": f"/dialects/wuts/contacts/{action}", "json": {"number": TYPED}},
    "session-gateway": lambda action: {
        "path": f"/dialects/session-gateway/api/v1/sessions/their-session/contacts/{JID}/{action}"
    },
}


def native_request(provider: str, action: str) -> dict[str, Any]:
    """Return a native request; a unified one where the provider has no dialect."""
    if provider in NATIVE:
        return NATIVE[provider](action)
    return {"path": f"/v1/contacts/{action}", "json": {"jid": JID}}


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.parametrize("provider", GOOD)
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_no_canary_in_any_output_for_any_fault_of_a_provider(
    script: Script, provider: str, records: Records
) -> None:
    deadline = 0.2 if script in WAITING else 5.0
    with (
        RawServer(script, GOOD[provider]) as server,
        app_for(provider, server.port, deadline) as app,
        host_for(provider, server.port, deadline) as (host, contacts),
    ):
        client = app.test_client()
        unified = client.post("/v1/contacts/block", json={"number": TYPED}, headers=BEARER)
        if script in CLOSING:  # a call sent while it closes would be lost
            wait_until(lambda: server.closed == server.connections, "the end of the connection")
        native = client.post(**native_request(provider, "unblock"), headers=BEARER)
        with host.app_context():
            result = contacts.block(TYPED)
        for response in (unified, native):
            assert_response_is_clean(response)
        metrics = client.get("/metrics", headers=BEARER)
        assert 'account="a"' in metrics.text
        assert_no_canary(metrics.text, "the metrics")
        wait_until(lambda: server.request_count >= 3, "the three requests")
    assert_no_canary(f"{result!r} {result}", "a result")
    with suppress(OutcomeError):
        result.raise_for_code()
    assert "adapter" in records.loggers
    assert not [each for each in records.loggers if each.startswith(("urllib3", "requests", "h11"))]
    assert "552*******210" in records.text
    assert_no_canary(records.text, "the log")


@pytest.mark.parametrize("provider", GOOD)
def test_no_canary_in_any_output_for_an_unreachable_provider(
    provider: str, records: Records
) -> None:
    with RawServer(always(b""), b"") as server:
        port = server.port
    with app_for(provider, port) as app:
        client = app.test_client()
        for sent in ({"path": "/v1/contacts/block", "json": {"jid": LID}}, {}):
            request = sent or native_request(provider, "block")
            response = client.post(**request, headers=BEARER)
            assert response.status_code in (422, 501, 503)  # 422: no number to send
            assert_response_is_clean(response)
    assert_no_canary(records.text, "the log")


@pytest.fixture(scope="module")
def refusing() -> Iterator[Flask]:
    """Return an app whose provider refuses every request that reaches it."""
    echoing = RawServer(echo(400, "VALIDATION_ERROR"), b"")
    with echoing as server, app_for("wuts", server.port) as app:
        yield app


@pytest.mark.parametrize(
    "sent",
    [
        {"json": {"number": f"{NUMBER} x"}},
        {"json": {"jid": f"{JID} x"}},
        {"json": {"jid": f"{NUMBER}@g.us"}},
        {"json": {"number": NUMBER, "jid": "5511999999999@c.us"}},
        {"json": {"number": int(NUMBER)}},
        {"json": [NUMBER]},
        {"json": {"number": NUMBER, "account": NUMBER}},
        {"json": {"number": NUMBER, "account": UPSTREAM_SECRET}},
        {"data": f'{{"number": "{NUMBER}", "number": "{NUMBER}"}}'.encode()},
        {"data": NUMBER.encode(), "content_type": NUMBER},
        {"query_string": {"number": [NUMBER, NUMBER]}},
        {"query_string": {"number": f"x{NUMBER}"}},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "path",
    [
        "/v1/contacts/block",
        "/v1/contacts/unblock",
        "/dialects/wuts/contacts/block",
        f"/dialects/wuts/{NUMBER}",
        f"/{NUMBER}",
        f"/v1/{JID}/",
    ],
)
def test_a_refused_request_is_not_repeated_in_its_response(
    refusing: Flask, path: str, sent: dict[str, Any], records: Records
) -> None:
    for headers in (BEARER, {"X-API-Key": UPSTREAM_SECRET}):
        sent = {"content_type": "application/json", **sent} if "data" in sent else sent
        response = refusing.test_client().post(path, headers=headers, **sent)
        assert 400 <= response.status_code < 500
        assert_response_is_clean(response)
    assert_no_canary(records.text, "the log")


# --- objects


def public_objects() -> Iterator[object]:
    """Yield one of every object that a host app, a plugin or a test may hold and print."""
    contact = Contact(NUMBER, LID)
    command = Command(Action.BLOCK, contact)
    headers = Headers({"Authorization": f"Bearer {UPSTREAM_SECRET}", "X": JID})
    request = HttpRequest("POST", f"/{JID}", headers, {"jid": JID}, {"jid": JID})
    outcome = Outcome.success(
        adapter.Confirmation.PROVIDER_STATE, contacts=(contact, Contact(NUMBER), Contact(lid=LID))
    )
    result = Result(outcome, command, "a", "wuts")
    failure = Result(Outcome.failure(Code.TARGET_REJECTED), command)
    yield from (contact, command, headers, request, outcome, result, failure)
    yield HttpResponse(200, headers, JID.encode() + UPSTREAM_SECRET.encode())
    yield json_response(200, _ECHO)
    yield (lookup := Lookup(contact, True, contact, other_form=Lookup(Contact(NUMBER), None)))
    for reading in ((lookup,), BlockState(True), Session(SessionState.CONNECTED, "open")):
        yield from (reading, replace(outcome, contacts=None, reading=reading, named=contact))
    yield Command(Action.LOOKUP, contacts=(Contact(NUMBER),))
    yield DialectRequest(command, "s1")
    yield Secret(UPSTREAM_SECRET)
    yield OutcomeError(failure)
    for text in (JID + "x", TYPED + "x", "x" * 100 + NUMBER, f"{NUMBER}@g.us"):
        for written in ({"number": text}, {"jid": text}):
            with pytest.raises(ContactError) as caught:
                Contact.parse(**written)
            yield caught.value
    with pytest.raises(RequestError) as refused:
        plugin_names.read_contact(number=TYPED + "x")
    yield from (refused.value, refused.value.outcome)
    for provider in GOOD:
        settings = load_settings(config_for(provider, 1))
        service = Service(settings)
        account = service.accounts["a"]
        yield from (settings, settings.accounts["a"], settings.keys[0], settings.dialects)
        yield from (service, account, account.provider, account.provider.options)
        yield from (account.resilience, account._transport, connect(config_for(provider, 1)))
        yield account.provider.build_request(command)
        app = Flask("host")
        extension = ContactAdapter(app, config_for(provider, 1))
        yield from (extension, app.extensions["contact_adapter"])
        state = app.extensions["contact_adapter"]
        yield from (
            state.authenticator,
            state.authenticator._keys,
            state.authenticator._keys.find_caller(CALLER_SECRET),
        )


@pytest.mark.parametrize("show", [repr, str, "{}".format, "%s".__mod__, ascii])
def test_no_public_object_shows_a_canary(show: Callable[[object], str]) -> None:
    found = list(public_objects())
    assert {type(each).__name__ for each in found} >= {
        *("Contact", "Command", "Outcome", "Result", "HttpRequest", "HttpResponse", "Headers"),
        *("Secret", "Settings", "AccountSettings", "KeySettings", "Service", "Account"),
        *("Transport", "WutsProvider", "SessionGatewayProvider", "ContactAdapter", "OutcomeError"),
    }
    for each in found:
        shown = show((each,)) if show == "%s".__mod__ else show(each)
        assert_no_canary(shown, type(each).__name__)
        assert_no_canary(show([each]), f"a list of a {type(each).__name__}")


def test_the_repr_of_a_public_value_masks_the_contact() -> None:
    masked = "Contact(552*******210)"
    assert f"contact={masked}," in repr(Command(Action.BLOCK, Contact(NUMBER)))
    assert f"contacts=({masked},)" in repr(Command(Action.LOOKUP, contacts=(Contact(NUMBER),)))
    for each in (Command(Action.BLOCK, Contact(NUMBER)), Lookup(Contact(NUMBER), None)):
        assert_no_canary(repr(each), type(each).__name__)


@pytest.mark.parametrize(
    "wrong",
    [
        {"accounts": UPSTREAM_SECRET},
        {"accounts": {"a": UPSTREAM_SECRET}},
        {"accounts": {"a": {"provider": UPSTREAM_SECRET}}},
        {"accounts": {"a": {"provider": "wuts", "token": UPSTREAM_SECRET}}},
        {"accounts": {"a": {"provider": "wuts", "token": {"text": UPSTREAM_SECRET}}}},
        {"accounts": {"a": {"provider": "wuts", "token": Secret(f"{UPSTREAM_SECRET} é")}}},
        {"accounts": {"a": {"provider": "wuts", "base_url": f"http://x@{UPSTREAM_SECRET}"}}},
        {"accounts": {"a": {"provider": "z-api", "token": Secret(f"{UPSTREAM_SECRET}/..")}}},
        {"accounts": {"a": {"provider": "memory", "aliases": [UPSTREAM_SECRET * 9]}}},
        {"accounts": {"a": {"provider": "memory"}}, "default_account": UPSTREAM_SECRET},
        {"accounts": {"a": {"provider": "memory"}}, "default_region": UPSTREAM_SECRET},
        {"accounts": {"a": {"provider": "memory"}}, "dialects": {"enabled": [UPSTREAM_SECRET]}},
        {"accounts": {"a": {"provider": "memory"}}, "keys": {"k": {"secret": CALLER_SECRET}}},
        {"accounts": {"a": {"provider": "memory"}}, "log": {"level": UPSTREAM_SECRET}},
        {
            "accounts": {"a": {"provider": "memory", "transport": {"proxy": UPSTREAM_SECRET}}},
            "transport": {"ca_file": UPSTREAM_SECRET, "deadline": UPSTREAM_SECRET},
        },
        {"accounts": {NUMBER: {"provider": "memory"}}},
        {"accounts": {"a": {"provider": "memory"}}, "keys": {NUMBER: {"secret": CALLER_SECRET}}},
    ],
    ids=str,
)
def test_a_configuration_error_repeats_no_value(
    wrong: dict[str, Any],
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(wrong)
    assert_no_canary("".join(traceback.format_exception(caught.value)), "a traceback")
    assert_no_canary(f"{caught.value!r} {caught.value}", "a refusal")


# --- exceptions

ODD_PLUGIN = '''
from adapter.plugin import Action, Headers, HttpRequest, Provider, SecretField, hookimpl
from marshmallow import Schema, fields


class OddProvider(Provider):
    """A provider with the bug that its option names."""

    name = "odd"
    title = "Odd"
    routes = {"block": ("POST", "/contacts/{jid}/block"),
        "unblock": ("POST", "/contacts/{jid}/unblock"),
    }

    class Options(Schema):
        token = SecretField(required=True)
        bug = fields.String(required=True)

    def build_request(self, command):
        token, jid = self.options["token"].reveal(), command.contact.jid
        headers = {"Authorization": f"Bearer {token}"}
        path = f"/contacts/{jid}/block"
        request = HttpRequest("POST", path, Headers(headers))
        match self.options["bug"]:
            case "raises with all its arguments":
                raise ValueError(f"{self} {self.options} {command} {command.contact} {request}")
            case "looks up a missing key":
                return {}[command]
            case "a path with dot segments":
                return HttpRequest("POST", f"/../{jid}?{token}", Headers(headers))
            case "a path of another host":
                return HttpRequest("POST", f"//[{jid}/{token}", Headers(headers))
            case "a path that starts with a colon":
                return HttpRequest("POST", f":{jid}{token}", Headers(headers))
            case "a header of two lines":
                return HttpRequest("POST", path, Headers({"Authorization": f"{token}\\r\\n{jid}"}))
            case "a header that is not ASCII":
                return HttpRequest("POST", path, Headers({"Authorization": f"{token} € {jid}"}))
            case "an invalid header name":
                return HttpRequest("POST", path, Headers({f"{token} {jid}": "x"}))
            case "a header that is not text":
                return HttpRequest("POST", path, Headers({"Authorization": (token, jid)}))
            case "an invalid method":
                return HttpRequest(f"POST {token}", path, Headers(headers))
            case "a body that is not JSON":
                return HttpRequest("POST", path, Headers(headers), json={token: {jid}})
            case "a query that is not a mapping":
                return HttpRequest("POST", path, Headers(headers), query=f"{token}{jid}")
        return request

    def parse_success(self, command, response):
        raise LookupError(f"nothing in {response} {response.headers} for {command}")


@hookimpl
def register(registry):
    registry.add(OddProvider)
'''

BUGS = (
    "raises with all its arguments",
    "looks up a missing key",
    "a path with dot segments",
    "a path of another host",
    "a path that starts with a colon",
    "a header of two lines",
    "a header that is not ASCII",
    "an invalid header name",
    "a header that is not text",
    "an invalid method",
    "a body that is not JSON",
    "a query that is not a mapping",
    "raises while parsing",
)


@pytest.mark.parametrize("bug", BUGS)
def test_no_canary_in_the_exceptions_of_a_faulty_provider(
    bug: str, plugin: Callable[[str, str], Path], records: Records
) -> None:
    plugin("odd", ODD_PLUGIN)
    account = {"provider": "odd", "token": Secret(UPSTREAM_SECRET), "bug": bug}
    with RawServer(always(http_response(200, _ECHO, _ECHOING)), b"") as server:
        account["base_url"] = f"http://127.0.0.1:{server.port}"
        host = Flask("host")
        contacts = ContactAdapter(host, {"accounts": {"a": account}}, name="embedded")
        app = create_app({"accounts": {"a": account}}, allow_unauthenticated=True)
        shown = ""
        with host.app_context():
            try:
                result = contacts.block(TYPED)
                shown = repr(result)
            except Exception as error:  # noqa: BLE001 - every exception is searched
                shown = "".join(traceback.format_exception(error))
        response = app.test_client().post("/v1/contacts/block", json={"number": TYPED})
        host.extensions["embedded"].service.close()
        service_state(app).service.close()
    assert response.status_code >= 500
    assert_response_is_clean(response)
    assert_no_canary(shown, "the exception")
    assert_no_canary(records.text, "the log")


# --- the command line


@pytest.mark.parametrize("target", [TYPED, JID, LID, f"{NUMBER}x", f"{NUMBER}@g.us"])
@pytest.mark.parametrize("command", ["block", "unblock"])
@pytest.mark.parametrize(
    "script",
    [respond_well, echo(400, "VALIDATION_ERROR"), echo(302)],
    ids=["good", "bad", "redirect"],
)
def test_no_canary_in_the_output_of_the_command_line(
    script: Script,
    command: str,
    target: str,
    tmp_path: Path,
    records: Records,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CANARY", UPSTREAM_SECRET)
    with RawServer(script, GOOD["wuts"]) as server:
        config = tmp_path / "adapter.toml"
        config.write_text(
            '[accounts.a]\nprovider = "wuts"\ntoken = { env = "CANARY" }\n'
            f'base_url = "http://127.0.0.1:{server.port}"\n'
        )
        ran = CliRunner().invoke(main, [command, target, "--config", str(config)])
    assert ran.output
    assert_no_canary(ran.output, "the shell")
    assert_no_canary(records.text, "the log")


PATH_SECRET = """
[transport]
deadline = 0.2
[accounts.a]
provider = "z-api"
instance_id = "i1"
token = { env = "CANARY" }
client_token = { env = "CANARY" }
base_url = "http://127.0.0.1:%s"
"""


@pytest.mark.parametrize(
    "arguments",
    [("check",), ("check", "--live"), ("accounts",), ("block", TYPED), ("unblock", JID, "--json")],
    ids=" ".join,
)
@pytest.mark.parametrize(
    "script",
    [
        respond_well,
        echo(302),
        Peer.stay_silent,
        Peer.reset,
        always(b"HTTP/1.1 broken\r\n\r\n"),
        None,
    ],
    ids=["good", "redirect", "no response", "reset", "malformed", "refused"],
)
def test_a_secret_in_the_path_is_not_in_the_output_of_the_command_line(
    script: Script | None,
    arguments: tuple[str, ...],
    tmp_path: Path,
    records: Records,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CANARY", UPSTREAM_SECRET)
    config = tmp_path / "adapter.toml"
    with RawServer(script or respond_well, GOOD["z-api"]) as server:
        config.write_text(PATH_SECRET % server.port)
        if script is not None:
            ran = CliRunner().invoke(main, [*arguments, "--config", str(config)])
    if script is None:  # the server is closed
        ran = CliRunner().invoke(main, [*arguments, "--config", str(config)])
    assert ran.output
    for head in server.requests:
        assert UPSTREAM_SECRET in head.decode().splitlines()[0]
    raised = "".join(traceback.format_exception(ran.exception))
    for text in (ran.output, records.text, raised):
        assert UPSTREAM_SECRET not in text


def test_every_public_dataclass_is_searched() -> None:
    """A new public dataclass must be added to `public_objects`, or have no data of a call."""
    seen = {type(each) for each in public_objects()}
    values = {
        each
        for module in (adapter, plugin_names)
        for name in module.__all__
        if isinstance(each := getattr(module, name), type) and dataclasses.is_dataclass(each)
    }
    holding_nothing = {plugin_names.ErrorRule, ConfigurationProblem, plugin_names.ContactList}
    assert {each.__name__ for each in values - holding_nothing - seen} == set()


def test_a_plugin_error_names_the_bug_and_repeats_no_data(
    plugin: Callable[[str, str], Path],
) -> None:
    plugin("odd", ODD_PLUGIN)
    account = {
        "provider": "odd",
        "token": Secret(UPSTREAM_SECRET),
        "bug": "a path with dot segments",
        "base_url": "http://127.0.0.1:1",
    }
    with connect({"accounts": {"a": account}}) as contacts, pytest.raises(PluginError) as caught:
        contacts.block(TYPED)
    assert_no_canary("".join(traceback.format_exception(caught.value)), "a traceback")
