"""Lost and wrong responses to a request for many contacts: what they do not prove is unknown."""

from __future__ import annotations

import pytest
from support.many_users import meta_account
from support.raw_server import Peer, RawServer, http_response

from adapter import Action, Command, Contact, connect
from adapter.call_context import CallContext
from adapter.changes import Change
from adapter.codes import Applied

A, B, C = "16505550001", "16505550002", "16505550003"


def added(*numbers: str) -> bytes:
    users = [{"input": f"+{each}", "wa_id": each} for each in numbers]
    return http_response(200, {"block_users": {"added_users": users}})


@pytest.mark.parametrize(
    ("response", "known"),
    [
        (b"", ""),
        (added(A, B, C)[:-9], ""),
        (http_response(200, b"<html>"), ""),
        (http_response(200, b'{"block_users": {'), ""),
        (http_response(204, b""), ""),
        (http_response(302, b""), ""),
        (http_response(500, b""), ""),
        (http_response(504, b""), ""),
        (added("16505559999", "16505559998"), ""),
        (added(A, B, C, "16505559999"), ""),
        (added(A, C), A + C),
        (added(A, B, C, A), B + C),
    ],
)
def test_after_a_response_that_proves_nothing_about_a_contact_its_change_is_unknown(
    response: bytes, known: str
) -> None:
    def answer(peer: Peer) -> None:
        peer.read_request()
        peer.write(response)

    with (
        RawServer(answer) as server,
        connect({"accounts": {"a": meta_account(server.address)}}) as (client),
    ):
        changes = [
            Change(Command(Action.BLOCK, Contact(each)), CallContext("batch")) for each in (A, B, C)
        ]
        results = client.service.perform_many("a", changes)
    for number, result in zip((A, B, C), results, strict=True):
        expected = Applied.APPLIED if number in known else Applied.UNKNOWN
        assert (result.outcome.applied, result.attempts) == (expected, 1)
