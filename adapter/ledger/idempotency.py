"""Idempotency keys: one execution for a key and its command, and the same result afterwards.

After draft-ietf-httpapi-idempotency-key-header (October 2025): the same key with another command is
refused (422), and so is a key whose first call is still running (409). A claim has a lease, so that
a crash does not block its key. Neither a body nor a number is stored: the result is built from the
row of the call, and the hashes are keyed.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Final

import sqlalchemy as sa

from adapter.codes import Applied, Code, Confirmation, Retry
from adapter.ledger.contact_ids import insert_for
from adapter.ledger.schema import Tables
from adapter.readings import Unverified, Verification
from adapter.recording import Claim, Claimed, OtherCommand, Replay, StillRunning, Superseded
from adapter.results import Command, Outcome, Result
from adapter.transport.intents import superseded_outcome

__all__ = ("Claim", "Claimed", "OtherCommand", "Replay", "StillRunning", "Superseded")

KEPT: Final = timedelta(hours=24)
"""How long a key is remembered."""

LEASE_MARGIN: Final = 5.0
"""Seconds that a lease lasts beyond the deadline of its call."""

_OPEN, _DONE, _UNKNOWN, _RELEASED = "open", "done", "unknown", "released"


def scope_of(hash_key: str, caller: str, key: str) -> str:
    """Return the stored form of a caller's key."""
    return _hash(hash_key, ["scope", caller, key])


def fingerprint_of(
    hash_key: str, account: str, command: Command, more: Mapping[str, Any] | None = None
) -> str:
    """Return the stored form of a command: equal for equal contacts, however they were written."""
    contact = command.target
    identifiers = [contact.number, contact.lid, contact.user_id]
    facts = [account, command.action.value, *identifiers, command.verify]
    return _hash(hash_key, ["command", *facts, sorted((more or {}).items())])


def _hash(hash_key: str, facts: list[Any]) -> str:
    return hmac.new(bytes.fromhex(hash_key), json.dumps(facts).encode(), "sha256").hexdigest()


def claim(
    connection: sa.Connection,
    tables: Tables,
    scope: str,
    fingerprint: str,
    lease: float,
    command: Command,
    request_id: str,
) -> Claimed:
    """Claim the key for `lease` seconds; return the claim, or why there is none.

    Of several calls at once, one gets the claim, and the others that it is still running.
    """
    table = tables.idempotency
    now = datetime.now(UTC)
    mine = Claim(scope, _whole_milliseconds(now + timedelta(seconds=lease)))
    values = {
        "fingerprint": fingerprint,
        "call_id": None,
        "state": _OPEN,
        "lease_until": mine.lease_until,
        "created_at": now,
        "expires_at": now + KEPT,
    }
    insert = insert_for(connection)(table).on_conflict_do_nothing()
    insert = insert.execution_options(preserve_rowcount=True)
    while True:
        if connection.execute(insert, {"scope": scope, **values}).rowcount:
            return mine
        query = sa.select(table).where(table.c.scope == scope).with_for_update()
        row = connection.execute(query).one_or_none()
        if row is None:  # deleted since by the clean-up
            continue
        if row.expires_at > now:
            if row.fingerprint != fingerprint:
                if row.state != _RELEASED:
                    return OtherCommand()
            elif row.state in (_UNKNOWN, _RELEASED):
                if _has_newer_wish(connection, tables, row.call_id):
                    return Superseded()
            elif row.state == _DONE:
                result = _find_result(connection, tables, row.call_id, command, request_id)
                if result is not None:
                    return Replay(result)
            elif row.lease_until > now:
                left = (row.lease_until - now).total_seconds()
                return StillRunning(max(1, min(ceil(left), 5)))
        connection.execute(sa.update(table).where(table.c.scope == scope).values(values))
        return mine


def settle(
    connection: sa.Connection, tables: Tables, claim: Claim, call_id: int, result: Result
) -> None:
    """End the claim: its result is kept, or the key is released.

    Kept are successes, and failures that the same command would meet again. A change whose effect
    is not known is executed again: setting a state twice does no harm. Of the others, only the call
    is kept, as the place in the order of wishes. A claim whose lease was taken over since changes
    nothing.
    """
    if not call_id:
        release(connection, tables, claim)
        return
    if result.ok or result.retry is Retry.NEVER:
        state = _DONE
    else:
        state = _UNKNOWN if result.outcome.applied is Applied.UNKNOWN else _RELEASED
    table = tables.idempotency
    own = sa.and_(table.c.scope == claim.scope, table.c.lease_until == claim.lease_until)
    connection.execute(sa.update(table).where(own).values(state=state, call_id=call_id))


def _has_newer_wish(connection: sa.Connection, tables: Tables, call_id: int) -> bool:
    """Whether a call that is newer than this one requests the opposite for its contact."""
    calls, blocks = tables.calls, tables.blocks
    own = sa.and_(blocks.c.account == calls.c.account, blocks.c.contact_id == calls.c.contact_id)
    query = (
        sa.select(calls.c.action, blocks.c.wanted)
        .join_from(calls, blocks, own)
        .where(calls.c.id == call_id, blocks.c.intent > calls.c.id)
    )
    row = connection.execute(query).one_or_none()
    return row is not None and row.wanted != f"{row.action}ed"


def release(connection: sa.Connection, tables: Tables, claim: Claim) -> None:
    """Delete the key of a claim whose lease was not taken over."""
    table = tables.idempotency
    own = sa.and_(table.c.scope == claim.scope, table.c.lease_until == claim.lease_until)
    connection.execute(sa.delete(table).where(own))


def _find_result(
    connection: sa.Connection, tables: Tables, call_id: int, command: Command, request_id: str
) -> Result | None:
    """Return the result of a call; None where its row is gone or still open."""
    calls = tables.calls
    row = connection.execute(sa.select(calls).where(calls.c.id == call_id)).one_or_none()
    if row is None or row.code is None:
        return None
    verified_reason = row.verified_reason and Unverified(row.verified_reason)  # type: ignore[call-arg]
    verification = Verification(row.verified, verified_reason, row.reads or 0)
    outcome = Outcome(
        code=None if row.code == "ok" else Code(row.code),  # type: ignore[call-arg]
        confirmation=row.confirmation and Confirmation(row.confirmation),
        retry=None if row.code == "ok" else Retry.NEVER,
        upstream_status=row.upstream_status,
        provider_code=row.upstream_code,
        verification=verification,
    )
    if outcome.code is Code.PROVIDER_CONFLICT:  # kept only where a newer call had superseded it
        outcome = superseded_outcome()
    return Result(
        outcome,
        command,
        row.account,
        row.provider,
        row.attempts or 0,
        row.duration_ms or 0,
        request_id,
    )


def _whole_milliseconds(moment: datetime) -> datetime:
    """Return the moment as SQLite stores it."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
