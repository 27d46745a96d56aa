"""The evidence in responses, whatever the provider: errors, missing routes, other contacts."""

from __future__ import annotations

from typing import Any

import pytest
from adapter.providers.evolution_api import EvolutionApiProvider
from adapter.providers.meta_cloud import MetaCloudProvider
from adapter.providers.waha import WahaProvider
from adapter.providers.wuts import WutsProvider
from adapter.providers.z_api import ZApiProvider
from hypothesis import given
from hypothesis import strategies as st
from support import BUILT_IN

from adapter.evidence import holds_error, says_no_route
from adapter.plugin import (
    Action,
    Applied,
    Code,
    Command,
    Confirmation,
    Contact,
    ContactError,
    Headers,
    HttpRequest,
    HttpResponse,
    Lookup,
    Outcome,
    Provider,
    Relation,
    Secret,
    SecretField,
    find_values,
    json_response,
    read_lookup,
    read_number,
    read_person,
    relation,
)
from adapter.strict_json import write_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 399) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
PERSON = Contact("5511999999999")


@pytest.mark.parametrize(
    "document",
    [
        {"error": "You are not connected."},
        {"error": {"code": 500}},
        {"Error": True},
        {"errors": [{"message": "x"}]},
        {"error_code": "SOME"},
        {"errorCode": 17},
        {"error-message": "x"},
        {"error_description": "x"} | {"error": "x"},
        {"exception": {"name": "x"}},
        {"error_msg": "x"},
        {"errmsg": "x"},
        {"lastError": "x"},
        {"isError": True},
        {"has_error": 1},
        {"failed": True},
        {"statusCode": 500},
        {"statusCode": "500"},
        {"status": 404},
        {"status": "error"},
        {"status": "FAILED"},
        {"code": 400},
        {"success": "false"},
        {"data": [{"error": "x"}]},
        {"success": False},
        {"ok": False},
        {"data": {"error": "x"}},
        {"data": {"result": {"errors": ["x"]}}},
    ],
)
def test_an_error_in_a_body_is_found(document: Any) -> None:
    assert holds_error(document)
    assert holds_error({"value": True, **document})


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "error",
        {},
        {"error": None},
        {"error": ""},
        {"error": False, "errors": [], "error_code": 0},
        {"status": 200, "statusCode": 201, "code": 0},
        {"status": "active", "code": "DONE"},
        {"success": True, "ok": True},
        {"terror": "x", "errand": "y"},
        {"message": "error"},
        {"contacts": ["error"]},
        {"x" * 41 + "error": "x"},
    ],
)
def test_a_body_without_an_error_holds_none(document: Any) -> None:
    assert not holds_error(document)


def test_an_error_in_an_entry_of_a_list_is_not_one_of_the_whole() -> None:
    assert not holds_error({"contacts": [{"error": "x"}]}, arrays=False)
    assert holds_error({"contacts": [], "error": "x"}, arrays=False)


@pytest.mark.parametrize(
    "document",
    [
        {"success": True, "error_code": "VALIDATION_ERROR"},
        {"ok": True, "error": {"code": "DEVICE_NOT_READY"}},
        {"success": False, "error_code": "VALIDATION_ERROR", "data": {"blocked": True}},
        {"success": False, "error_code": "VALIDATION_ERROR", "state": [{"isBlocked": True}]},
    ],
)
@pytest.mark.parametrize("status", [200, 201, 400, 409, 422])
def test_a_refusal_that_says_success_or_shows_the_state_contradicts_itself(
    document: Any, status: int
) -> None:
    command = Command(Action.BLOCK, PERSON)
    outcome = provider_of("wuts").parse_response(command, json_response(status, document))
    assert outcome.code is Code.PROVIDER_BAD_RESPONSE


def test_a_success_with_an_unknown_provider_code_proves_nothing() -> None:
    class Coded(Naming):
        def parse_provider_code(self, document: Any) -> str | None:
            return document.get("reason") if isinstance(document, dict) else None

    command = Command(Action.BLOCK, PERSON)
    body = {"who": PERSON.jid, "reason": "LIMIT_REACHED"}
    outcome = Coded({}).parse_response(command, json_response(200, body))
    assert outcome.code is Code.PROVIDER_BAD_RESPONSE


