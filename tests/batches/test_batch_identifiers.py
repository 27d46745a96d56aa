"""The contact of a row is sent, and shown, as the row has it."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.batch_fixtures import MakeClient
from support.batches import create, items, run
from support.block_list_server import BlockListServer

from adapter import Contact
from adapter.api_keys import ANONYMOUS
from adapter.batches import Batches, read_rows, write_rows
from adapter.batches.contacts import known_contact, name_contact, named_contact
from adapter.batches.rows import Row
from adapter.codes import Action
from adapter.contacts import other_form

pytest_plugins = ["support.batch_fixtures"]

FORMS = [
    ("5531988880009", "553188880009"),
    ("553188880009", "5531988880009"),
    ("5491123456789", "541123456789"),
    ("5215512345678", "525512345678"),
]
"""Numbers, and the other form that WhatsApp keeps of each."""


def rows_of(*numbers: str) -> list[Row]:
    return [Row(line, Contact(each), each) for line, each in enumerate(numbers, 2)]


@pytest.mark.parametrize(("stored", "asked"), FORMS)
def test_a_row_unblocks_the_number_that_it_names_and_not_the_form_that_the_ledger_has(
    make_client: MakeClient, provider: BlockListServer, stored: str, asked: str
) -> None:
    assert other_form(stored) == asked
    client = make_client(others=["other"])
    batches = Batches(client.service)
    assert client.block(stored, account="other").ok
    provider.states[asked] = True
    batch = create(batches, rows_of(asked), Action.UNBLOCK).batch
    assert run(batches, batch).counts == {"done": 1}
    assert provider.requests[-1] == ("unblock", asked)
    assert provider.states[asked] is False
    (item,) = items(batches, batch)
    assert (item.contact, item.given) == (Contact(asked), asked)
    (line,) = list(write_rows([item]))[1:]
    assert line.startswith(f"{asked},")


@pytest.mark.parametrize(("stored", "asked"), FORMS)
def test_what_the_ledger_knows_of_one_form_leaves_no_row_of_the_other_unchanged(
    make_client: MakeClient, provider: BlockListServer, stored: str, asked: str
) -> None:
    client = make_client()
    batches = Batches(client.service)
    assert client.unblock(stored).ok
    provider.states[asked] = True
    batch = create(batches, rows_of(asked), Action.UNBLOCK).batch
    assert run(batches, batch).counts == {"done": 1}
    assert provider.states[asked] is False


@pytest.mark.parametrize(("first", "second"), FORMS)
def test_of_both_forms_in_one_file_the_first_is_sent_and_the_second_a_duplicate(
    make_client: MakeClient, provider: BlockListServer, first: str, second: str
) -> None:
    batches = Batches(make_client().service)
    batch = create(batches, rows_of(first, second)).batch
    assert run(batches, batch).counts == {"done": 1, "duplicate": 1}
    assert provider.requests == [("block", first)]
    assert [each.given for each in items(batches, batch)] == [first, second]


def test_failed_rows_are_written_as_they_were_given(
    make_client: MakeClient, provider: BlockListServer
) -> None:
    client = make_client(others=["other"])
    batches = Batches(client.service)
    for stored, _ in FORMS:
        assert client.block(stored, account="other").ok
    asked = [asked for _, asked in FORMS]
    batch = create(batches, rows_of(*asked), start=False).batch
    batches.cancel(batch.id, ANONYMOUS)
    text = "".join(write_rows(items(batches, batch)))
    again = list(read_rows(io.BytesIO(text.encode()), default_region=None))
    assert [each.contact for each in again] == list(map(Contact, asked))


texts = st.sampled_from([None, "5531988880009", "553188880009", "14155550100"])
lids = st.sampled_from([None, "100000000000001@lid"])
user_ids = st.sampled_from([None, "US.1", "US.2"])


@given(st.tuples(texts, lids, user_ids), st.tuples(texts, lids, user_ids))
def test_a_named_contact_has_no_identifier_that_the_row_did_not_have(
    asked: tuple[str | None, ...], kept: tuple[str | None, ...]
) -> None:
    if not any(asked):
        return
    contact = Contact(*asked)
    stored = SimpleNamespace(number=kept[0], lid=kept[1], user_id=kept[2], named_by=None)
    stored.named_by = name_contact(contact, stored)
    named, known = named_contact(stored), known_contact(stored)
    same = contact.number is not None and kept[0] is not None
    same = same and kept[0] in (contact.number, other_form(str(contact.number)))
    expected = (
        contact.number if same else None,
        contact.lid if contact.lid == kept[1] else None,
        contact.user_id if contact.user_id == kept[2] else None,
    )
    if not any(expected):
        assert named is known is None
        return
    assert named == Contact(*expected)
    assert known == Contact(expected[0] or kept[0], kept[1], kept[2])
