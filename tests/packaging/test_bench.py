"""Where the benchmark could deceive: good answers, ratios, and what is left behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from adapter.providers.wuts import WutsProvider
from bench.figures import Goal, ratio
from bench.load import KINDS, Load, Target, bundled, read
from bench.processes import BrokenError, Servers
from bench.upstream import JID, TOKEN, Upstream
from support import wait_until

from adapter.plugin import Action, Command, Contact, Headers, HttpResponse, Secret

pytestmark = pytest.mark.slow

RIGHT = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
WRONG = {**RIGHT, "Authorization": "Bearer another"}
WIRE = "POST {} HTTP/1.1\r\nHost: x\r\n{}Content-Length: {}\r\n\r\n{}"


class HangUp(asyncio.Protocol):
    """Leaves in the middle of its answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        transport.close()


def load_on(server: Callable[[], asyncio.Protocol], headers: dict[str, str], **rest: str) -> Load:
    """Return what the bundled load generator makes of a server."""

    async def run() -> Load:
        listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        async with listening:
            port = listening.sockets[0].getsockname()[1]
            url = f"http://127.0.0.1:{port}/contacts/block"
            target = Target(url, headers, json.dumps({"jid": JID}))
            return read("whatever came before\n" + json.dumps(await bundled(target, 2, 0.2)))

    return asyncio.run(run())


def errors(**counts: int) -> dict[str, int]:
    return {**dict.fromkeys(KINDS, 0), **counts}


class ProviderAdapter:
    """The other end of an upstream's connection."""

    def __init__(self) -> None:
        self.sent = b""

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.sent += data


def answers_of(*pieces: bytes) -> list[bytes]:
    """Return what the upstream answers to bytes that arrive in these pieces."""
    wire, upstream = ProviderAdapter(), Upstream(0)
    upstream.connection_made(wire)  # type: ignore[arg-type]
    for piece in pieces:
        upstream.data_received(piece)
    return [b"HTTP/1.1" + each for each in wire.sent.split(b"HTTP/1.1")[1:]]


def request_of(path: str, headers: dict[str, str], body: str) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return WIRE.format(path, lines, len(body), body).encode()


def test_the_load_generator_counts_good_answers() -> None:
    found = load_on(partial(Upstream, 0.0), RIGHT)
    assert found.good > 0
    assert found.errors == errors()
    assert 0 < found.p50_ms <= found.p99_ms


def test_an_answer_with_another_status_is_an_error_and_no_good_answer() -> None:
    found = load_on(partial(Upstream, 0.0), WRONG)
    assert found.good == 0
    assert found.errors == errors(status=found.failed)
    assert found.failed > 0


def test_half_an_answer_is_an_error_and_no_good_answer() -> None:
    found = load_on(HangUp, RIGHT)
    assert found.good == 0
    assert found.failed > 0
    assert found.errors["read"] == found.failed


def test_a_call_that_is_refused_is_an_error() -> None:
    with_nobody = Target("http://127.0.0.1:1/contacts/block", RIGHT, "{}")
    found = read(json.dumps(asyncio.run(bundled(with_nobody, 1, 0.1))))
    assert found.good == 0
    assert found.failed > 0
    assert found.errors["connect"] == found.failed


@pytest.mark.parametrize("action", [Action.BLOCK, Action.UNBLOCK])
def test_the_upstream_gives_the_provider_what_it_takes_for_a_success(action: Action) -> None:
    provider, command = WutsProvider({"token": Secret(TOKEN)}), Command(action, Contact(JID[:13]))
    request = provider.build_request(command)
    sent = request_of(request.path, dict(request.headers), json.dumps(request.json))
    [answer] = answers_of(sent)
    head, _, body = answer.partition(b"\r\n\r\n")
    response = HttpResponse(int(head.split()[1]), Headers(), body)
    assert f"Content-Length: {len(body)}".encode() in head
    assert provider.parse_response(command, response).ok


def test_the_upstream_refuses_whoever_does_not_send_the_token() -> None:
    [answer] = answers_of(request_of("/contacts/block", WRONG, "{}"))
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_the_upstream_answers_every_whole_request_once_however_it_arrives() -> None:
    sent = request_of("/nowhere", RIGHT, "{}") + request_of("/contacts/block", RIGHT, "{}")
    in_one_piece = answers_of(sent)
    assert [each.split()[1] for each in in_one_piece] == [b"404", b"200"]
    assert answers_of(*(bytes([byte]) for byte in sent)) == in_one_piece
    assert len(answers_of(sent[:-1])) == 1


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    found = ratio([10, 40, 90], [10, 20, 10])  # of the medians it would be 4
    assert (found.median, found.least, found.most) == (2, 1, 9)
    with pytest.raises(ValueError, match="shorter"):
        ratio([1, 2], [1])
    assert Goal.at_least("", 2, found).reached
    assert not Goal.at_least("", 2.01, found).reached
    assert not Goal.at_most("", 1.99, found).reached


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc here")
def test_a_server_is_weighed_and_ended_with_all_that_it_started(tmp_path: Path) -> None:
    script = "sleep 60 & sleep 60 & echo ready; wait"
    with Servers(tmp_path) as servers:
        server = servers.start(
            "sleepers", ["sh", "-c", script], ready=lambda it: "ready" in it.log.read_text()
        )
        wait_until(lambda: len(server.processes()) == 3, "the two that it starts")
        assert server.memory()
    wait_until(lambda: not server.processes(), "the end of all three")


def test_a_server_that_does_not_start_is_told_of_with_its_last_words(tmp_path: Path) -> None:
    with Servers(tmp_path) as servers, pytest.raises(BrokenError, match="no way"):
        servers.start("none", ["sh", "-c", "echo no way"], ready=lambda _: False)