def test_an_own_error_with_an_unknown_status_is_a_provider_error() -> None:
    command = Command(Action.BLOCK, PERSON)
    for status in (406, 413, 415, 423, 451):
        body = {"message": "x", "error": "x", "statusCode": status}
        outcome = provider_of("waha").parse_response(command, json_response(status, body))
        assert outcome.code is Code.PROVIDER_ERROR
    for status in (405, 410):
        body = {"message": "x", "error": "x", "statusCode": status}
        outcome = provider_of("waha").parse_response(command, json_response(status, body))
        assert outcome.code is Code.PROVIDER_MISADDRESSED


@given(JSON)
def test_looking_for_an_error_never_raises_and_one_that_is_added_is_found(document: Any) -> None:
    holds_error(document)
    says_no_route(document)
    if isinstance(document, dict):
        assert holds_error({**document, "error": "x"})


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_the_fixed_sentence_of_a_missing_route_is_found_at_the_start_of_a_text(method: str) -> None:
    sentence = f"Cannot {method} /manager/chat/updateBlockStatus/x"
    assert says_no_route({"message": sentence})
    assert says_no_route({"response": {"message": [sentence]}})
    assert not says_no_route({"message": f"It says: {sentence}"})
    assert not says_no_route({"message": f"Cannot {method.lower()} /x"})
    assert not says_no_route({"message": "Cannot BLOCK /x"})


# -- the same person, by what the response names


class Naming(Provider):
    """A provider whose success names the contact."""

    name = "naming"
    title = "Naming"
    confirmation = Confirmation.PROVIDER_STATE
    routes = WutsProvider.routes

    def build_request(self, command: Command) -> Any:
        raise NotImplementedError

    def parse_named_contact(self, command: Command, document: Any) -> Contact | None:
        return Contact.from_jid(document["who"]) if isinstance(document, dict) else None

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        return self.success(response) if response.status == 200 else None


STATE, ACCEPTED, BAD = "provider_state", "accepted", "provider_bad_response"


@pytest.mark.parametrize(
    ("asked", "named", "told"),
    [
        ("5511999999999@s.whatsapp.net", "5511999999999@c.us", STATE),
        ("5511999999999@s.whatsapp.net", "5511999999999:12@s.whatsapp.net", STATE),
        ("5511999999999@s.whatsapp.net", "551199999999@s.whatsapp.net", STATE),  # ninth digit
        ("551199999999@s.whatsapp.net", "5511999999999@s.whatsapp.net", STATE),
        ("5215512345678@s.whatsapp.net", "525512345678@s.whatsapp.net", STATE),
        ("5491123456789@s.whatsapp.net", "541123456789@s.whatsapp.net", STATE),
        ("5511999999999@s.whatsapp.net", "205227043110953@lid", ACCEPTED),
        ("205227043110953@lid", "5511999999999@s.whatsapp.net", ACCEPTED),
        ("205227043110953@lid", "205227043110953@hosted.lid", STATE),
        ("205227043110953@lid", "205227043110954@lid", BAD),
        ("5511999999999@s.whatsapp.net", "5511999999998@s.whatsapp.net", BAD),
        ("5511999999999@s.whatsapp.net", "5521999999999@s.whatsapp.net", BAD),
        ("14155552671@s.whatsapp.net", "114155552671@s.whatsapp.net", BAD),
        ("551133334444@s.whatsapp.net", "5511933334444@s.whatsapp.net", BAD),  # no mobile
        ("5511999999999@s.whatsapp.net", "nobody", BAD),
        ("5511999999999@s.whatsapp.net", "120363039000000000@g.us", BAD),
    ],
)
def test_a_success_must_name_the_requested_contact(asked: str, named: str, told: str) -> None:
    command = Command(Action.BLOCK, Contact.from_jid(asked))
    outcome = Naming({}).parse_response(command, json_response(200, {"who": named}))
    assert (outcome.code or outcome.confirmation).value == told  # type: ignore[union-attr]


def test_a_refusal_of_another_contact_is_a_bad_response() -> None:
    command = Command(Action.BLOCK, PERSON)
    body = {"success": False, "error": "x", "data": {"jid": "14155552671@s.whatsapp.net"}}
    outcome = provider_of("wuts").parse_response(command, json_response(400, body))
    assert outcome.code is Code.PROVIDER_BAD_RESPONSE


