"""Sort the contacts of two lists into what a plan does with each. Pure: nothing is read or sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from adapter.batches.comparing import BlockList
from adapter.batches.plan_model import FLAGS, Guard, Op, Reason, Wanted
from adapter.codes import Action, Code
from adapter.comparison import Identities
from adapter.contacts import Contact, as_sent, other_form

NO_LIST: Final = "the provider has no list to read, and the ledger does not show what it holds"
_NOT_COMPARABLE: Final = (
    "the list has numbers, and of this contact only the LID is known; send its number"
)
_OTHER_ID: Final = "the list may have it by its LID, or by the other form of its number"
_MAY_BE_WANTED: Final = "may be one of the wanted contacts, which are known by another id"
_NOT_WANTED: Final = "is blocked there and not in the source; it is left as it is"
_NOT_OURS: Final = "is blocked there and not in the source, but the ledger has no block of ours"


@dataclass(frozen=True, slots=True)
class Fact:
    """What the ledger has about a contact of the target."""

    wanted: str
    state: str
    certainty: str

    @property
    def is_blocked(self) -> bool:
        """Whether we have blocked the contact, and know that it is so."""
        ours = self.wanted == "blocked"
        return ours and self.state == "blocked" and self.certainty != "none"


class Known:
    """What the ledger has about the contacts of the target, found at once by each identifier."""

    def __init__(
        self, facts: Iterable[tuple[Contact, Fact]] = (), identities: Identities | None = None
    ) -> None:
        self._identities = identities or Identities()
        self._facts: dict[str, Fact] = {}
        for contact, fact in facts:
            for text in identifiers(contact):
                self._facts[text] = fact

    def find(self, contact: Contact) -> Fact | None:
        """Return what is known of the contact; its number is found in both of its forms."""
        for text in identifiers(self._identities.complete(contact)):
            fact = self._facts.get(text)
            other = other_form(text) if fact is None and text.isdigit() else None
            if other is not None:
                fact = self._facts.get(other)
            if fact is not None:
                return fact
        return None


@dataclass(frozen=True, slots=True)
class Target:
    """What the target can do.

    `explain` returns why no request of the action can name the contact, or None. `max_blocked`: how
    many entries its list holds; `only_recent`: it blocks only those who have written in the last so
    many hours, and that guard is not lifted.
    """

    actions: frozenset[Action]
    explain: Callable[[Action, Contact], str | None]
    max_blocked: int | None = None
    only_recent: int | None = None


@dataclass(frozen=True, slots=True)
class Sorted:
    """A contact and what is done with it. `line` is 0 for one that the source does not have."""

    contact: Contact
    line: int
    op: Op
    code: str | None = None
    why: str | None = None
    reason: str | None = None
    ref: str | None = None


def identifiers(contact: Contact) -> list[str]:
    """Return the identifiers of a contact, that of requests first."""
    return [text for text in (contact.number, contact.lid, contact.user_id) if text is not None]


def shorten(contact: Contact) -> Contact:
    """Return the contact with the one identifier that requests name it by."""
    sent = as_sent(contact)
    if sent.number is not None:
        return Contact(sent.number)
    return Contact(lid=sent.lid) if sent.lid is not None else sent


class Sorting:
    """The sorting of one plan.

    `there` are the entries of the target's list, and `known` what the ledger has about it.
    """

    def __init__(
        self, there: Iterable[Contact], known: Known, target: Target, identities: Identities
    ) -> None:
        self._there = tuple(there)
        self._known, self._target, self._identities = known, target, identities
        self._list = BlockList(self._there, identities)
        self._room: int | None = None
        if target.max_blocked is not None:
            self._room = target.max_blocked - len(self._there)

    def sort(self, wanted: Iterable[Wanted], *, mirror: bool) -> Iterator[Sorted]:
        """Yield each wanted contact, then what only the target's list has."""
        given = list(self._distinct(wanted))
        for each in given:
            op, code, why = self._decide(each.contact)
            yield Sorted(shorten(each.contact), each.line, op, code, why, each.reason, each.ref)
        for contact, found in self._extras(given):
            op, code, why = self._decide_extra(contact, found, mirror=mirror)
            yield Sorted(contact, 0, op, code, why)

    def verify(self, wanted: Iterable[Wanted], *, has_list: bool) -> Iterator[Sorted]:
        """Yield each contact with what the one list of two accounts shows."""
        given = list(self._distinct(wanted))
        for each in given:
            found = self._list.shows(each.contact) if has_list else None
            op, code, why = (Op.KEEP if found else Op.MISSING), None, None
            if found is None:
                op, code = Op.UNSURE, Reason.UNSURE.value
                why = _OTHER_ID if each.contact.number is not None else _NOT_COMPARABLE
                why = why if has_list else NO_LIST
            yield Sorted(shorten(each.contact), each.line, op, code, why, each.reason, each.ref)
        for contact, found in self._extras(given) if has_list else ():
            if found is False:
                yield Sorted(contact, 0, Op.EXTRA, Reason.NOT_WANTED.value)
            else:
                yield Sorted(contact, 0, Op.UNSURE, Reason.UNSURE.value, _MAY_BE_WANTED)

    def _distinct(self, wanted: Iterable[Wanted]) -> Iterator[Wanted]:
        seen = set()
        for each in wanted:
            contact = self._identities.complete(each.contact)
            short = shorten(contact)
            if short not in seen:
                seen.add(short)
                yield Wanted(contact, each.line, each.reason, each.ref)

    def _extras(self, given: Iterable[Wanted]) -> Iterator[tuple[Contact, bool | None]]:
        """Yield what the target's list has besides these; None where that is not known."""
        asked = BlockList([each.contact for each in given], self._identities)
        seen = set()
        for contact in map(self._identities.complete, self._there):
            found, short = asked.shows(contact), shorten(contact)
            if found is not True and short not in seen:
                seen.add(short)
                yield short, found

    def _decide(self, contact: Contact) -> tuple[Op, str | None, str | None]:
        found = self._list.shows(contact)
        if found is None:
            fact = self._known.find(contact)
            found = True if fact is not None and fact.is_blocked else None
        if found is True:
            return Op.KEEP, None, None
        cannot = self._explain(Action.BLOCK, shorten(contact))
        if cannot is not None:
            return cannot
        if found is None and contact.number is None:
            return Op.UNSURE, Reason.UNSURE.value, _NOT_COMPARABLE
        hours = self._target.only_recent
        if hours is not None:
            why = (
                f"the provider blocks only who has written in the last {hours} hours, which is not "
                f"known here; {FLAGS[Guard.NOT_RECENT]} sends the block all the same"
            )
            return Op.CANNOT, Reason.NOT_RECENT.value, why
        if self._room is not None:
            if self._room <= 0:
                why = f"the list of the provider holds {self._target.max_blocked} entries"
                return Op.CANNOT, Reason.LIST_FULL.value, why
            self._room -= 1
        return Op.BLOCK, None, None

    def _decide_extra(
        self, contact: Contact, found: bool | None, *, mirror: bool
    ) -> tuple[Op, str | None, str | None]:
        if not mirror:
            code = Reason.NOT_WANTED.value if found is False else None
            return Op.KEEP, code, _NOT_WANTED if code else _MAY_BE_WANTED
        if found is None:
            return Op.UNSURE, Reason.UNSURE.value, _MAY_BE_WANTED
        fact = self._known.find(contact)
        if fact is None or not fact.is_blocked:
            return Op.KEEP, Reason.NOT_WANTED.value, _NOT_OURS
        return self._explain(Action.UNBLOCK, contact) or (Op.UNBLOCK, None, None)

    def _explain(self, action: Action, contact: Contact) -> tuple[Op, str, str] | None:
        if action not in self._target.actions:
            code = Code.OPERATION_NOT_SUPPORTED
            return Op.CANNOT, code.value, code.message
        why = self._target.explain(action, contact)
        return None if why is None else (Op.CANNOT, Code.INVALID_TARGET.value, why)
