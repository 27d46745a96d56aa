"""The meaning of each provider's responses: the table of the wire formats, cell by cell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from adapter.providers.evolution_api import EvolutionApiDialect, EvolutionApiProvider
from adapter.providers.memory import MAGIC_NUMBERS, MemoryProvider
from adapter.providers.session_gateway import SessionGatewayDialect, SessionGatewayProvider
from adapter.providers.waha import WahaDialect, WahaProvider
from adapter.providers.wappfy import WappfyDialect, WappfyProvider
from adapter.providers.wuts import WutsDialect, WutsProvider
from adapter.providers.z_api import ZApiProvider
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError
from support.contracts import CONTRACTS

from adapter.evidence import read_retry_after
from adapter.plugin import (
    Action,
    Code,
    Command,
    Confirmation,
    Contact,
    ContactList,
    Dialect,
    Headers,
    HttpRequest,
    HttpResponse,
    Outcome,
    PluginError,
    Provider,
    RequestError,
    Secret,
    SessionLocation,
    json_response,
    read_contacts,
    read_number_or_jid,
    read_texts,
)
from adapter.response_rules import REFUSED
from adapter.testing.samples import command_for

PERSON = Contact("5511999999999")
LID = Contact(lid="205227043110953@lid")
BLOCK = Command(Action.BLOCK, PERSON)
UNBLOCK = Command(Action.UNBLOCK, PERSON)
LIST = Command(Action.LIST)

WUTS = WutsProvider({"token": Secret("t0ken")})
WAPPFY = WappfyProvider({"api_key": Secret("k3y"), "session": "shop", "wire_format": "openapi"})
WAPPFY_GUIDE = WappfyProvider({"api_key": Secret("k3y"), "session": "shop", "wire_format": "guide"})
GATEWAY = SessionGatewayProvider({"token": Secret("t0ken"), "session": "sess_01HZX"})
MEMORY = MemoryProvider({})
Z_API = ZApiProvider(
    {"instance_id": "3C1A", "token": Secret("t0ken"), "client_token": Secret("t0ken")}
)
WAHA = WahaProvider({"api_key": Secret("k3y"), "session": "default"})
EVOLUTION = EvolutionApiProvider({"api_key": Secret("k3y"), "session": "shop"})

Answer = tuple[int, Any]
"""A status, and a body: bytes as they are, None for none, anything else as JSON."""


def respond(answer: Answer, headers: dict[str, str] | None = None) -> HttpResponse:
    status, body = answer
    if body is None or isinstance(body, bytes):
        return HttpResponse(status, Headers(headers or {}), body or b"")
    return json_response(status, body, headers or {})


def read(
    provider: Provider, answer: Answer, command: Command = BLOCK
) -> Code | Confirmation | None:
    outcome = provider.parse_response(command, respond(answer))
    assert outcome.upstream_status == answer[0]
    return outcome.code or outcome.confirmation


# -- requests

BEARER = {"Authorization": "Bearer t0ken"}
GATEWAY_PATH = "/api/v1/sessions/sess_01HZX/contacts/"
APIKEY = {"apikey": "k3y"}


@pytest.mark.parametrize(
    ("provider", "command", "method", "path", "headers", "body"),
    [
        (WUTS, BLOCK, "POST", "/contacts/block", BEARER, {"jid": PERSON.jid}),
        (WUTS, UNBLOCK, "POST", "/contacts/unblock", BEARER, {"jid": PERSON.jid}),
        (WUTS, Command(Action.BLOCK, LID), "POST", "/contacts/block", BEARER, {"jid": LID.lid}),
        (WUTS, LIST, "GET", "/contacts/blocklist", BEARER, None),
        (
            *(WAPPFY, BLOCK, "POST", "/api/contacts/block", APIKEY),
            {"contactId": "5511999999999@c.us", "session": "shop"},
        ),
        (
            *(WAPPFY, UNBLOCK, "POST", "/api/contacts/unblock", APIKEY),
            {"contactId": "5511999999999@c.us", "session": "shop"},
        ),
        (
            *(WAPPFY_GUIDE, BLOCK, "POST", "/api/contacts/block", APIKEY),
            {"sessionId": "shop", "jid": "5511999999999@s.whatsapp.net"},
        ),
        (
            *(WAPPFY_GUIDE, UNBLOCK, "POST", "/api/contacts/unblock", APIKEY),
            {"sessionId": "shop", "jid": "5511999999999@s.whatsapp.net"},
        ),
        (
            *(WAHA, BLOCK, "POST", "/api/contacts/block", {"X-Api-Key": "k3y"}),
            {"contactId": "5511999999999@c.us", "session": "default"},
        ),
        (
            *(WAHA, Command(Action.UNBLOCK, LID), "POST", "/api/contacts/unblock"),
            *({"X-Api-Key": "k3y"}, {"contactId": LID.lid, "session": "default"}),
        ),
        (
            *(EVOLUTION, BLOCK, "POST", "/chat/updateBlockStatus/shop", APIKEY),
            {"number": "5511999999999@s.whatsapp.net", "status": "block"},
        ),
        (
            *(EVOLUTION, UNBLOCK, "POST", "/chat/updateBlockStatus/shop", APIKEY),
            {"number": "5511999999999@s.whatsapp.net", "status": "unblock"},
        ),
        (
            *(EVOLUTION, Command(Action.BLOCK, LID), "POST", "/chat/updateBlockStatus/shop"),
            *(APIKEY, {"number": LID.lid, "status": "block"}),
        ),
        (GATEWAY, BLOCK, "POST", GATEWAY_PATH + f"{PERSON.jid}/block", BEARER, None),
        (GATEWAY, UNBLOCK, "POST", GATEWAY_PATH + f"{PERSON.jid}/unblock", BEARER, None),
    ],
)
def test_a_command_becomes_this_request(
    provider: Provider,
    command: Command,
    method: str,
    path: str,
    headers: dict[str, str],
    body: Any,
) -> None:
    assert provider.build_request(command) == HttpRequest(method, path, Headers(headers), json=body)


@pytest.mark.parametrize(
    ("provider", "base_url", "session_location", "options"),
    [
        (WutsProvider, "https://api.wuts.com.br", SessionLocation.TOKEN, {"token": True}),
        (
            *(WappfyProvider, "https://api.wappfy.com.br", SessionLocation.BODY),
            {"api_key": True, "session": True, "wire_format": False},
        ),
        (SessionGatewayProvider, None, SessionLocation.PATH, {"token": True, "session": True}),
        (WahaProvider, None, SessionLocation.BODY, {"api_key": True, "session": False}),
        (EvolutionApiProvider, None, SessionLocation.PATH, {"api_key": True, "session": True}),
        (MemoryProvider, None, SessionLocation.NONE, {}),
    ],
)
def test_a_provider_has_these_options_and_this_address(
    provider: type[Provider],
    base_url: str | None,
    session_location: SessionLocation,
    options: dict[str, bool],
) -> None:
    known = provider.Options().fields
    assert {name: field.required for name, field in known.items()} == options
    assert provider.base_url == base_url
    assert provider.session_location is session_location


def test_the_session_of_waha_is_called_default_where_none_is_given() -> None:
    assert WahaProvider.Options().load({"api_key": Secret("k3y")})["session"] == "default"
    with pytest.raises(ValidationError):
        WahaProvider.Options().load({"api_key": Secret("k3y"), "session": "../up"})


@pytest.mark.parametrize("number", ["5531987654321", "5511987654321", "5215512345678"])
def test_evolution_api_gets_whole_jids(number: str) -> None:
    for action in (Action.BLOCK, Action.UNBLOCK):
        request = EVOLUTION.build_request(Command(action, Contact(number)))
        assert request.json["number"] == f"{number}@s.whatsapp.net"


def test_only_providers_with_a_documented_list_declare_one() -> None:
    providers = (WUTS, WAPPFY, GATEWAY, WAHA, EVOLUTION, MEMORY)
    assert all(each.actions() >= {Action.BLOCK, Action.UNBLOCK} for each in providers)
    assert [each.name for each in providers if Action.LIST in each.actions()] == ["wuts", "memory"]


# -- what every provider has from its base class


class Plain(Provider):
    """A provider that states no more than it must."""

    name = "plain"
    title = "Plain"
    routes = {
        "block": ("PUT", "/people/{jid}/block"),
        "list": ("GET", "/people"),
    }

    def build_request(self, command: Command) -> HttpRequest:
        if command.contact is None:
            return self.request(command)
        return self.request(command, {"why": "spam"}, jid=str(command.contact.jid))

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        return None


def with_headers(templates: Mapping[str, str]) -> type[Plain]:
    class WithHeaders(Plain):
        header_templates = Headers(templates)

    return WithHeaders


def test_headers_are_filled_with_options_and_secrets_by_name() -> None:
    templates = {"Authorization": "Bearer {token}", "X-For": "{session}/{api_key}", "X-Fixed": "1"}
    options = {"token": Secret("t0ken"), "session": "shop", "api_key": Secret("{token}")}
    provider = with_headers(templates)(options)
    filled = {"Authorization": "Bearer t0ken", "X-For": "shop/{token}", "X-Fixed": "1"}
    assert provider.headers == filled
    assert provider.build_request(BLOCK).headers == filled


def test_a_provider_without_templates_sends_no_headers_of_its_own() -> None:
    assert MEMORY.headers == Plain({}).headers == {}
    assert Plain({"token": Secret("t0ken")}).build_request(BLOCK).headers == {}


def test_the_headers_of_an_account_are_one_object_and_no_other_account_has_it() -> None:
    for provider in (WUTS, WAPPFY, WAPPFY_GUIDE, GATEWAY, WAHA, EVOLUTION):
        commands = [Command(action, PERSON) for action in (Action.BLOCK, Action.UNBLOCK)]
        commands += [LIST] if Action.LIST in provider.actions() else []
        assert all(provider.build_request(each).headers is provider.headers for each in commands)
    one, other = (WutsProvider({"token": Secret(token)}) for token in ("one", "other"))
    assert one.headers["Authorization"] == "Bearer one"
    assert other.headers["Authorization"] == "Bearer other"


def test_headers_show_no_secret() -> None:
    for provider in (WUTS, WAPPFY, GATEWAY, WAHA, EVOLUTION, Z_API):
        shown = f"{provider!r} {provider.headers!r} {provider.headers} {vars(provider)}"
        assert "t0ken" not in shown
        assert "k3y" not in shown


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("Bearer {tokn}", "X-Key needs the option tokn, as a text"),
        ("{token} {gone}", "X-Key needs the option gone, as a text"),
        ("{token} {size}", "X-Key needs the option size, as a text"),
        ("{token} {nothing}", "X-Key needs the option nothing, as a text"),
        ("{token} {}", "X-Key must name an option as {lower_case}"),
        ("{token} {Token}", "X-Key must name an option as {lower_case}"),
        ("{token} {token.reveal}", "X-Key must name an option as {lower_case}"),
        ("{token} {token!r}", "X-Key must name an option as {lower_case}"),
        ("{token} {token", "X-Key must name an option as {lower_case}"),
    ],
)
def test_a_header_template_that_cannot_be_filled_raises_when_the_provider_is_created(
    template: str, message: str
) -> None:
    options = {"token": Secret("t0ken"), "size": 5, "nothing": None, "session": "sh0p"}
    with pytest.raises(PluginError) as caught:
        with_headers({"X-Fixed": "f1xed", "X-Key": template})(options)
    assert str(caught.value) == f"WithHeaders.header_templates: {message}"
    assert caught.value.__context__ is None


def test_a_provider_may_still_make_more_of_its_options() -> None:
    class Signed(with_headers({"X-Key": "{key}"})):  # type: ignore[misc]
        def __init__(self, options: Mapping[str, Any]) -> None:
            super().__init__(options)
            self.headers: Headers = Headers({**self.headers, "X-Sum": str(len(options))})

    assert Signed({"key": "a"}).build_request(LIST).headers == {"X-Key": "a", "X-Sum": "1"}


def test_a_request_has_the_method_and_the_path_of_the_route_of_its_command() -> None:
    provider = Plain({})
    path = "/people/5511999999999@s.whatsapp.net/block"
    assert provider.build_request(BLOCK) == HttpRequest("PUT", path, json={"why": "spam"})
    assert provider.build_request(LIST) == HttpRequest("GET", "/people")
    with pytest.raises(ValueError, match="jid cannot be a part of a path"):
        provider.request(BLOCK, jid="../up")


@pytest.mark.parametrize(
    ("jids", "contacts"),
    [
        ([], ContactList(())),
        ([PERSON.jid, LID.lid, "5511999999999@c.us"], ContactList((PERSON, LID, PERSON))),
        (iter([PERSON.jid]), ContactList((PERSON,))),
        ([PERSON.jid, "120363039000000000@g.us"], ContactList((PERSON,), 1)),
        (["status@broadcast", LID.lid, "1@newsletter"], ContactList((LID,), 2)),
        ([PERSON.jid, None], None),
        ([PERSON.jid, 5511999999999], None),
        ([PERSON.jid, [PERSON.jid]], None),
        ([PERSON.jid, ""], None),
        ([PERSON.jid, PERSON.number], None),
        ([PERSON.jid, "1@nowhere"], None),
    ],
)
def test_a_list_is_read_as_a_whole_or_not_at_all(jids: Any, contacts: Any) -> None:
    assert read_contacts(jids) == contacts


@pytest.mark.parametrize(
    ("text", "contact"),
    [
        ("5511999999999", PERSON),
        ("+55 11 99999-9999", PERSON),
        (PERSON.jid, PERSON),
        ("5511999999999@c.us", PERSON),
        ("https://wa.me/5511999999999?text=a@b", PERSON),
        (LID.lid, LID),
        *[(text, None) for text in ("", "@", "1", "120363039000000000@g.us", "status@broadcast")],
    ],
)
def test_a_text_names_a_contact_by_number_or_by_jid(text: str, contact: Contact | None) -> None:
    if contact is not None:
        assert read_number_or_jid(text) == contact
        return
    with pytest.raises(RequestError) as refused:
        read_number_or_jid(text)
    assert refused.value.outcome.code is Code.INVALID_TARGET


@pytest.mark.parametrize("wrong", [{}, {"b": None}, {"b": 5}, {"b": ["text"]}])
def test_texts_of_a_body_are_all_there_or_the_first_that_is_not_is_named(
    wrong: dict[str, Any],
) -> None:
    assert read_texts({"a": "1", "b": "", "c": 5}, "b", "a") == ("", "1")
    with pytest.raises(RequestError) as refused:
        read_texts({"a": "1", **wrong}, "a", "b", "c")
    assert refused.value.outcome.code is Code.VALIDATION_ERROR
    assert refused.value.outcome.fields == {"b": ("is required and must be text",)}


# -- answers: one row per cell of the table; a provider without the cell has no row in it


def wuts_state(action: str, *, blocked: bool) -> dict[str, Any]:
    data = {"jid": PERSON.jid, "phone_number": PERSON.number, "action": action}
    return {"success": True, "data": {**data, "blocked": blocked, "count": 3, "dhash": "2:abc"}}


def flat(code: str | None = None, text: str = "validation failed") -> dict[str, Any]:
    timed = {"success": False, "error": text, "timestamp": "2026-06-15T12:00:00Z"}
    return timed if code is None else {**timed, "error_code": code}


def nested(code: str) -> dict[str, Any]:
    return {"success": False, "error": {"code": code, "message": "text"}}


def gateway(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "text", "details": {}}}


def waha(status: int) -> dict[str, Any]:
    return {"message": "text", "error": "text", "statusCode": status}


def two_keys() -> dict[str, Any]:
    return {"message": "Unauthorized", "statusCode": 401}


def evolution(status: int, message: Any) -> dict[str, Any]:
    return {"status": status, "error": "text", "response": {"message": message}}


SENTENCE = ["Method not available on WhatsApp Business API"]
SAID_YES = {"success": True, "message": "Contact blocked successfully"}
SAID_NO = {"success": False, "message": "no"}
STOPPED = {"error": "text", "session": "shop", "status": "STOPPED", "expected": ["WORKING"]}
HTML = b"<!doctype html><h1>Not Found</h1>"

TABLE: list[tuple[str, Provider, Answer, Code | Confirmation]] = [
    ("success", WUTS, (200, wuts_state("block", blocked=True)), Confirmation.PROVIDER_STATE),
    ("success", WAPPFY, (200, SAID_YES), Confirmation.ACCEPTED),
    ("success", WAPPFY, (201, None), Confirmation.ACCEPTED),
    ("success", GATEWAY, (204, None), Confirmation.ACCEPTED),
    ("success", WAHA, (201, None), Confirmation.ACCEPTED),
    ("success", EVOLUTION, (201, {"block": "success"}), Confirmation.ACCEPTED),
    ("success without evidence", WAHA, (200, None), Code.PROVIDER_BAD_RESPONSE),
    ("success without evidence", WAHA, (204, None), Code.PROVIDER_BAD_RESPONSE),
    ("success without evidence", WAHA, (201, HTML), Code.PROVIDER_BAD_RESPONSE),
    ("success without evidence", WAHA, (201, SAID_YES), Code.PROVIDER_BAD_RESPONSE),
    (
        "success without evidence",
        EVOLUTION,
        (200, {"block": "success"}),
        Code.PROVIDER_BAD_RESPONSE,
    ),
    ("success without evidence", EVOLUTION, (201, None), Code.PROVIDER_BAD_RESPONSE),
    ("success without evidence", EVOLUTION, (201, {"block": "error"}), Code.PROVIDER_BAD_RESPONSE),
    ("success without evidence", EVOLUTION, (201, {"block": True}), Code.PROVIDER_BAD_RESPONSE),
    ("success without evidence", EVOLUTION, (201, HTML), Code.PROVIDER_BAD_RESPONSE),
    ("422 with three keys", WAHA, (422, waha(422)), Code.OPERATION_NOT_SUPPORTED),
    (
        "422 with more keys",
        WAHA,
        (422, {**waha(422), "status": "STOPPED"}),
        Code.PROVIDER_MISADDRESSED,
    ),
    ("422 with a list", WAHA, (422, {**waha(422), "message": ["text"]}), Code.TARGET_REJECTED),
    ("422 with status + expected", WAHA, (422, STOPPED), Code.SESSION_NOT_CONNECTED),
    ("422", WAHA, (422, None), Code.PROVIDER_MISADDRESSED),
    ("400", WAHA, (400, waha(400)), Code.TARGET_REJECTED),
    ("401", WAHA, (401, two_keys()), Code.PROVIDER_AUTH_FAILED),
    ("403", WAHA, (403, waha(403)), Code.PROVIDER_PERMISSION_DENIED),
    ("404 in JSON", WAHA, (404, waha(404)), Code.SESSION_NOT_FOUND),
    ("404 otherwise", WAHA, (404, HTML), Code.PROVIDER_MISADDRESSED),
    ("404 otherwise", WAHA, (404, None), Code.PROVIDER_MISADDRESSED),
    ("501", WAHA, (501, waha(501)), Code.OPERATION_NOT_SUPPORTED),
    ("501", WAHA, (501, None), Code.PROVIDER_MISADDRESSED),
    ("503", WAHA, (503, HTML), Code.PROVIDER_UNAVAILABLE),
    ("400 nested", EVOLUTION, (400, evolution(400, [["text"]])), Code.TARGET_REJECTED),
    ("400 flat", EVOLUTION, (400, evolution(400, SENTENCE)), Code.OPERATION_NOT_SUPPORTED),
    ("400 otherwise", EVOLUTION, (400, evolution(400, [])), Code.TARGET_REJECTED),
    ("400 otherwise", EVOLUTION, (400, evolution(400, "text")), Code.TARGET_REJECTED),
    ("400 otherwise", EVOLUTION, (400, evolution(400, [{"exists": False}])), Code.TARGET_REJECTED),
    ("400 otherwise", EVOLUTION, (400, evolution(400, ["one", "two"])), Code.TARGET_REJECTED),
    ("400 otherwise", EVOLUTION, (400, None), Code.PROVIDER_MISADDRESSED),
    ("422 flat", EVOLUTION, (422, evolution(422, SENTENCE)), Code.TARGET_REJECTED),
    ("401", EVOLUTION, (401, evolution(401, "Unauthorized")), Code.PROVIDER_AUTH_FAILED),
    ("403", EVOLUTION, (403, evolution(403, SENTENCE)), Code.PROVIDER_PERMISSION_DENIED),
    ("404 in its shape", EVOLUTION, (404, evolution(404, ["text"])), Code.SESSION_NOT_FOUND),
    ("404 otherwise", EVOLUTION, (404, {"detail": "Not Found"}), Code.PROVIDER_MISADDRESSED),
    ("404 otherwise", EVOLUTION, (404, HTML), Code.PROVIDER_MISADDRESSED),
    ("404 otherwise", EVOLUTION, (404, None), Code.PROVIDER_MISADDRESSED),
    ("500", EVOLUTION, (500, evolution(500, ["text", "[object Object]"])), Code.PROVIDER_ERROR),
    ("501", EVOLUTION, (501, None), Code.PROVIDER_MISADDRESSED),
    ("503", EVOLUTION, (503, evolution(503, SENTENCE)), Code.PROVIDER_UNAVAILABLE),
    ("success without evidence", WUTS, (200, {"success": True}), Code.PROVIDER_BAD_RESPONSE),
    ("success without evidence", WUTS, (200, None), Code.PROVIDER_BAD_RESPONSE),
    ("success without evidence", WUTS, (204, None), Code.PROVIDER_BAD_RESPONSE),
    ("success without evidence", WAPPFY, (200, None), Code.PROVIDER_BAD_RESPONSE),
    ("success without evidence", WAPPFY, (200, {"message": "ok"}), Code.PROVIDER_BAD_RESPONSE),
    ("success without evidence", WAPPFY, (201, HTML), Code.PROVIDER_BAD_RESPONSE),
    ("success without evidence", WAPPFY, (202, None), Code.PROVIDER_BAD_RESPONSE),
    ("success without evidence", WAPPFY, (204, None), Code.PROVIDER_BAD_RESPONSE),
    ("success without evidence", GATEWAY, (200, None), Code.PROVIDER_BAD_RESPONSE),
    ("success without evidence", GATEWAY, (200, SAID_YES), Code.PROVIDER_BAD_RESPONSE),
    ("success without evidence", GATEWAY, (204, HTML), Code.PROVIDER_BAD_RESPONSE),
    (
        *("another state than asked", WUTS),
        *((200, wuts_state("unblock", blocked=False)), Code.PROVIDER_BAD_RESPONSE),
    ),
    (
        *("another action than asked", WUTS),
        *((200, wuts_state("unblock", blocked=True)), Code.PROVIDER_BAD_RESPONSE),
    ),
    ("200 success: false", WUTS, (200, flat("DEVICE_NOT_READY")), Code.SESSION_NOT_CONNECTED),
    ("200 success: false", WUTS, (200, flat("VALIDATION_ERROR")), Code.TARGET_REJECTED),
    ("200 success: false", WUTS, (200, flat("SOMETHING_ELSE")), Code.PROVIDER_ERROR),
    ("200 success: false", WUTS, (200, flat()), Code.PROVIDER_ERROR),
    ("200 success: false", WAPPFY, (200, SAID_NO), Code.PROVIDER_ERROR),
    ("400", WUTS, (400, flat("VALIDATION_ERROR")), Code.TARGET_REJECTED),
    ("400", WUTS, (400, flat()), Code.TARGET_REJECTED),
    ("400", WAPPFY, (400, None), Code.PROVIDER_MISADDRESSED),
    ("400", WAPPFY, (400, waha(400)), Code.TARGET_REJECTED),
    ("400", GATEWAY, (400, gateway("validation_error")), Code.TARGET_REJECTED),
    ("400", GATEWAY, (400, None), Code.PROVIDER_MISADDRESSED),
    ("422", WUTS, (422, flat("VALIDATION_ERROR")), Code.TARGET_REJECTED),
    ("422", WUTS, (422, None), Code.PROVIDER_MISADDRESSED),
    ("422", WAPPFY, (422, waha(422)), Code.TARGET_REJECTED),
    ("422", WAPPFY, (422, {**waha(422), "status": "STOPPED"}), Code.PROVIDER_MISADDRESSED),
    ("422 with status + expected", WAPPFY, (422, STOPPED), Code.SESSION_NOT_CONNECTED),
    ("422", GATEWAY, (422, gateway("validation_error")), Code.TARGET_REJECTED),
    ("422", GATEWAY, (422, None), Code.PROVIDER_MISADDRESSED),
    ("401", WUTS, (401, {"success": False, "error": "Invalid token"}), Code.PROVIDER_AUTH_FAILED),
    ("401", WAPPFY, (401, None), Code.PROVIDER_AUTH_FAILED),
    ("401", GATEWAY, (401, gateway("unauthorized")), Code.PROVIDER_AUTH_FAILED),
    ("401", GATEWAY, (401, HTML), Code.PROVIDER_MISADDRESSED),
    ("402", WUTS, (402, flat()), Code.PROVIDER_PERMISSION_DENIED),
    ("402", WAPPFY, (402, None), Code.PROVIDER_MISADDRESSED),
    ("402", GATEWAY, (402, None), Code.PROVIDER_MISADDRESSED),
    ("403", WUTS, (403, flat("<unknown>")), Code.PROVIDER_PERMISSION_DENIED),
    ("403", WAPPFY, (403, None), Code.PROVIDER_MISADDRESSED),
    ("403", GATEWAY, (403, gateway("forbidden")), Code.PROVIDER_PERMISSION_DENIED),
    ("403", GATEWAY, (403, None), Code.PROVIDER_MISADDRESSED),
    ("404 in its envelope", WUTS, (404, flat("<unknown>")), Code.SESSION_NOT_FOUND),
    ("404 otherwise", WUTS, (404, HTML), Code.PROVIDER_MISADDRESSED),
    ("404 otherwise", WUTS, (404, {"detail": "Not Found"}), Code.PROVIDER_MISADDRESSED),
    ("404 in JSON", WAPPFY, (404, waha(404)), Code.SESSION_NOT_FOUND),
    ("404 otherwise", WAPPFY, (404, HTML), Code.PROVIDER_MISADDRESSED),
    ("404 otherwise", WAPPFY, (404, None), Code.PROVIDER_MISADDRESSED),
    ("404 not_found", GATEWAY, (404, gateway("not_found")), Code.SESSION_NOT_FOUND),
    ("404 otherwise", GATEWAY, (404, gateway("no_route")), Code.PROVIDER_MISADDRESSED),
    ("404 otherwise", GATEWAY, (404, HTML), Code.PROVIDER_MISADDRESSED),
    ("501", WUTS, (501, flat()), Code.OPERATION_NOT_SUPPORTED),
    ("501", WUTS, (501, gateway("not_implemented")), Code.PROVIDER_MISADDRESSED),
    ("501", WAPPFY, (501, None), Code.OPERATION_NOT_SUPPORTED),
    ("501", WAPPFY, (501, waha(501)), Code.OPERATION_NOT_SUPPORTED),
    ("501 not_implemented", GATEWAY, (501, gateway("not_implemented")), Code.SESSION_NOT_CONNECTED),
    ("501 otherwise", GATEWAY, (501, gateway("no_such_thing")), Code.OPERATION_NOT_SUPPORTED),
    ("501 otherwise", GATEWAY, (501, b"not_implemented"), Code.PROVIDER_MISADDRESSED),
    ("501 otherwise", GATEWAY, (501, None), Code.PROVIDER_MISADDRESSED),
    ("503", WUTS, (503, flat()), Code.PROVIDER_UNAVAILABLE),
    ("503", WAPPFY, (503, None), Code.PROVIDER_UNAVAILABLE),
    ("503", GATEWAY, (503, HTML), Code.PROVIDER_UNAVAILABLE),
    ("503 DEVICE_NOT_READY", WUTS, (503, flat("DEVICE_NOT_READY")), Code.SESSION_NOT_CONNECTED),
    *[
        (f"{status}", provider, (status, body), code)
        for provider in (WUTS, WAPPFY, GATEWAY, WAHA, EVOLUTION)
        for body in (None, HTML, {"unknown": "shape"})
        for status, code in (
            *((status, Code.PROVIDER_MISADDRESSED) for status in (400, 402, 403, 404, 405, 406)),
            *((status, Code.PROVIDER_MISADDRESSED) for status in (407, 409, *range(410, 429))),
            *((status, Code.PROVIDER_MISADDRESSED) for status in (430, 431, 444, 451, 499)),
            (408, Code.PROVIDER_TIMEOUT),
            (429, Code.PROVIDER_RATE_LIMITED),
            (500, Code.PROVIDER_ERROR),
            (502, Code.PROVIDER_ERROR),
            (504, Code.PROVIDER_TIMEOUT),
            (511, Code.PROVIDER_ERROR),
            (599, Code.PROVIDER_ERROR),
            *((status, Code.PROVIDER_MISADDRESSED) for status in (300, 301, 302, 303, 304, 399)),
            (307, Code.PROVIDER_REDIRECTED),
            (308, Code.PROVIDER_REDIRECTED),
            (100, Code.PROVIDER_BAD_RESPONSE),
        )
    ],
]


@pytest.mark.parametrize(
    ("cell", "provider", "answer", "expected"),
    TABLE,
    ids=[f"{provider.name}-{cell}-{number}" for number, (cell, provider, *_) in enumerate(TABLE)],
)
def test_a_response_has_the_meaning_of_the_table(
    cell: str, provider: Provider, answer: Answer, expected: Code | Confirmation
) -> None:
    assert read(provider, answer) is expected


def test_501_is_a_sleeping_session_at_the_gateway_and_no_such_operation_at_wappfy() -> None:
    asleep = read(GATEWAY, (501, gateway("not_implemented")))
    assert asleep is Code.SESSION_NOT_CONNECTED
    assert asleep.http_status == 409

    unsupported = read(WAPPFY, (501, waha(501)))
    assert unsupported is Code.OPERATION_NOT_SUPPORTED
    assert unsupported.http_status == 501


@pytest.mark.parametrize("status", [*range(200, 300, 7), *range(400, 600, 7), 500, 501, 503])
def test_device_not_ready_is_a_sleeping_session_at_any_status(status: int) -> None:
    for shape in (flat("DEVICE_NOT_READY"), nested("DEVICE_NOT_READY")):
        assert read(WUTS, (status, shape)) is Code.SESSION_NOT_CONNECTED


# -- the order of evidence: provider code, then a field of the body, then the status


@pytest.mark.parametrize(
    ("shape", "machine"),
    [
        ({"success": False, "error": "validation failed", "error_code": "VALIDATION_ERROR"}, True),
        ({"success": False, "error": "Invalid token"}, False),
        ({"success": False, "error": {"code": "invalid_request", "message": "text"}}, True),
    ],
    ids=["flat with a code", "flat without a code", "nested"],
)
def test_wuts_errors_are_read_in_all_three_shapes(shape: dict[str, Any], machine: bool) -> None:
    by_code = Code.TARGET_REJECTED if machine else Code.PROVIDER_AUTH_FAILED
    outcome = WUTS.parse_response(BLOCK, respond((401, shape)))
    assert outcome.code is by_code
    assert (outcome.provider_code is not None) is machine


@pytest.mark.parametrize(
    ("provider", "answer", "expected", "provider_code"),
    [
        # a known provider code is stronger than field and status
        (WUTS, (404, flat("DEVICE_NOT_READY")), Code.SESSION_NOT_CONNECTED, "DEVICE_NOT_READY"),
        (WUTS, (401, flat("VALIDATION_ERROR")), Code.TARGET_REJECTED, "VALIDATION_ERROR"),
        (GATEWAY, (500, gateway("not_found")), Code.SESSION_NOT_FOUND, "not_found"),
        (GATEWAY, (404, gateway("forbidden")), Code.PROVIDER_PERMISSION_DENIED, "forbidden"),
        # a field of the body is stronger than the status
        (WUTS, (404, flat("NEW_CODE")), Code.SESSION_NOT_FOUND, None),
        (WAPPFY, (422, STOPPED), Code.SESSION_NOT_CONNECTED, None),
        # an unknown provider code leaves the status, and is not repeated
        (WUTS, (503, flat("NEW_CODE")), Code.PROVIDER_UNAVAILABLE, None),
        (GATEWAY, (429, gateway("NEW_CODE")), Code.PROVIDER_RATE_LIMITED, None),
        # the text of a known code elsewhere in the body is no provider code
        (WUTS, (500, flat(text="DEVICE_NOT_READY")), Code.PROVIDER_ERROR, None),
        (WUTS, (500, {"data": {"error_code": "DEVICE_NOT_READY"}}), Code.PROVIDER_ERROR, None),
        (GATEWAY, (500, {"code": "not_found"}), Code.PROVIDER_ERROR, None),
        (WUTS, (500, flat("device_not_ready")), Code.PROVIDER_ERROR, None),
        # a provider code makes even a 2xx a failure, but not a redirect an answer
        (GATEWAY, (204, gateway("not_implemented")), Code.SESSION_NOT_CONNECTED, "not_implemented"),
        (GATEWAY, (302, gateway("not_implemented")), Code.PROVIDER_MISADDRESSED, None),
        (GATEWAY, (307, gateway("not_implemented")), Code.PROVIDER_REDIRECTED, None),
    ],
)
def test_the_stronger_evidence_decides(
    provider: Provider, answer: Answer, expected: Code, provider_code: str | None
) -> None:
    outcome = provider.parse_response(BLOCK, respond(answer))
    assert (outcome.code, outcome.provider_code) == (expected, provider_code)


@pytest.mark.parametrize(
    ("validation", "names"),
    [
        ([{"field": "number", "message": "5511999999999 is bad", "value": ""}], {"number"}),
        ([{"field": "jid"}], {"jid"}),
        ([{"field": "jid"}, {"field": "number"}], {"number", "jid"}),
        ([{"field": "token"}], set()),
        ([{"field": ["number"]}, "number", None, {}], set()),
        ({"field": "number"}, set()),
        ("number", set()),
        (None, set()),
    ],
)
def test_wuts_names_the_refused_fields_and_never_repeats_its_texts(
    validation: Any, names: set[str]
) -> None:
    body = {**flat("VALIDATION_ERROR"), "validation": validation}
    outcome = WUTS.parse_response(BLOCK, respond((400, body)))
    assert outcome.code is Code.TARGET_REJECTED
    assert outcome.fields == dict.fromkeys(names, (REFUSED,))


def test_fields_are_named_only_where_the_target_is_refused() -> None:
    body = {**flat("DEVICE_NOT_READY"), "validation": [{"field": "number"}]}
    assert WUTS.parse_response(BLOCK, respond((400, body))).fields == {}


# -- lists


@pytest.mark.parametrize(
    ("data", "contacts"),
    [
        ({"items": [], "count": 0, "dhash": "2:a"}, ()),
        ({"items": []}, ()),
        ({"items": [{"jid": PERSON.jid, "phone_number": "5511999999999"}], "count": 1}, (PERSON,)),
        ({"items": [{"jid": LID.lid}], "count": 1}, (LID,)),
        (
            {"items": [{"jid": LID.lid, "phone_number": "5511999999999"}]},
            (Contact("5511999999999", LID.lid),),
        ),
        ({"items": [{"jid": LID.lid, "phone_number": ""}]}, (LID,)),
        ({"items": [{"jid": LID.lid, "phone_number": "not a number"}]}, None),
        ({"items": [{"jid": PERSON.jid}], "count": 2}, None),
        ({"items": [{"jid": PERSON.jid}, {"jid": "1@nowhere"}], "count": 2}, None),
        ({"items": [{"jid": PERSON.jid}, {"jid": "120363039000000000@g.us"}]}, (PERSON,)),
        ({"items": [PERSON.jid], "count": 1}, None),
        ({"items": None, "count": 0}, None),
        ({"items": {}, "count": 0}, None),
        ({"count": 0}, None),
        (None, None),
    ],
)
def test_an_unreadable_list_is_never_an_empty_or_a_shorter_one(
    data: Any, contacts: tuple[Contact, ...] | None
) -> None:
    outcome = WUTS.parse_response(LIST, respond((200, {"success": True, "data": data})))
    assert outcome.contacts == contacts
    assert outcome.code is (None if contacts is not None else Code.PROVIDER_BAD_RESPONSE)


# -- Retry-After

DATE = "Sun, 01 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "30"}, 30),
        ({"retry-after": " 30 "}, 30),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "3600"}, 3600),
        ({"Retry-After": "3601"}, 3600),
        ({"Retry-After": "999999999"}, 3600),
        ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "0.493"}, 1),
        ({"Retry-After": "1.0"}, 1),
        ({"Retry-After": "30.5"}, 31),
        ({"Retry-After": "1e3"}, None),
        ({"Retry-After": "120, 120"}, 120),
        ({"Retry-After": "5,120"}, 120),
        ({"Retry-After": "5, soon"}, None),
        ({"Retry-After": "Sunday, 01-Nov-26 12:00:45 GMT", "Date": DATE}, 45),
        ({"Retry-After": "Sun Nov  1 12:00:45 2026", "Date": DATE}, 45),
        ({"Retry-After": "Sun, 01 Nov 2026 12:00:45 GMT", "Date": f"{DATE}, {DATE}"}, 45),
        ({"Retry-After": "Sun, 01 Nov 2026 12:00:45 GMT, 60", "Date": DATE}, 60),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "\N{FULLWIDTH DIGIT THREE}0"}, None),
        ({"Retry-After": "Sun, 01 Nov 2026 12:00:45 GMT", "Date": DATE}, 45),
        ({"Retry-After": "Mon, 02 Nov 2026 12:00:00 GMT", "Date": DATE}, 3600),
        ({"Retry-After": "Sun, 01 Nov 2026 11:59:00 GMT", "Date": DATE}, 0),
        ({"Retry-After": "Sun, 01 Nov 2020 12:00:45 GMT"}, 0),
        ({"Retry-After": "Sun, 01 Nov 2020 12:00:45 GMT", "Date": "today"}, 0),
        ({"Retry-After": "Sun, 01 Nov 2026 12:00:45 -0000", "Date": DATE}, None),
        ({"Retry-After": "Sun, 99 Nov 2026 12:00:45 GMT", "Date": DATE}, None),
        ({"Retry-After": "Sun, 01 Nov 99999999 12:00:45 GMT", "Date": DATE}, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date_and_is_never_above_an_hour(
    headers: dict[str, str], seconds: int | None
) -> None:
    for provider in (WUTS, WAPPFY, GATEWAY, WAHA, EVOLUTION, MEMORY):
        outcome = provider.parse_response(BLOCK, respond((429, None), headers))
        assert outcome.code is Code.PROVIDER_RATE_LIMITED
        assert outcome.retry_after == seconds


@pytest.mark.parametrize("date", [{}, {"Date": ""}, {"Date": "yesterday"}])
def test_a_date_is_compared_with_our_clock_where_the_response_has_none(
    date: dict[str, str],
) -> None:
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)
    headers = Headers({"Retry-After": "Sun, 01 Nov 2026 12:00:45 GMT", **date})
    assert read_retry_after(headers, now) == 45


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500, 501, 503, 504])
def test_only_a_code_that_may_wait_carries_retry_after(status: int) -> None:
    outcome = WUTS.parse_response(BLOCK, respond((status, None), {"Retry-After": "5"}))
    assert outcome.code
    assert outcome.retry_after == (5 if outcome.code.carries_retry_after else None)


# -- the native requests that the documents show, as the dialects read them


@pytest.mark.parametrize(
    ("dialect", "path", "body", "action", "session"),
    [
        (WutsDialect, "/contacts/unblock", {"number": "5511999999999"}, Action.UNBLOCK, None),
        (WutsDialect, "/contacts/block", {"jid": PERSON.jid}, Action.BLOCK, None),
        (WutsDialect, "/contacts/block", {"number": "+55 (11) 99999-9999"}, Action.BLOCK, None),
        (
            *(WappfyDialect, "/api/contacts/unblock"),
            *({"sessionId": "my-session", "jid": PERSON.jid}, Action.UNBLOCK, "my-session"),
        ),
        (
            *(WappfyDialect, "/api/contacts/unblock"),
            {"contactId": "5511999999999@c.us", "session": "my-session"},
            *(Action.UNBLOCK, "my-session"),
        ),
        (
            *(WappfyDialect, "/api/contacts/block"),
            *({"contactId": "5511999999999", "session": "my-session"}, Action.BLOCK, "my-session"),
        ),
        *[
            (
                *(WahaDialect, "/api/contacts/block"),
                *({"contactId": target, "session": "default"}, Action.BLOCK, "default"),
            )
            for target in ("5511999999999", "5511999999999@c.us", PERSON.jid)
        ],
        *[
            (
                *(EvolutionApiDialect, "/chat/updateBlockStatus/shop"),
                *({"number": target, "status": "unblock"}, Action.UNBLOCK, "shop"),
            )
            for target in ("5511999999999", "+55 11 99999-9999", PERSON.jid, "5511999999999@c.us")
        ],
        (
            *(SessionGatewayDialect, f"{GATEWAY_PATH}{PERSON.jid}/unblock"),
            *(None, Action.UNBLOCK, "sess_01HZX"),
        ),
        (
            *(SessionGatewayDialect, f"{GATEWAY_PATH}5511999999999%40s.whatsapp.net/block"),
            *(None, Action.BLOCK, "sess_01HZX"),
        ),
    ],
)
def test_a_dialect_reads_the_requests_that_the_documents_show(
    dialect: type[Dialect], path: str, body: Any, action: Action, session: str | None
) -> None:
    call = dialect().parse_request(HttpRequest("POST", path, json=body))
    assert call.command == Command(action, PERSON)
    assert call.session == session


def test_the_wuts_dialect_takes_a_name_that_the_body_lacks_from_the_query() -> None:
    request = HttpRequest("POST", "/contacts/block", query={"number": "5511999999999"})
    assert WutsDialect().parse_request(request).command == BLOCK


@pytest.mark.parametrize(
    ("dialect", "path", "body"),
    [
        (WutsDialect, "/contacts/block", {"jid": "120363039000000000@g.us"}),
        (WappfyDialect, "/api/contacts/block", {"session": "s", "contactId": "1203@g.us"}),
        (WahaDialect, "/api/contacts/block", {"session": "s", "contactId": "1203@g.us"}),
        *[
            (
                *(EvolutionApiDialect, "/chat/updateBlockStatus/shop"),
                {"number": target, "status": "block"},
            )
            for target in ("120363039000000000@g.us", "status@broadcast")
        ],
        (SessionGatewayDialect, f"{GATEWAY_PATH}120363039000000000@g.us/block", None),
        (SessionGatewayDialect, f"{GATEWAY_PATH}120363039000000000@newsletter/block", None),
    ],
)
def test_a_dialect_refuses_a_group_or_a_channel(
    dialect: type[Dialect], path: str, body: Any
) -> None:
    with pytest.raises(RequestError) as refused:
        dialect().parse_request(HttpRequest("POST", path, json=body))
    assert refused.value.outcome.code is Code.INVALID_TARGET


@pytest.mark.parametrize("status", [None, "list", "blocked", "BLOCK", "", 1, ["block"]])
def test_the_evolution_api_dialect_does_only_what_the_body_says(status: Any) -> None:
    body = {"number": "5511999999999", "status": status}
    with pytest.raises(RequestError) as refused:
        EvolutionApiDialect().parse_request(
            HttpRequest("POST", "/chat/updateBlockStatus/shop", json=body)
        )
    assert refused.value.outcome.code is Code.VALIDATION_ERROR
    assert set(refused.value.outcome.fields) == {"status"}


# -- the memory


def test_the_memory_has_one_magic_number_for_each_code() -> None:
    assert sorted(code.value for code in MAGIC_NUMBERS.values()) == sorted(
        code.value for code in Code
    )


@pytest.mark.parametrize("number", MAGIC_NUMBERS)
@pytest.mark.parametrize("action", [Action.BLOCK, Action.UNBLOCK])
def test_a_magic_number_returns_its_code_and_changes_no_list(number: str, action: Action) -> None:
    provider = MemoryProvider({})
    command = Command(action, Contact(number))
    outcome = provider.parse_response(
        command, provider.handle_request(provider.build_request(command))
    )
    assert outcome.code is MAGIC_NUMBERS[number]
    assert outcome.retry_after == (1 if outcome.code.carries_retry_after else None)
    listed = provider.parse_response(LIST, provider.handle_request(provider.build_request(LIST)))
    assert listed.contacts == ()


def test_the_memory_lists_each_blocked_contact_once_and_in_order() -> None:
    provider = MemoryProvider({})

    def do(action: Action, contact: Contact | None = None) -> Outcome:
        command = Command(action, contact)
        response = provider.handle_request(provider.build_request(command))
        outcome: Outcome = provider.parse_response(command, response)
        return outcome

    for contact in (PERSON, LID, PERSON):
        assert do(Action.BLOCK, contact).confirmation is Confirmation.PROVIDER_STATE
    assert do(Action.LIST).contacts == (PERSON, LID)
    for _ in range(2):
        assert do(Action.UNBLOCK, PERSON).ok
    assert do(Action.LIST).contacts == (LID,)


# -- any answer at all


def lax(body: bytes) -> Any:
    """Read JSON as leniently as Python does; what even this cannot read proves nothing."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def at(document: Any, *keys: str) -> Any:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def wuts_proves(command: Command, status: int, body: bytes) -> bool:
    document = lax(body)
    if status != 200 or at(document, "success") is not True:
        return False
    if command.contact is None:
        return isinstance(at(document, "data", "items"), list)
    return at(document, "data", "blocked") is (command.action is Action.BLOCK)