# -- pages that are not the provider's


def provider_of(name: str) -> Provider:
    part = BUILT_IN[name]
    options: dict[str, Any] = {"session": "shop", "phone_number_id": "1", "instance_id": "3C1A"}
    known = part.Options().fields
    given = {key: value for key, value in options.items() if key in known}
    secrets = {key: Secret("t0ken") for key, each in known.items() if isinstance(each, SecretField)}
    return part(part.Options().load({**given, **secrets}))


PAGES = {
    "nothing": b"",
    "HTML": b"<html><body>403 Forbidden</body></html>",
    "a plain http request to a TLS port": b"400 The plain HTTP request was sent to HTTPS port",
    "Go": b"404 page not found\n",
    "Kong": write_json({"message": "no Route matched with those values"}),
    "FastAPI": write_json({"detail": "Not Found"}),
    "Spring": write_json({"timestamp": "x", "status": 404, "error": "Not Found", "path": "/x"}),
    "a cloud's gateway": write_json({"error": {"code": 403, "message": "x", "status": "DENIED"}}),
    "AWS": write_json({"message": "Forbidden"}),
    "problem details": write_json({"type": "about:blank", "title": "x", "status": 404}),
    "an array": b"[]",
}
GATE_STATUSES = (400, 401, 402, 403, 404, 405, 406, 407, 409, *range(410, 429), 431, 444, 451, 499)
BARE_AND_DOCUMENTED = {("wappfy", "nothing", 401)}
"""Statuses that a provider's pages document without a body."""


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - {"memory"}))
def test_a_page_of_another_server_means_a_wrong_address(name: str, page: str) -> None:
    provider = provider_of(name)
    for status in (*GATE_STATUSES, 501):
        if (name, page, status) in {*BARE_AND_DOCUMENTED, ("wappfy", "nothing", 501)}:
            continue
        if name == "whapi" and page == "a cloud's gateway" and status == 403:
            continue  # to the letter the shape that Whapi documents
        response = HttpResponse(status, Headers({}), PAGES[page])
        for action in (Action.BLOCK, Action.UNBLOCK):
            outcome = provider.parse_response(Command(action, PERSON), response)
            assert (status, outcome.code) == (status, Code.PROVIDER_MISADDRESSED)
            assert outcome.applied is Applied.UNKNOWN


@pytest.mark.parametrize(
    ("provider", "document"),
    [
        (EvolutionApiProvider, {"status": 404, "error": "Not Found", "response": {"message": [0]}}),
        (WahaProvider, {"message": 0, "error": "Not Found", "statusCode": 404}),
    ],
)
def test_a_missing_route_in_the_servers_own_error_shape_is_not_a_missing_session(
    provider: type[Provider], document: dict[str, Any]
) -> None:
    def told(sentence: str) -> Code | None:
        changed = (
            {**document, "response": {"message": [sentence]}}
            if "response" in document
            else {**document, "message": sentence}
        )
        command = Command(Action.BLOCK, PERSON)
        return provider_of(provider.name).parse_response(command, json_response(404, changed)).code

    assert told("Cannot POST /manager/chat/updateBlockStatus/x") is Code.PROVIDER_MISADDRESSED
    assert told('The "x" instance does not exist') is Code.SESSION_NOT_FOUND


def test_a_missing_session_of_waha_may_be_stopped_and_a_start_helps() -> None:
    document = {"message": "We didn't find a session", "error": "Not Found", "statusCode": 404}
    outcome = provider_of("waha").parse_response(
        Command(Action.BLOCK, PERSON), json_response(404, document)
    )
    assert outcome.code is Code.SESSION_NOT_FOUND
    assert "stopped" in outcome.message
    assert outcome.retry is not None
    assert outcome.retry.value == "after_action"


@pytest.mark.parametrize(
    ("provider", "document"),
    [
        (WutsProvider, {"success": False, "message": "Session is not connected"}),
        (WutsProvider, {"success": False, "message": "timeout"}),
        (WutsProvider, {"success": False}),
        (BUILT_IN["wappfy"], {"success": False, "message": "Session is not connected"}),
        (ZApiProvider, {"value": False}),
        (ZApiProvider, {"value": False, "error": "You are not connected."}),
    ],
)
def test_a_refusal_without_a_cause_is_an_uncertain_provider_error(
    provider: type[Provider], document: dict[str, Any]
) -> None:
    outcome = provider_of(provider.name).parse_response(
        Command(Action.BLOCK, PERSON), json_response(200, document)
    )
    assert outcome.code is Code.PROVIDER_ERROR
    assert outcome.applied is Applied.UNKNOWN


