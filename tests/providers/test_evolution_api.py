"""Evolution API: the marker of a LID, a 400 that blames no number, and the reads of its dialect."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from adapter.providers.evolution_api import EvolutionApiDialect, EvolutionApiProvider

from adapter.plugin import (
    Action,
    Applied,
    Code,
    Command,
    Confirmation,
    Contact,
    HttpRequest,
    HttpResponse,
    Lookup,
    Outcome,
    RequestError,
    Retry,
    Secret,
    Session,
    SessionState,
    json_response,
)

PROVIDER = EvolutionApiProvider({"api_key": Secret("k"), "session": "shop"})
DIALECT = EvolutionApiDialect()
NOW = datetime(2026, 11, 1, tzinfo=UTC)
ANNA, BERT, CARA = Contact("5511999999999"), Contact("14155550123"), Contact("4915123456789")
LID = "205227043110953@lid"
LOOKUPS = "/chat/whatsappNumbers/shop"
STATE = "/instance/connectionState/shop"
LOOKUP = Command(Action.LOOKUP, contacts=(ANNA,))


def look_up(*entries: Any) -> tuple[Lookup, ...]:
    reading = PROVIDER.parse_response(LOOKUP, json_response(200, list(entries))).reading
    assert isinstance(reading, tuple)
    return reading


def error(status: int, message: Any) -> HttpResponse:
    return json_response(status, {"status": status, "error": "x", "response": {"message": message}})


def answer(request: HttpRequest, outcome: Outcome) -> tuple[int, Any]:
    """Return the dialect's response to a native request, with its document."""
    response = DIALECT.build_response(outcome, DIALECT.parse_request(request), now=NOW)
    return response.status, json.loads(response.body)


@pytest.mark.parametrize("marker", ["lid", "998877665544332@lid", None, 1])
def test_the_field_lid_is_a_marker_and_names_nobody(marker: Any) -> None:
    entry = {"number": ANNA.number, "exists": True, "lid": marker}
    assert look_up({**entry, "jid": ANNA.jid}) == (Lookup(ANNA, True, ANNA),)
    assert look_up({**entry, "jid": LID}) == (Lookup(ANNA, True, Contact(lid=LID)),)


@pytest.mark.parametrize("exists", ["true", 1, None, "yes", {}])
def test_a_number_is_unknown_unless_exists_is_a_boolean(exists: Any) -> None:
    both = Command(Action.LOOKUP, contacts=(ANNA, BERT))
    entries = [
        {"number": ANNA.number, "jid": ANNA.jid, "exists": exists},
        {"number": BERT.number, "jid": BERT.jid, "exists": False},
    ]
    reading = PROVIDER.parse_response(both, json_response(200, entries)).reading
    assert reading == (
        Lookup(ANNA, None, code=Code.PROVIDER_BAD_RESPONSE),
        Lookup(BERT, False),
    )
    alone = PROVIDER.parse_response(LOOKUP, json_response(200, entries[:1]))
    assert alone.code is Code.PROVIDER_BAD_RESPONSE


@pytest.mark.parametrize("message", [["text"], [["text"]], "text", [{"exists": False}]])
def test_a_400_blames_the_contact_of_a_change_and_no_number_of_a_lookup(message: Any) -> None:
    assert PROVIDER.parse_response(LOOKUP, error(400, message)).code is Code.PROVIDER_ERROR
    status = PROVIDER.parse_response(Command(Action.STATUS), error(400, message))
    assert status.code is not Code.OPERATION_NOT_SUPPORTED
    expected = Code.OPERATION_NOT_SUPPORTED if message == ["text"] else Code.TARGET_REJECTED
    for action in (Action.BLOCK, Action.UNBLOCK):
        outcome = PROVIDER.parse_response(Command(action, ANNA), error(400, message))
        assert outcome.code is expected


@pytest.mark.parametrize(
    "command", [Command(Action.BLOCK, ANNA), Command(Action.STATUS), LOOKUP], ids=str
)
def test_a_missing_licence_is_a_refusal_for_the_operator(command: Command) -> None:
    document = {"error": "service not activated", "code": "LICENSE_REQUIRED"}
    outcome = PROVIDER.parse_response(command, json_response(503, document))
    assert outcome.code is Code.PROVIDER_PERMISSION_DENIED
    assert (outcome.applied, outcome.retry) == (Applied.NOT_APPLIED, Retry.AFTER_ACTION)
    assert "licence" in outcome.message
    assert outcome.own_error
    other = PROVIDER.parse_response(command, json_response(503, {"error": "x"}))
    assert other.code is Code.PROVIDER_UNAVAILABLE


