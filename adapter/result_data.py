"""The `data` of an envelope: what a result holds, as a JSON document."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from adapter.contacts import Contact
from adapter.history import BlockEntry, CallEntry, Source
from adapter.readings import BlockPage, BlockState, CallPage, Lookup, Session

if TYPE_CHECKING:
    from adapter.results import Outcome, Result


def build_data(result: Result) -> dict[str, Any] | None:
    """Return the `data` of the envelope; None after a failure that was not read back."""
    command, outcome = result.command, result.outcome
    if command is not None and command.action.is_change:
        return _build_change(result)
    if not outcome.ok:
        return None
    match outcome.reading:
        case Session() as session:
            return {
                "account": result.account,
                "status": session.state,
                "provider_word": session.word,
                "asked_at": build_time(session.asked_at),
            }
        case BlockState() as state:
            data: dict[str, Any] = {
                "account": result.account,
                "source": state.source,
                "contact": command and build_contact(command.target),
                "blocked": state.blocked,
                "reason": state.reason,
            }
            if state.source is Source.LEDGER:
                data["ledger"] = state.entry and build_entry(state.entry)
            return data
        case CallPage() as page:
            return {
                "calls": [build_call(each) for each in page.entries],
                "count": len(page.entries),
                "cursor": page.cursor,
            }
        case tuple() as lookups:
            return {
                "account": result.account,
                "lookups": [build_lookup(each) for each in lookups],
            }
    return _build_list(result.account, outcome)


def _build_change(result: Result) -> dict[str, Any] | None:
    command, outcome, context = result.command, result.outcome, result.context
    if command is None:
        return None
    verification = outcome.verification
    verified = {"verified": verification.verified, "verified_reason": verification.reason}
    data: dict[str, Any] = {"action": command.action.value, "account": result.account}
    if outcome.ok:
        data["blocked"] = command.blocked
        data["confirmation"] = outcome.confirmation
        data["contact"] = build_contact(command.target)
    elif not verification.reads:  # without the contact: no failure shows a person
        return None
    data |= verified
    if context is not None and outcome.ok:
        for name in ("reason", "ref"):
            if getattr(context, name) is not None:
                data[name] = getattr(context, name)
    return data


def _build_list(account: str | None, outcome: Outcome) -> dict[str, Any]:
    page = outcome.reading if isinstance(outcome.reading, BlockPage) else BlockPage()
    source = Source.PROVIDER
    contacts: list[dict[str, Any]] = [build_contact(each) for each in outcome.contacts or ()]
    if page.entries is not None:
        source = Source.LEDGER
        contacts = [
            {**contact, **build_entry(entry)}
            for contact, entry in zip(contacts, page.entries, strict=True)
        ]
    return {
        "account": account,
        "source": source,
        "contacts": contacts,
        "count": len(contacts),
        "others": outcome.others,
        "cursor": page.cursor,
    }


def build_contact(contact: Contact) -> dict[str, str | None]:
    """Return the contact as it is written in an envelope."""
    return {
        "jid": contact.jid,
        "number": contact.number,
        "lid": contact.lid,
        "user_id": contact.user_id,
    }


def build_entry(entry: BlockEntry) -> dict[str, Any]:
    """Return what the ledger knows about a contact, without the contact."""
    return {
        "state": entry.state,
        "certainty": entry.certainty,
        "since": build_time(entry.since),
        "reason": entry.reason,
        "ref": entry.ref,
    }


def build_call(call: CallEntry) -> dict[str, Any]:
    """Return a call of the history as it is written in an envelope."""
    return {
        "id": call.id,
        "account": call.account,
        "provider": call.provider,
        "action": call.action,
        "contact": call.contact and build_contact(call.contact),
        "via": call.via,
        "key": call.key_name,
        "request_id": call.request_id,
        "reason": call.reason,
        "ref": call.ref,
        "opened_at": build_time(call.opened_at),
        "closed_at": build_time(call.closed_at),
        "code": call.code,
        "outcome": call.outcome,
        "confirmation": call.confirmation,
        "verified": call.verified,
        "upstream": {"status": call.upstream_status, "code": call.upstream_code},
        "attempts": call.attempts,
        "reads": call.reads,
        "duration_ms": call.duration_ms,
    }


def build_time(moment: datetime | None) -> str | None:
    """Return the time in UTC as it is written in an envelope; None for none."""
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def build_lookup(lookup: Lookup) -> dict[str, Any]:
    """Return the lookup of a number as it is written in an envelope."""
    other = lookup.other_form
    return {
        "number": lookup.asked.number,
        "on_whatsapp": lookup.on_whatsapp,
        "contact": lookup.contact and build_contact(lookup.contact),
        "code": lookup.code and lookup.code.value,
        "other_form": other and build_lookup(other),
    }