@pytest.mark.parametrize("code", [10, 102, 131000, 131016, 131056, 100, 999999])
def test_a_400_of_meta_that_is_not_about_the_contact_does_not_blame_the_contact(code: int) -> None:
    body = {"error": {"message": "x", "type": "OAuthException", "code": code, "fbtrace_id": "x"}}
    outcome = provider_of(MetaCloudProvider.name).parse_response(
        Command(Action.BLOCK, PERSON), json_response(400, body)
    )
    assert outcome.code is not Code.TARGET_REJECTED


def test_a_failure_in_the_providers_own_shape_is_an_own_error() -> None:
    provider, command = provider_of("evolution-api"), Command(Action.BLOCK, PERSON)
    own = {"status": 500, "error": "x", "response": {"message": ["x"]}}
    assert provider.parse_response(command, json_response(500, own)).own_error
    assert not provider.parse_response(command, HttpResponse(500, body=b"<html>")).own_error


# -- contacts in bodies

LID = "205227043110953@lid"


@pytest.mark.parametrize(
    ("value", "contact"),
    [
        ("5511999999999", PERSON),
        (5511999999999, PERSON),
        ("+55 (11) 99999-9999", PERSON),
        ("5511999999999@c.us", PERSON),
        (LID, Contact(lid=LID)),
        ("", None),
        (None, None),
    ],
)
def test_a_number_is_read_in_any_writing(value: Any, contact: Contact | None) -> None:
    assert read_number(value) == contact


@pytest.mark.parametrize("value", ["x", "55x", [], {}, 5.5, "1@g.us"])
def test_an_unreadable_number_raises(value: Any) -> None:
    with pytest.raises(ContactError):
        read_number(value)


@pytest.mark.parametrize(
    ("jid", "number", "contact"),
    [
        (PERSON.jid, None, PERSON),
        (PERSON.jid, "", PERSON),
        (PERSON.jid, PERSON.number, PERSON),
        (PERSON.jid, "551199999999", PERSON),  # without the ninth digit
        (LID, None, Contact(lid=LID)),
        (LID, PERSON.number, Contact(PERSON.number, LID)),
    ],
)
def test_a_jid_and_the_number_beside_it_are_one_contact(
    jid: str, number: Any, contact: Contact
) -> None:
    assert read_person(jid, number) == contact
    for expected in (PERSON, Contact(lid=LID), Contact("14155550123"), Contact(user_id="BR.1")):
        assert relation(contact, read_person(jid, number, expected)) is Relation.SAME


@pytest.mark.parametrize(
    ("jid", "number"),
    [(None, PERSON.number), ("", None), (PERSON.jid, "x"), (PERSON.jid, "14155550123"), (7, None)],
)
def test_a_jid_that_is_missing_or_of_another_person_than_the_number_raises(
    jid: Any, number: Any
) -> None:
    for expected in (None, PERSON, Contact(user_id="BR.1")):
        with pytest.raises(ContactError):
            read_person(jid, number, expected)


LID = "205227043110953@lid"


@pytest.mark.parametrize(
    ("number", "found", "ids", "contact"),
    [
        ("5511999999999", True, (), None),
        ("5511999999999", True, (None, ""), None),
        ("+55 11 99999-9999", True, ("5511999999999",), PERSON),
        (PERSON.jid, True, (PERSON.jid, LID), Contact("5511999999999", LID)),
        ("5511999999999", True, (LID, PERSON.jid), Contact("5511999999999", LID)),
        ("5511999999999", True, (LID, LID), Contact(lid=LID)),
        ("5511999999999", True, ("551199999999", LID), Contact("551199999999", LID)),
        ("5511999999999", False, ("", "text"), None),
    ],
)
def test_a_lookup_names_the_person_by_all_of_its_ids(
    number: Any, found: bool, ids: Any, contact: Contact | None
) -> None:
    assert read_lookup(number, found, *ids) == Lookup(PERSON, found, contact)


