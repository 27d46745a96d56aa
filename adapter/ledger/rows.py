"""The columns of a call, from its command, its context and its result."""

from __future__ import annotations

from typing import Final

from adapter.call_context import CallContext
from adapter.codes import Applied
from adapter.contacts import Contact
from adapter.ledger.events import CallEvent, Row
from adapter.ledger.schema import MAX_REASON, MAX_REF, utc_text
from adapter.redaction import redact_contact, redact_contacts, redact_request_id
from adapter.results import Command, Result

_MAX_REQUEST_ID: Final = 200
_MAX_UPSTREAM_CODE: Final = 128
_NO_NUL: Final = {0: None}


def call_row(
    account: str,
    provider: str,
    command: Command,
    context: CallContext,
    opened_at: float,
    deadline_at: float,
) -> Row:
    """Return the columns of a call that begins. No text holds the digits of its contact."""
    contact = command.contact
    request_id = redact_contacts(context.request_id, command.contacts)
    return {
        "account": account,
        "provider": provider,
        "action": command.action.value,
        "via": context.via,
        "key_name": context.key_name,
        "request_id": clean(redact_request_id(request_id, contact), _MAX_REQUEST_ID),
        "reason": context.reason and clean(redact_contact(context.reason, contact), MAX_REASON),
        "ref": context.ref and clean(redact_contact(context.ref, contact), MAX_REF),
        "wish": context.wish,
        "opened_at": utc_text(opened_at),
        "deadline_at": utc_text(deadline_at),
    }


def result_row(result: Result, contact: Contact | None, closed_at: float) -> Row:
    """Return the columns of a call that has ended."""
    outcome = result.outcome
    verification = outcome.verification
    code = outcome.provider_code
    return {
        "closed_at": utc_text(closed_at),
        "provider": result.provider or "",  # of an account with a fallback, whose response counts
        "code": outcome.code.value if outcome.code is not None else "ok",
        "outcome": outcome.applied.value,
        "confirmation": outcome.confirmation and outcome.confirmation.value,
        "verified": verification.verified,
        "verified_reason": verification.reason and verification.reason.value,
        "upstream_status": outcome.upstream_status,
        "upstream_code": code and clean(redact_contact(code, contact), _MAX_UPSTREAM_CODE),
        "attempts": result.attempts,
        "reads": verification.reads,
        "duration_ms": result.duration_ms,
    }


def state_after(opened: CallEvent, result: Result) -> tuple[str | None, str]:
    """Return the state of the contact that a change proves, and how it is known.

    The state is None where the change certainly had no effect.
    """
    outcome = result.outcome
    if outcome.ok and outcome.confirmation is not None:
        return opened.wanted, outcome.confirmation.value
    if outcome.verification.verified is False:  # the opposite was read
        return ("unblocked" if opened.wanted == "blocked" else "blocked"), "read_back"
    if outcome.applied is Applied.UNKNOWN and result.attempts:
        return "unknown", "none"
    return None, "none"


def clean(text: str, length: int) -> str:
    """Return the text as every database stores it: no NUL, no lone surrogate, not too long."""
    return text.translate(_NO_NUL).encode("utf-8", "replace").decode("utf-8")[:length]