def wappfy_proves(command: Command, status: int, body: bytes) -> bool:
    said_yes = at(lax(body), "success") is True
    return (status in (200, 201) and said_yes) or (status == 201 and body == b"")


def gateway_proves(command: Command, status: int, body: bytes) -> bool:
    return status == 204 and body == b""


def waha_proves(command: Command, status: int, body: bytes) -> bool:
    return status == 201 and body == b""


def evolution_proves(command: Command, status: int, body: bytes) -> bool:
    return status == 201 and at(lax(body), "block") == "success"


def memory_proves(command: Command, status: int, body: bytes) -> bool:
    blocked = at(lax(body), "blocked")
    if command.contact is None:
        return 200 <= status <= 299 and isinstance(blocked, list)
    return 200 <= status <= 299 and blocked is (command.action is Action.BLOCK)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([PERSON.jid, LID.lid, "DEVICE_NOT_READY", "not_implemented", "block"]),
)
keys = st.sampled_from(
    [
        *("success", "data", "blocked", "items", "count", "action", "jid", "phone_number"),
        *("error", "error_code", "code", "status", "expected", "validation", "field", "message"),
        *("connected", "numberExists", "chatId", "exists", "isInWhatsapp", "authenticated"),
        *("isOnWhatsApp", "query", "id", "isBlocked", "lookups", "on_whatsapp", "number"),
    ]
)
documents = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=5),
    max_leaves=12,
)
near_successes = st.builds(
    lambda success, data: {"success": success, "data": data},
    st.sampled_from([True, True, True, False, 1, "true", None]),
    st.fixed_dictionaries(
        {},
        optional={
            "blocked": st.sampled_from([True, False, 1, 0, "true", None]),
            "action": st.sampled_from(["block", "unblock", "list", None]),
            "items": st.lists(st.fixed_dictionaries({"jid": scalars}), max_size=2) | scalars,
            "count": st.integers(0, 2) | scalars,
        },
    ),
)
bodies = st.one_of(
    st.just(b""),
    st.binary(max_size=40),
    documents.map(lambda document: json.dumps(document).encode()),
    near_successes.map(lambda document: json.dumps(document).encode()),
    st.fixed_dictionaries({"blocked": documents}).map(lambda found: json.dumps(found).encode()),
    st.fixed_dictionaries({"block": st.sampled_from(["success", "Success", True, None])}).map(
        lambda found: json.dumps(found).encode()
    ),
)
statuses = st.one_of(st.integers(100, 599), st.sampled_from([200, 201, 202, 204, 422, 501]))
headers = st.dictionaries(
    st.sampled_from(["Retry-After", "Date", "Content-Type", "X-Any"]),
    st.one_of(st.text(max_size=20), st.integers().map(str), st.sampled_from([DATE])),
    max_size=4,
)


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("provider", "proves"),
    [
        (WUTS, wuts_proves),
        (WAPPFY, wappfy_proves),
        (WAPPFY_GUIDE, wappfy_proves),
        (GATEWAY, gateway_proves),
        (WAHA, waha_proves),
        (EVOLUTION, evolution_proves),
        (MEMORY, memory_proves),
    ],
    ids=[
        *("wuts", "wappfy", "wappfy-guide", "session-gateway", "waha", "evolution-api", "memory"),
    ],
)
@settings(max_examples=300, deadline=None)
@given(
    action=st.sampled_from(list(Action)),
    contact=st.sampled_from([PERSON, LID]),
    status=statuses,
    header_fields=headers,
    body=bodies,
)
def test_any_response_is_an_outcome_and_a_success_only_with_its_evidence(
    provider: Provider,
    proves: Any,
    action: Action,
    contact: Contact,
    status: int,
    header_fields: dict[str, str],
    body: bytes,
) -> None:
    if action not in provider.actions():
        action = Action.BLOCK
    command = command_for(action, contact) or Command(Action.BLOCK, contact)
    response = HttpResponse(status, Headers(header_fields), body)
    outcome = provider.parse_response(command, response)
    assert isinstance(outcome, Outcome)
    assert outcome.upstream_status == status
    assert outcome.retry_after is None or 0 <= outcome.retry_after <= 3600
    assert outcome.provider_code in {None, *provider.provider_codes()}
    if outcome.ok and outcome.reading is not None:
        assert CONTRACTS[provider.name]().fault_in(outcome, command, response) == ""
    elif outcome.ok:
        assert proves(command, status, body)
        assert (outcome.contacts is not None) is (action is Action.LIST)
