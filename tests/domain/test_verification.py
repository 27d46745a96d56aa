"""A change that is read back: what is read, what that shows, and what is never claimed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import pytest

from adapter.codes import Action, Applied, Code, Confirmation
from adapter.contacts import Contact
from adapter.readings import NOT_VERIFIED, BlockState, Unverified, Verification
from adapter.results import Command, Outcome, Result
from adapter.verification import RECHECK_DELAY, verify

NUMBER = "5511999999999"
BLOCK = Command(Action.BLOCK, Contact(NUMBER))

ACCEPTED = Outcome.success(Confirmation.ACCEPTED, upstream_status=200)
UNKNOWN = Outcome.failure(Code.PROVIDER_TIMEOUT)
REFUSED = Outcome.failure(Code.TARGET_REJECTED)
OUTCOMES = {"a success": ACCEPTED, "unknown": UNKNOWN, "refused": REFUSED}
STATES = {
    "as requested": BlockState(True),
    "the opposite": BlockState(False),
    "only LIDs": BlockState(None, Unverified.ONLY_LIDS),
}
FAILED = Outcome.failure(Code.PROVIDER_UNAVAILABLE)


def seen(state: BlockState) -> Outcome:
    return Outcome.success(Confirmation.PROVIDER_STATE, reading=state)


class Reads:
    """A read that returns the given outcomes one after the other, the last one for ever.

    It records the deadlines of the reads, and the delays between them.
    """

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.deadlines: list[float] = []
        self.delays: list[float] = []

    def __call__(self, deadline: float) -> tuple[Outcome, int]:
        self.deadlines.append(deadline)
        return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0], 1


def settled(
    outcome: Outcome,
    read: Reads,
    *,
    command: Command = BLOCK,
    always: bool = True,
    synchronous: bool = False,
    is_superseded: Callable[[], bool] = lambda: False,
    seconds: float = 60.0,
) -> Outcome:
    return verify(
        command,
        outcome,
        read,
        time.monotonic() + seconds,
        always=always,
        synchronous=synchronous,
        is_superseded=is_superseded,
        sleep=read.delays.append,
    )


Case = tuple[str, bool, str, bool, bool]
CASES = tuple(
    itertools.product(OUTCOMES, (False, True), STATES, (False, True), (False, True)),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_outcome_of_a_change_that_is_read_back(case: Case) -> None:
    """Outcome, always, what the read shows, synchronous, superseded."""
    which, always, shown, synchronous, superseded = case
    outcome, state, read = OUTCOMES[which], STATES[shown], Reads(seen(STATES[shown]))
    found = settled(
        outcome,
        read,
        always=always,
        synchronous=synchronous,
        is_superseded=lambda: superseded,
    )
    if which == "refused" or (which == "a success" and not always) or superseded:
        assert found is outcome, "nothing is claimed"
        assert not read.deadlines, "nothing is read"
        assert found.verification == NOT_VERIFIED
        return
    again = shown == "the opposite" and not (synchronous and which == "a success")
    assert read.delays == ([RECHECK_DELAY] if again else [])
    reads = 2 if again else 1
    assert len(read.deadlines) == reads
    if shown == "as requested":
        assert (found.code, found.confirmation) == (None, Confirmation.READ_BACK)
        assert found.verification == Verification(True, None, reads)
        assert found.upstream_status == outcome.upstream_status
    elif shown == "only LIDs":
        assert found == outcome
        assert found.verification == Verification(None, state.reason, reads)
    elif which == "a success":
        assert (found.code, found.applied) == (Code.NOT_EFFECTIVE, Applied.NOT_APPLIED)
        assert found.verification == Verification(False, None, reads)
    else:
        assert (found.code, found.applied) == (outcome.code, Applied.NOT_APPLIED)
        assert found.message.startswith(outcome.message)
        assert found.verification == Verification(False, None, reads)


@pytest.mark.parametrize("action", [Action.BLOCK, Action.UNBLOCK])
def test_an_unblock_is_confirmed_by_the_absence_of_the_contact(action: Action) -> None:
    for blocked in (True, False):
        found = settled(
            ACCEPTED,
            Reads(seen(BlockState(blocked))),
            command=Command(action, Contact(NUMBER)),
            synchronous=True,
        )
        assert found.verification.verified is (blocked is (action is Action.BLOCK))


def test_a_change_that_the_response_has_verified_is_not_read_back() -> None:
    shown = Outcome(confirmation=Confirmation.PROVIDER_STATE, verification=Verification(True))
    read = Reads(seen(BlockState(False)))
    assert settled(shown, read) is shown
    assert not read.deadlines


@pytest.mark.parametrize("outcome", [ACCEPTED, UNKNOWN], ids=["a success", "unknown"])
def test_a_change_that_takes_effect_later_is_confirmed_by_the_second_read(outcome: Outcome) -> None:
    read = Reads(seen(BlockState(False)), seen(BlockState(True)))
    found = settled(outcome, read)
    assert found.verification == Verification(True, None, 2)
    assert read.delays == [RECHECK_DELAY]


@pytest.mark.parametrize("outcome", [ACCEPTED, UNKNOWN], ids=["a success", "unknown"])
def test_a_failed_second_read_proves_nothing(outcome: Outcome) -> None:
    found = settled(outcome, Reads(seen(BlockState(False)), FAILED))
    assert found == outcome
    assert found.verification == Verification(None, Unverified.READ_FAILED, 2)


@pytest.mark.parametrize("outcome", [ACCEPTED, UNKNOWN], ids=["a success", "unknown"])
def test_the_opposite_is_not_proven_without_the_time_for_a_second_read(outcome: Outcome) -> None:
    read = Reads(seen(BlockState(False)))
    found = settled(outcome, read, seconds=RECHECK_DELAY / 2)
    assert found == outcome
    assert found.verification == Verification(None, Unverified.INCOMPLETE, 1)
    assert not read.delays


@pytest.mark.parametrize("outcome", [ACCEPTED, UNKNOWN], ids=["a success", "unknown"])
@pytest.mark.parametrize("blocked", [True, False])
@pytest.mark.parametrize("after", range(1, 5))
def test_a_change_that_is_superseded_while_it_is_read_back_claims_nothing(
    outcome: Outcome, blocked: bool, after: int
) -> None:
    asked = 0

    def is_superseded() -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    read = Reads(seen(BlockState(blocked)))
    found = settled(outcome, read, is_superseded=is_superseded)
    if asked <= after:
        return  # it was settled before
    assert found == outcome
    assert found.verification.verified is None
    assert found.verification.reason is Unverified.INCOMPLETE


def test_a_read_that_fails_leaves_the_outcome() -> None:
    for outcome in (ACCEPTED, UNKNOWN):
        found = settled(outcome, Reads(FAILED))
        assert found == outcome
        assert found.verification == Verification(None, Unverified.READ_FAILED, 1)


def test_a_state_without_a_reason_gets_one() -> None:
    found = settled(ACCEPTED, Reads(seen(BlockState(None))))
    assert found.verification.reason is Unverified.INCOMPLETE


def test_every_read_has_the_deadline_of_the_change() -> None:
    read = Reads(seen(BlockState(False)))
    settled(ACCEPTED, read)
    assert len(set(read.deadlines)) == 1


# --- the envelope


def test_a_failure_that_was_read_back_shows_no_contact() -> None:
    failure = settled(ACCEPTED, Reads(seen(BlockState(False))), synchronous=True)
    envelope = Result(failure, BLOCK, "a", "wuts", attempts=1, request_id="r").envelope()
    assert NUMBER not in str(envelope)
    assert envelope["data"] == {
        "action": "block",
        "account": "a",
        "verified": False,
        "verified_reason": None,
    }
    assert envelope["error"]["code"] == "not_effective"
    assert envelope["error"]["outcome"] == "not_applied"
    assert envelope["error"]["retry"] == "after_delay"
    assert (envelope["meta"]["attempts"], envelope["meta"]["reads"]) == (1, 1)


def test_not_effective_is_a_failure_of_the_provider_to_be_retried_later() -> None:
    code = Code.NOT_EFFECTIVE
    assert (code.http_status, code.applied) == (502, Applied.NOT_APPLIED)
    assert code.retry.value == "after_delay"
    assert code.carries_retry_after


def test_a_failure_that_was_not_read_has_no_data() -> None:
    for outcome in (REFUSED, UNKNOWN):
        assert Result(outcome, BLOCK, "a", "wuts").envelope()["data"] is None


def test_a_success_that_was_not_read_names_the_reason() -> None:
    data = Result(ACCEPTED, BLOCK, "a", "wuts").envelope()["data"]
    assert (data["verified"], data["verified_reason"]) == (None, "no_read")


STATED = Outcome.success(Confirmation.PROVIDER_STATE, upstream_status=200)


@pytest.mark.parametrize("reason", [Unverified.ONLY_LIDS, Unverified.INCOMPLETE])
def test_a_state_that_cannot_be_compared_is_an_acceptance(reason: Unverified) -> None:
    found = settled(STATED, Reads(seen(BlockState(None, reason))))
    assert (found.confirmation, found.verification.reason) == (Confirmation.ACCEPTED, reason)


def test_a_read_that_fails_leaves_the_state_of_the_provider() -> None:
    found = settled(STATED, Reads(FAILED))
    assert found.confirmation is Confirmation.PROVIDER_STATE
    assert found.verification.reason is Unverified.READ_FAILED


def test_after_the_opposite_was_seen_a_read_that_fails_leaves_an_acceptance_alone() -> None:
    found = settled(STATED, Reads(seen(BlockState(False)), FAILED))
    assert found.confirmation is Confirmation.ACCEPTED
    assert found.verification.reason is Unverified.READ_FAILED