@pytest.mark.parametrize(
    ("number", "found", "ids"),
    [
        (None, True, ()),
        ("", True, ()),
        ("text", False, ()),
        (["5511999999999"], False, ()),
        ("5511999999999", None, ()),
        ("5511999999999", 1, ()),
        ("5511999999999", "true", ()),
        ("5511999999999", True, ("text",)),
        ("5511999999999", True, (True,)),
        ("5511999999999", True, (["x"],)),
        ("5511999999999", True, ("120363039000000000@g.us",)),
        ("5511999999999", True, (LID, "998877665544332@lid")),
        ("5511999999999", True, ("5511999999999", "14155550123")),
    ],
)
def test_a_lookup_with_anything_unreadable_or_of_two_persons_shows_nothing(
    number: Any, found: Any, ids: Any
) -> None:
    assert read_lookup(number, found, *ids) is None


def test_values_are_found_at_any_depth() -> None:
    document = {"a": [{"wait": 1}, {"b": {"wait": "2"}}], "wait": [3, {"wait": 4}]}
    assert list(find_values(document, "wait")) == [[3, {"wait": 4}], 1, "2", 4]
    others: tuple[Any, ...] = (None, "wait", 1, ["wait"], {})
    for other in others:
        assert list(find_values(other, "wait")) == []


# -- what a provider declares


class Declaring(Provider):
    """A provider whose options, codes and lists are declared."""

    name = "declaring"
    title = "Declaring"
    routes = {"block": ("POST", "/{session}/{token}/{jid}"), "list": ("GET", "/{session}")}
    provider_code_at = ("/error/code", "/code")
    error_codes = {
        "FULL": (400, Code.TARGET_REJECTED, "The list is full."),
        "ASLEEP": (503, Code.SESSION_NOT_CONNECTED),
    }

    def build_request(self, command: Command) -> Any:
        if command.contact is None:
            return self.request(command, None, {"limit": "9"})
        return self.request(command, {"x": 1}, jid=command.target.jid or "")

    def parse_success(self, command: Command, response: HttpResponse) -> Outcome | None:
        return self.list_success(response, response.document)


DECLARING = Declaring({"session": "a b", "token": Secret("s3cret"), "size": 5})


def test_a_path_is_filled_with_options_and_ids() -> None:
    assert DECLARING.build_request(Command(Action.BLOCK, PERSON)) == HttpRequest(
        "POST", f"/a%20b/s3cret/{PERSON.jid}", json={"x": 1}
    )
    assert DECLARING.build_request(Command(Action.LIST)) == HttpRequest(
        "GET", "/a%20b", query={"limit": "9"}
    )
    assert DECLARING.request(Command(Action.LIST), session="other").path == "/other"
    assert "s3cret" not in f"{vars(DECLARING)} {DECLARING!r}"


def test_a_path_with_a_missing_id_names_it() -> None:
    with pytest.raises(ValueError, match=r"/\{session\} needs session"):
        Declaring({}).request(Command(Action.LIST))


@pytest.mark.parametrize(
    ("document", "provider_code"),
    [
        ({"error": {"code": "ASLEEP"}, "code": "FULL"}, "ASLEEP"),
        ({"error": {"code": 5}, "code": "FULL"}, "FULL"),
        ({"error": "ASLEEP"}, None),
        ({"code": None}, None),
        ([{"code": "FULL"}], None),
        (None, None),
    ],
)
def test_the_provider_code_is_the_first_text_at_its_pointers(
    document: Any, provider_code: str | None
) -> None:
    assert DECLARING.parse_provider_code(document) == provider_code


def test_a_provider_code_may_have_a_message_of_its_own() -> None:
    outcome = DECLARING.parse_response(
        Command(Action.BLOCK, PERSON), json_response(409, {"code": "FULL"})
    )
    assert (outcome.code, outcome.message) == (Code.TARGET_REJECTED, "The list is full.")


@pytest.mark.parametrize(
    ("entries", "contacts"),
    [([PERSON.jid, "1@g.us"], (PERSON,)), ([], ()), ([PERSON.jid, "x"], None)],
)
def test_a_list_is_a_success_if_every_entry_is_readable(
    entries: list[str], contacts: tuple[Contact, ...] | None
) -> None:
    outcome = DECLARING.list_success(json_response(200, entries), entries)
    assert (outcome and outcome.contacts) == contacts
