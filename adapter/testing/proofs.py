"""Whether a response holds the evidence of a recorded success."""

from __future__ import annotations

from collections.abc import Sequence

from adapter.codes import Action
from adapter.http import HttpResponse
from adapter.readings import BlockState, Lookup, Session, SessionState
from adapter.results import Outcome
from adapter.strict_json import Json, read_json, write_json
from adapter.testing.exchanges import Exchange
from adapter.testing.naming import is_readable_name
from adapter.testing.pointers import GONE, is_pattern, same, value_at, values_at

_FLAGS = ("/success", "/ok")


def claim_of(outcome: Outcome) -> str | None:
    """Return what a read claims of one session, number or contact; None if it is unknown.

    The claim about a session is its state, that about a number or a contact a yes or a no.
    """
    match outcome.reading:
        case Session(state) if state is not SessionState.UNKNOWN:
            return state.value
        case BlockState(bool(blocked)):
            return "blocked" if blocked else "not blocked"
        case (Lookup(on_whatsapp=bool(found)),):
            return "on WhatsApp" if found else "not on WhatsApp"
    return None


def proves(
    exchange: Exchange, action: Action, response: HttpResponse, numbers: Sequence[str] = ()
) -> bool:
    """Whether the response holds all that makes the exchange a success of `action`.

    A lookup of the first of `numbers` is compared with that of the exchange's own number.
    """
    if not exchange.outcome.ok or exchange.command.action is not action:
        return False
    ours = exchange.response.document
    if not exchange.several_statuses and response.status != exchange.response.status:
        return False
    if ours is None:
        return response.body == exchange.response.body
    theirs, evidence = response.document, exchange.evidence
    for own, number in zip(exchange.command.numbers, numbers, strict=False):
        ours = read_json(write_json(ours).replace(own.encode(), number.encode()))
        evidence = tuple(pointer.replace(own, number) for pointer in evidence)
    return theirs is not None and all(_is_shown(pointer, theirs, ours) for pointer in evidence)


def keeps_evidence(success: Exchange, document: Json) -> bool:
    """Whether the evidence of a success is in the document, without its flags of success."""
    ours = success.response.document
    pointers = [each for each in success.evidence if not each.endswith(_FLAGS)]
    return bool(pointers) and all(_is_shown(each.rstrip("?"), document, ours) for each in pointers)


def _is_shown(pointer: str, theirs: Json, ours: Json) -> bool:
    """Whether the recorded value is at the pointer, or a contact's name at each of a pattern."""
    optional = pointer.endswith("?")
    if is_pattern(pointer):
        values = values_at(theirs, pointer)
        return values is not None and all(
            (each is GONE and optional) or is_readable_name(each) for each in values
        )
    there = value_at(theirs, pointer)
    return (there is GONE and optional) or same(there, value_at(ours, pointer))