# -- the dialect


@pytest.mark.parametrize(
    ("state", "word"),
    [(SessionState.CONNECTED, {"state": "open"}), (SessionState.NOT_CONNECTED, {"state": "close"})],
)
def test_the_dialect_writes_the_state_of_a_connection(
    state: SessionState, word: dict[str, str]
) -> None:
    outcome = Outcome.success(Confirmation.PROVIDER_STATE, reading=Session(state, "QR"))
    expected = {"instance": {"instanceName": "shop", **word}}
    assert answer(HttpRequest("GET", STATE), outcome) == (200, expected)


def test_the_dialect_has_no_word_for_a_state_that_is_not_known() -> None:
    outcome = Outcome.success(Confirmation.PROVIDER_STATE, reading=Session(SessionState.UNKNOWN))
    status, document = answer(HttpRequest("GET", STATE), outcome)
    assert (status, "instance" in document) == (500, False)


def test_the_dialect_leaves_out_a_number_whose_lookup_is_unknown() -> None:
    lookups = (
        Lookup(ANNA, True, Contact("551199999999")),
        Lookup(BERT, None, code=Code.PROVIDER_TIMEOUT),
        Lookup(CARA, False),
    )
    numbers = ["5511999999999", "+1 415 555-0123", str(CARA.jid)]
    request = HttpRequest("POST", LOOKUPS, json={"numbers": numbers})
    assert DIALECT.parse_request(request).command.contacts == (ANNA, BERT, CARA)
    outcome = Outcome.success(Confirmation.PROVIDER_STATE, reading=lookups)
    assert answer(request, outcome) == (
        200,
        [
            {"jid": "551199999999@s.whatsapp.net", "exists": True, "number": ANNA.number},
            {"jid": CARA.jid, "exists": False, "number": CARA.number},
        ],
    )


def test_the_dialect_marks_a_jid_that_is_a_lid() -> None:
    lookups = (Lookup(ANNA, True, Contact(lid=LID)), Lookup(BERT, True))
    request = HttpRequest("POST", LOOKUPS, json={"numbers": [ANNA.number, BERT.number]})
    outcome = Outcome.success(Confirmation.PROVIDER_STATE, reading=lookups)
    assert answer(request, outcome)[1] == [
        {"jid": LID, "exists": True, "number": ANNA.number, "lid": "lid"},
        {"jid": BERT.jid, "exists": True, "number": BERT.number},
    ]


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        (None, Code.VALIDATION_ERROR),
        ([], Code.VALIDATION_ERROR),
        ("5511999999999", Code.VALIDATION_ERROR),
        ([5511999999999], Code.VALIDATION_ERROR),
        (["5511999999999", None], Code.VALIDATION_ERROR),
        ([str(14155550000 + each) for each in range(101)], Code.VALIDATION_ERROR),
        (["11"], Code.INVALID_TARGET),
        (["120363039000000000@g.us"], Code.INVALID_TARGET),
        ([LID], Code.INVALID_TARGET),
    ],
    ids=lambda each: str(each)[:40],
)
def test_the_dialect_refuses_numbers_that_cannot_be_looked_up(numbers: Any, code: Code) -> None:
    with pytest.raises(RequestError) as refused:
        DIALECT.parse_request(HttpRequest("POST", LOOKUPS, json={"numbers": numbers}))
    outcome = refused.value.outcome
    assert (outcome.code, set(outcome.fields)) == (code, {"numbers"})
    assert DIALECT.build_response(outcome, now=NOW).status == 400


@pytest.mark.parametrize("code", [Code.TARGET_REJECTED, Code.PROVIDER_ERROR, Code.NOT_EFFECTIVE])
def test_an_error_of_a_lookup_is_a_400_that_blames_no_number(code: Code) -> None:
    """Evolution API has no other status for it, and none that blames a number."""
    request = HttpRequest("POST", LOOKUPS, json={"numbers": [ANNA.number]})
    status, document = answer(request, Outcome.failure(code))
    assert (status, document["status"]) == (400, 400)
    assert [type(each) for each in document["response"]["message"]] == [str]
    assert DIALECT.fallback(Code.TARGET_REJECTED) is Code.TARGET_REJECTED


def test_the_dialect_sends_403_for_a_missing_permission_not_the_503_of_a_licence() -> None:
    status, document = answer(
        HttpRequest("GET", STATE), Outcome.failure(Code.PROVIDER_PERMISSION_DENIED)
    )
    assert (status, document["status"], "code" in document) == (403, 403, False)
