"""The Cloud API's results for many users: each contact has its own outcome, by its own evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from adapter.providers.meta_cloud import MetaCloudProvider
from hypothesis import given
from hypothesis import strategies as st

from adapter import Action, Code, Command, Contact, Secret
from adapter.codes import Applied
from adapter.plugin import HttpResponse, Outcome, json_response
from adapter.response_rules import read_part, split_response

META = MetaCloudProvider({"token": Secret("t"), "phone_number_id": "1", "version": "v23.0"})
USER_ID = "US.13491208655302741919"
CHANGED = {Action.BLOCK: "added_users", Action.UNBLOCK: "removed_users"}
OPPOSITE = {Action.BLOCK: "removed_users", Action.UNBLOCK: "added_users"}
NAMES = ("added_users", "removed_users", "failed_users")
WHOLE = {"message": "…", "type": "OAuthException", "code": 139100, "fbtrace_id": "x"}
BAD, REJECTED = Code.PROVIDER_BAD_RESPONSE, Code.TARGET_REJECTED


def number(index: int) -> str:
    return str(16505550000 + index)


def commands_for(amount: int, action: Action = Action.UNBLOCK) -> list[Command]:
    return [Command(action, Contact(number(index))) for index in range(amount)]


def user(digits: str, **more: Any) -> dict[str, Any]:
    return {"input": f"+{digits}", "wa_id": digits, **more}


def failed(digits: str, code: int = 131047, **more: Any) -> dict[str, Any]:
    return user(digits, errors=[{"code": code, "message": "…"}], **more)


def respond(
    status: int, results: dict[str, Any] | None = None, error: object = None
) -> HttpResponse:
    document: dict[str, Any] = {"messaging_product": "whatsapp"}
    if results is not None:
        document["block_users"] = results
    if error is not None:
        document["error"] = error
    return json_response(status, document)


def outcomes(commands: Sequence[Command], response: HttpResponse) -> list[Outcome]:
    parts = split_response(META, commands, response)
    return [
        read_part(META, command, part, response)
        for command, part in zip(commands, parts, strict=True)
    ]


def codes(response: HttpResponse, amount: int = 2) -> list[Code | None]:
    return [each.code for each in outcomes(commands_for(amount), response)]


def test_one_request_names_all_users_as_requests_for_one_do() -> None:
    commands = [*commands_for(2), Command(Action.UNBLOCK, Contact(user_id=USER_ID))]
    request = META.build_batch_request(commands)
    assert (request.method, request.path) == ("DELETE", "/v23.0/1/block_users")
    users = [{"user": "+16505550000"}, {"user": "+16505550001"}, {"user_id": USER_ID}]
    assert request.json == {"messaging_product": "whatsapp", "block_users": users}
    assert META.build_batch_request(commands[:1]) == META.build_request(commands[0])


A, B, OTHER = number(0), number(1), "14155550123"


@pytest.mark.parametrize(
    ("status", "results", "error", "expected"),
    [
        (200, {"removed_users": [user(A), user(B)]}, None, [None, None]),
        (200, {"removed_users": [user(B), user(A)]}, None, [None, None]),
        (400, {"removed_users": [user(A)], "failed_users": [failed(B)]}, WHOLE, [None, REJECTED]),
        (200, {"removed_users": [user(A)], "failed_users": [failed(B)]}, WHOLE, [None, REJECTED]),
        (400, {"failed_users": [failed(A), failed(B, 130429)]}, WHOLE, [REJECTED, "limit"]),
        (400, {"failed_users": [failed(B), failed(A, 130429)]}, WHOLE, ["limit", REJECTED]),
        # Not mentioned: it may have taken effect.
        (200, {"removed_users": [user(A)]}, None, [None, BAD]),
        (400, {"failed_users": [failed(A)]}, WHOLE, [REJECTED, BAD]),
        (400, {"failed_users": [failed(A)]}, {**WHOLE, "code": 139101}, [REJECTED, BAD]),
        (200, {"removed_users": []}, None, [BAD, BAD]),
        # In two places, twice, or in the place of the opposite change.
        (400, {"removed_users": [user(A)], "failed_users": [failed(A)]}, WHOLE, [BAD, BAD]),
        (200, {"removed_users": [user(A), user(A), user(B)]}, None, [BAD, None]),
        (200, {"added_users": [user(A)], "removed_users": [user(B)]}, None, [BAD, None]),
        # An error without a user who failed contradicts the changed; so does another error.
        (400, {"removed_users": [user(A)]}, WHOLE, [BAD, BAD]),
        (
            400,
            {"removed_users": [user(A)], "failed_users": [failed(B)]},
            {**WHOLE, "code": 131000},
            [BAD, REJECTED],
        ),
        (400, {"removed_users": [user(A), user(B)]}, None, [BAD, BAD]),
        (
            500,
            {"removed_users": [user(A)], "failed_users": [failed(B)]},
            WHOLE,
            [Code.PROVIDER_ERROR, REJECTED],
        ),
        # Another person's result: the response may be another request's.
        (200, {"removed_users": [user(A), user(B), user(OTHER)]}, None, [BAD, BAD]),
        (200, {"removed_users": [user(A), user(B), 7]}, None, [BAD, BAD]),
        (200, {"removed_users": [user(A), user(B)], "failed_users": "none"}, None, [BAD, BAD]),
        (400, {"removed_users": [{}], "failed_users": [failed(A)]}, WHOLE, [BAD, BAD]),
        # The same person under an id that was not sent.
        (200, {"removed_users": [{"wa_id": A}, user(B)]}, None, [BAD, None]),
        (200, {"removed_users": [user(A) | {"wa_id": OTHER}, user(B)]}, None, [BAD, None]),
        # Without results, the response is the same for each.
        (200, {}, None, [BAD, BAD]),
        (200, None, None, [BAD, BAD]),
        (400, {"removed_users": [], "failed_users": []}, WHOLE, [Code.PROVIDER_ERROR] * 2),
        (400, None, {**WHOLE, "code": 139101}, [REJECTED, REJECTED]),
        (401, None, {**WHOLE, "code": 190}, [Code.PROVIDER_AUTH_FAILED] * 2),
        (500, None, {**WHOLE, "code": 131000}, [Code.PROVIDER_ERROR] * 2),
        (503, None, None, [Code.PROVIDER_UNAVAILABLE] * 2),
    ],
    ids=str,
)
def test_each_contact_has_the_outcome_of_its_own_result(
    status: int, results: dict[str, Any] | None, error: object, expected: list[Any]
) -> None:
    wanted = [Code.PROVIDER_RATE_LIMITED if each == "limit" else each for each in expected]
    assert codes(respond(status, results, error)) == wanted


def test_two_forms_of_one_number_are_told_apart_by_what_was_sent() -> None:
    long, short = "5511999990001", "551199990001"
    commands = [Command(Action.BLOCK, Contact(each)) for each in (long, short)]
    removed = respond(
        400, {"added_users": [user(long, wa_id=short)], "failed_users": [failed(short)]}, WHOLE
    )
    assert [each.code for each in outcomes(commands, removed)] == [None, REJECTED]
    unclear = respond(400, {"failed_users": [{**failed(short), "input": "?"}]}, WHOLE)
    assert [each.code for each in outcomes(commands, unclear)] == [BAD, BAD]


def test_users_are_found_by_their_user_ids() -> None:
    commands = [*commands_for(1), Command(Action.UNBLOCK, Contact(user_id=USER_ID))]
    results = {"removed_users": [user(A), {"user_id": USER_ID}]}
    assert [each.code for each in outcomes(commands, respond(200, results))] == [None, None]


places = st.sampled_from([(), ("changed",), ("failed",), ("opposite",), ("changed", "failed")])


@given(
    st.lists(places, min_size=1, max_size=12),
    st.sampled_from([Action.BLOCK, Action.UNBLOCK]),
    st.sampled_from([(200, None), (200, WHOLE), (400, WHOLE), (400, None)]),
    st.booleans(),
    st.randoms(),
)
def test_any_split_of_results_proves_for_each_contact_what_its_own_results_prove(
    split: list[tuple[str, ...]], action: Action, kind: tuple[int, Any], foreign: bool, random: Any
) -> None:
    keys = {"changed": CHANGED[action], "failed": "failed_users", "opposite": OPPOSITE[action]}
    results: dict[str, list[Any]] = {name: [] for name in NAMES}
    for index, own in enumerate(split):
        for place in own:
            write = failed if place == "failed" else user
            results[keys[place]].append(write(number(index)))
    if foreign:
        results[random.choice(NAMES)].append(failed(OTHER))
    for each in results.values():
        random.shuffle(each)
    response = respond(kind[0], results, kind[1])
    found = outcomes(commands_for(len(split), action), response)
    has_results = any(results.values())
    is_clear = kind in ((200, None), (400, WHOLE)) and not foreign
    is_clear = is_clear and (kind[0] == 200 or bool(results["failed_users"]))
    for own, outcome in zip(split, found, strict=True):
        if outcome.ok:
            assert own == ("changed",)
            assert not foreign
        if outcome.applied is Applied.NOT_APPLIED and has_results:
            assert "failed" in own
            assert "changed" not in own
        if has_results and not own:
            assert outcome.code is BAD
        if is_clear:
            assert outcome.ok is (own == ("changed",))
            assert (outcome.code is REJECTED) is (own == ("failed",))
