"""Identifiers of persons are in the table of contacts alone."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.ledgers import (
    ACCOUNT,
    MakeLedger,
    begin,
    block,
    call,
    result,
    rows,
    unblock,
)

from adapter.call_context import CallContext
from adapter.codes import Action, Code
from adapter.contacts import Contact
from adapter.ledger.database import Database
from adapter.ledger.idempotency import Claim
from adapter.ledger.ledger import Ledger
from adapter.results import Command, Outcome
from adapter.settings.model import LedgerSettings

CANARIES = {
    "number": Contact(number="5511987654321"),
    "lid": Contact(lid="198765432109876@lid"),
    "user_id": Contact(user_id="BR.13491208655302741918"),
}


def fill(ledger: Ledger, contact: Contact) -> None:
    """Record everything that can be recorded of a contact, with its identifier in every text."""
    text = contact.number or contact.lid or contact.user_id or ""
    spaced = " ".join(re.findall("..?", text))
    for command in (block(contact), unblock(contact)):
        claimed = ledger.claim("crm", text, ACCOUNT, command, 15, more={"ref": text})
        opened = begin(ledger, command, request_id=text, reason=text, ref=spaced)
        refused = Outcome.failure(Code.TARGET_REJECTED, provider_code=f"BAD_{text}", message=text)
        claim = claimed if isinstance(claimed, Claim) else None
        assert opened.close(result(command, refused), claim)
        call(ledger, command)
    context = CallContext("cli", "crm", text)
    assert ledger.record(result(Command(Action.STATE, contact)), context)
    if contact.number:
        lookup = Command(Action.LOOKUP, contacts=(contact,))
        assert ledger.record(result(lookup), context)
    begin(ledger, block(contact))


def tables(url: str) -> list[str]:
    database = Database(LedgerSettings(url))
    names = database.run(lambda connection: sa.inspect(connection).get_table_names())
    database.close()
    return names


def digits(text: object) -> str:
    return re.sub(r"[^0-9]", "", str(text))


@pytest.mark.parametrize("kind", CANARIES)
def test_identifiers_are_in_the_table_of_contacts_alone(
    ledger: Ledger, url: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    contact = CANARIES[kind]
    own = digits(getattr(contact, kind))
    with caplog.at_level(logging.DEBUG):
        fill(ledger, contact)
    names = tables(url)
    assert len(names) == 9
    for name in names:
        found = [
            value for row in rows(url, name, "") for value in row.values() if own in digits(value)
        ]
        assert bool(found) is name.endswith("_contacts"), name
    assert own not in digits(caplog.text)


def test_after_an_erasure_no_byte_of_the_number_is_left_in_the_sqlite_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger(LedgerSettings(f"sqlite:///{path}", wait=30))
    contact = CANARIES["number"]
    fill(ledger, contact)
    number = str(contact.number).encode()
    assert any(number in each.read_bytes() for each in tmp_path.iterdir())
    ledger.erase(contact)
    assert not any(number in each.read_bytes() for each in tmp_path.iterdir()), "while it is open"
    ledger.close()
    other = Ledger(LedgerSettings(f"sqlite:///{path}", wait=30))
    assert other.export(contact).calls == ()
    other.close()
    left = [each for each in tmp_path.iterdir() if number in each.read_bytes()]
    assert left == []


def test_neither_events_nor_entries_show_a_number_in_their_repr(
    make_ledger: MakeLedger,
) -> None:
    ledger = make_ledger()
    contact = CANARIES["number"]
    opened = begin(ledger, block(contact), ref="ticket 7")
    opened.close(result(block(contact)))
    shown: list[object] = [opened, opened._event, ledger, ledger.settings]
    shown += [ledger.state(ACCOUNT, contact), ledger.blocked(ACCOUNT), ledger.export(contact)]
    assert not [each for each in shown if str(contact.number) in repr(each)]


def test_the_numbers_of_a_lookup_are_not_in_its_request_id(ledger: Ledger, url: str) -> None:
    contacts = (Contact("5511987654321"),)
    done = replace(result(block()), command=Command(Action.LOOKUP, contacts=contacts))
    assert ledger.record(done, CallContext("api", request_id="lookup-5511-98765-4321"))
    (stored,) = rows(url, "calls")
    assert "98765" not in stored["request_id"]
