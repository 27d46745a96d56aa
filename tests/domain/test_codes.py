"""The table of error codes, compared with a copy written by hand."""

from __future__ import annotations

import re

import pytest

from adapter.codes import Action, Applied, Code, Confirmation, Retry, Verifiable, Verify
from adapter.readings import SessionState, Unverified

TABLE = {
    "bad_request": (400, "never", "not_applied"),
    "invalid_json": (400, "never", "not_applied"),
    "validation_error": (422, "never", "not_applied"),
    "invalid_target": (422, "never", "not_applied"),
    "unauthenticated": (401, "never", "not_applied"),
    "permission_denied": (403, "never", "not_applied"),
    "account_not_found": (404, "never", "not_applied"),
    "not_found": (404, "never", "not_applied"),
    "method_not_allowed": (405, "never", "not_applied"),
    "payload_too_large": (413, "never", "not_applied"),
    "unsupported_media_type": (415, "never", "not_applied"),
    "session_not_found": (404, "never", "not_applied"),
    "session_not_connected": (409, "after_action", "not_applied"),
    "operation_not_supported": (501, "never", "not_applied"),
    "target_rejected": (422, "never", "not_applied"),
    "provider_conflict": (409, "after_delay", "not_applied"),
    "provider_rate_limited": (429, "after_delay", "not_applied"),
    "provider_auth_failed": (502, "after_action", "not_applied"),
    "provider_permission_denied": (502, "after_action", "not_applied"),
    "provider_redirected": (502, "after_action", "not_applied"),
    "provider_misaddressed": (502, "after_action", "unknown"),
    "provider_tls_error": (502, "after_action", "not_applied"),
    "provider_unreachable": (503, "after_delay", "not_applied"),
    "provider_unavailable": (503, "after_delay", "unknown"),
    "circuit_open": (503, "after_delay", "not_applied"),
    "overloaded": (503, "after_delay", "not_applied"),
    "provider_timeout": (504, "now", "unknown"),
    "provider_connection_lost": (502, "now", "unknown"),
    "provider_error": (502, "after_delay", "unknown"),
    "provider_bad_response": (502, "after_delay", "unknown"),
    "provider_response_too_large": (502, "after_action", "unknown"),
    "not_effective": (502, "after_delay", "not_applied"),
    "ledger_unavailable": (503, "after_delay", "not_applied"),
    "idempotency_key_in_use": (409, "after_delay", "unknown"),
    "idempotency_key_reused": (422, "never", "not_applied"),
    "batch_not_found": (404, "never", "not_applied"),
    "batch_conflict": (409, "never", "not_applied"),
    "plan_refused": (409, "never", "not_applied"),
    "plan_stale": (409, "never", "not_applied"),
    "internal_error": (500, "now", "unknown"),
}


def test_the_code_table_equals_the_documented_one() -> None:
    served = {code.value: (code.http_status, code.retry.value, code.applied.value) for code in Code}
    assert served == TABLE


def test_no_code_is_an_alias_of_another() -> None:
    assert len(Code.__members__) == len(list(Code)) == len(TABLE)


@pytest.mark.parametrize("code", Code)
def test_a_member_name_is_the_code_in_capitals(code: Code) -> None:
    assert code.name.lower() == code.value
    assert Code(code.value) is code  # type: ignore[call-arg]  # mypy: as if it were __new__


@pytest.mark.parametrize("code", Code)
def test_a_failure_has_an_error_status(code: Code) -> None:
    assert 400 <= code.http_status <= 599


@pytest.mark.parametrize("code", Code)
def test_a_failure_is_never_applied(code: Code) -> None:
    assert code.applied is not Applied.APPLIED


@pytest.mark.parametrize("code", Code)
def test_a_message_is_one_sentence_without_digits(code: Code) -> None:
    # Only UTF-8 may contain a digit: any other could come from a request.
    assert re.fullmatch(r"[A-Z][^\d\n.!?]+\.", code.message.replace("UTF-8", "UTF"))


def test_messages_are_distinct() -> None:
    assert len({code.message for code in Code}) == len(TABLE)


@pytest.mark.parametrize("code", Code)
def test_every_code_documents_when_it_is_used(code: Code) -> None:
    assert code.when.strip()


@pytest.mark.parametrize("code", Code)
def test_only_a_retry_after_delay_carries_retry_after(code: Code) -> None:
    assert code.carries_retry_after == (TABLE[code.value][1] == "after_delay")


def test_the_other_enums_equal_the_documented_ones() -> None:
    assert [each.value for each in Action] == [
        "block",
        "unblock",
        "list",
        "status",
        "lookup",
        "state",
    ]
    assert {each.value for each in Applied} == {"applied", "not_applied", "unknown"}
    assert {each.value for each in Retry} == {"never", "now", "after_delay", "after_action"}
    assert {each.value for each in Confirmation} == {
        "provider_state",
        "accepted",
        "read_back",
    }
    assert {each.value for each in Verify} == {"never", "unknown", "always"}
    assert {each.value for each in SessionState} == {"connected", "not_connected", "unknown"}
    assert {each.value for each in Unverified} == {
        "no_read",
        "only_lids",
        "incomplete",
        "read_failed",
    }
    assert [each.value for each in Verifiable] == ["yes", "with the LID", "only blocks", "no"]
