"""The benchmark: good responses, ratios, goals, equal peers, and the end of all servers."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest
from adapter.providers.wuts import WutsProvider
from bench import goals, ledgers, servers
from bench.environment import certificates
from bench.figures import Goal, Ratio, ratio, summary
from bench.in_process import alternate
from bench.load import KINDS, Load, Target, bundled, read
from bench.processes import MeasurementError, Servers
from bench.scenarios import Measurement, Scenario, ScenarioResult, start_server, start_upstream
from bench.servers import (
    ADAPTER,
    ASYNC_BARE,
    ASYNC_EQUIVALENT,
    KEY,
    NUMBER,
    WITH_POSTGRESQL,
    WITH_SQLITE,
)
from bench.upstream import JID, TOKEN, Upstream
from support import wait_until
from support.postgresql import REQUIRED_VARIABLE

from adapter import Action, Command, Contact, Secret, create_app
from adapter.http import Headers, HttpResponse

pytestmark = pytest.mark.slow

RIGHT = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
WRONG = {**RIGHT, "Authorization": "Bearer another"}
REQUEST = "POST {} HTTP/1.1\r\nHost: x\r\n{}Content-Length: {}\r\n\r\n{}"


class HangUp(asyncio.Protocol):
    """Closes the connection in the middle of its response."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        transport.close()


def load_on(server: Callable[[], asyncio.Protocol], headers: dict[str, str]) -> Load:
    """Return the figures of the bundled load generator for a server."""

    async def run() -> Load:
        listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        async with listening:
            port = listening.sockets[0].getsockname()[1]
            url = f"http://127.0.0.1:{port}/contacts/block"
            target = Target(url, headers, json.dumps({"jid": JID}))
            return read("earlier output\n" + json.dumps(await bundled(target, 2, 0.2)))

    return asyncio.run(run())


def errors(**counts: int) -> dict[str, int]:
    return {**dict.fromkeys(KINDS, 0), **counts}


class Transport(asyncio.Transport):
    """The transport of an upstream's connection: it stores what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data


def responses_of(*pieces: bytes) -> list[bytes]:
    """Return the responses of the upstream to bytes that arrive in these pieces."""
    transport, upstream = Transport(), Upstream(0)
    upstream.connection_made(transport)
    for piece in pieces:
        upstream.data_received(piece)
    return [b"HTTP/1.1" + each for each in transport.sent.split(b"HTTP/1.1")[1:]]


def request_of(path: str, headers: dict[str, str], body: str) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return REQUEST.format(path, lines, len(body), body).encode()


def test_the_load_generator_counts_good_responses() -> None:
    found = load_on(partial(Upstream, 0.0), RIGHT)
    assert found.good > 0
    assert found.errors == errors()
    assert 0 < found.p50_ms <= found.p99_ms


def test_a_response_with_another_status_is_an_error_and_not_good() -> None:
    found = load_on(partial(Upstream, 0.0), WRONG)
    assert found.good == 0
    assert found.errors == errors(status=found.failed)
    assert found.failed > 0


def test_an_incomplete_response_is_an_error_and_not_good() -> None:
    found = load_on(HangUp, RIGHT)
    assert found.good == 0
    assert found.failed > 0
    assert found.errors["read"] == found.failed


def test_a_refused_connection_is_an_error() -> None:
    target = Target("http://127.0.0.1:1/contacts/block", RIGHT, "{}")
    found = read(json.dumps(asyncio.run(bundled(target, 1, 0.1))))
    assert found.good == 0
    assert found.failed > 0
    assert found.errors["connect"] == found.failed


@pytest.mark.parametrize("action", [Action.BLOCK, Action.UNBLOCK])
def test_the_response_of_the_upstream_is_a_success_of_the_provider(action: Action) -> None:
    provider, command = WutsProvider({"token": Secret(TOKEN)}), Command(action, Contact(JID[:13]))
    request = provider.build_request(command)
    sent = request_of(request.path, dict(request.headers), json.dumps(request.json))
    [received] = responses_of(sent)
    head, _, body = received.partition(b"\r\n\r\n")
    response = HttpResponse(int(head.split()[1]), Headers(), body)
    assert f"Content-Length: {len(body)}".encode() in head
    assert provider.parse_response(command, response).ok


def test_the_upstream_refuses_a_request_without_the_token() -> None:
    [response] = responses_of(request_of("/contacts/block", WRONG, "{}"))
    assert response.startswith(b"HTTP/1.1 401 ")


def test_the_upstream_responds_once_to_each_complete_request_in_any_pieces() -> None:
    sent = request_of("/nowhere", RIGHT, "{}") + request_of("/contacts/block", RIGHT, "{}")
    in_one_piece = responses_of(sent)
    assert [each.split()[1] for each in in_one_piece] == [b"404", b"200"]
    assert responses_of(*(bytes([byte]) for byte in sent)) == in_one_piece
    assert len(responses_of(sent[:-1])) == 1


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    found = ratio([10, 40, 90], [10, 20, 10])  # of the medians it would be 4
    assert (found.median, found.least, found.most) == (2, 1, 9)
    with pytest.raises(ValueError, match="shorter"):
        ratio([1, 2], [1])
    assert Goal.at_least("", 2, found).met
    assert not Goal.at_least("", 2.01, found).met
    assert not Goal.at_most("", 1.99, found).met


def test_the_summary_has_a_verdict_for_each_goal_and_the_counts() -> None:
    found = Ratio(0.5, 0.4, 0.6)
    lines = summary(
        [
            Goal.at_least("a / b", 0.4, found),
            Goal.at_least("a / c", 0.7, found),
            Goal.not_measured("a / d", ">= 1", "d is not installed"),
        ]
    ).splitlines()
    assert [re.split(r"  +", line) for line in lines[2:5]] == [
        ["met", "a / b", ">= 0.4", "0.50 (0.40 to 0.60)"],
        ["NOT MET", "a / c", ">= 0.7", "0.50 (0.40 to 0.60)"],
        ["NOT MEASURED", "a / d", ">= 1", "d is not installed"],
    ]
    assert lines[-1] == "goals: 1 met, 1 not met, 1 not measured"


def test_slow_calls_have_goals_for_rate_errors_latency_and_memory() -> None:
    def measured(rate: int, p99_ms: float, memory: float) -> list[Measurement]:
        return [Measurement(Load(1, rate, p99_ms / 2, p99_ms), 0.1, memory)]

    scenario = Scenario("slow", "500 ms", 1000, 2, (ASYNC_BARE, ADAPTER), 1, 1, slow_calls=True)
    slow = {ASYNC_BARE: measured(1000, 600, 50), ADAPTER: measured(940, 990, 151)}
    assert [goal.met for goal in goals.of_scenario(ScenarioResult(scenario, slow))] == [
        *(False, True, True, False),
    ]
    alone = {ADAPTER: measured(960, 1010, 150)}
    assert [goal.met for goal in goals.of_scenario(ScenarioResult(scenario, alone))] == [
        *(None, True, False, True),
    ]


def test_a_server_with_a_ledger_has_goals_for_its_rate_and_for_what_is_recorded() -> None:
    def measured(rate: int) -> list[Measurement]:
        return [Measurement(Load(1, rate, 1, 2), 0.1, 50)]

    scenario = Scenario("ledger", "quick", 32, 1, (ADAPTER, WITH_SQLITE), 1, 1)
    rates = {ADAPTER: measured(1000), WITH_SQLITE: measured(800)}
    for recorded, met in ((800, True), (700, False)):
        result = ScenarioResult(scenario, rates, {WITH_SQLITE: recorded})
        found = {goal.what: goal.met for goal in goals.of_scenario(result)}
        assert found[f"ledger: {WITH_SQLITE} / {ADAPTER}, requests/s"]
        assert found[f"ledger: {WITH_SQLITE}, recorded calls / good responses"] is met
        assert found[f"ledger: {WITH_POSTGRESQL} / {ADAPTER}, requests/s"] is None


@pytest.mark.parametrize("kind", [ledgers.SQLITE, ledgers.POSTGRESQL])
def test_the_pages_of_a_large_ledger_are_measured_beside_bare_queries(
    kind: str, tmp_path: Path
) -> None:
    if kind in ledgers.missing() and os.environ.get(REQUIRED_VARIABLE) != "required":
        pytest.skip(ledgers.missing()[kind])
    with ledgers.databases(tmp_path) as databases:
        url = databases.make(kind)
        ledgers.fill(url, calls=150_000, blocks=2500)
        assert ledgers.count_recorded(url) == 150_000
        for names in (ledgers.HISTORY, ledgers.BLOCKED):
            seconds = alternate(names, url, 1, tmp_path)
            assert {name: len(each) for name, each in seconds.items()} == dict.fromkeys(names, 1)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc here")
def test_a_server_is_measured_and_ended_with_all_its_child_processes(tmp_path: Path) -> None:
    script = "sleep 60 & sleep 60 & echo ready; wait"
    with Servers(tmp_path) as running:
        server = running.start(
            "sleepers", ["sh", "-c", script], ready=lambda it: "ready" in it.log.read_text()
        )
        wait_until(lambda: len(server.processes()) == 3, "both child processes")
        assert server.memory()
    wait_until(lambda: not server.processes(), "the end of all three")


def test_a_server_that_does_not_start_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Servers(tmp_path) as running, pytest.raises(MeasurementError, match="no way"):
        running.start("none", ["sh", "-c", "echo no way"], ready=lambda _: False)


class HeaderNames(Protocol):
    """Headers, whatever the case of a name."""

    def get(self, name: str, /) -> str | None: ...


Response = tuple[int, HeaderNames, Any]


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("upstream")
    with Servers(folder) as running:
        yield start_upstream(running, certificates(folder)[0])["quick"]


@pytest.fixture(scope="module")
def peer(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address and the log of the asynchronous peer that does the work of the adapter."""
    if ASYNC_EQUIVALENT in servers.missing():
        pytest.skip(servers.missing()[ASYNC_EQUIVALENT])
    folder = tmp_path_factory.mktemp("peer")
    place = servers.Place(upstream, 1, servers.free_port(), folder, None)
    recipe, where = servers.async_equivalent(place), f"http://127.0.0.1:{place.port}"
    with Servers(folder) as running:
        yield where, start_server(running, "peer", recipe, where).log


def comparable(response: Response) -> tuple[int, list[str | None], Any]:
    """Return the status, three headers, and the envelope without its id and its duration."""
    status, headers, envelope = response
    meta = envelope["meta"]
    assert headers.get("X-Request-Id") == meta.pop("request_id")
    assert isinstance(meta.pop("duration_ms"), int)
    names = ("Content-Type", "Cache-Control", "WWW-Authenticate")
    return status, [headers.get(name) for name in names], envelope


def facts_of(line: str) -> dict[str, str]:
    """Return the facts of a request's log line, without the id and the duration."""
    facts = dict(fact.partition("=")[::2] for fact in line.partition(" request ")[2].split())
    assert facts.pop("request_id")
    assert facts.pop("ms").isdecimal()
    return facts


@pytest.mark.parametrize(
    ("key", "body", "status"),
    [
        (KEY, {"number": NUMBER}, 200),
        (KEY, {"number": f"+{NUMBER[:2]} ({NUMBER[2:4]}) {NUMBER[4:]}"}, 200),
        (KEY, {"number": NUMBER[:-4]}, 422),
        (None, {"number": NUMBER}, 401),
        (f"{KEY}-", {"number": NUMBER}, 401),
        (KEY, {"number": NUMBER, "account": "unknown"}, 404),
    ],
)
def test_the_equivalent_peer_gives_the_response_and_the_log_line_of_the_adapter(
    key: str | None,
    body: dict[str, str],
    status: int,
    upstream: str,
    peer: tuple[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path, sent = "/v1/contacts/block", json.dumps(body)
    headers = {"Content-Type": "application/json"}
    headers |= {} if key is None else {"Authorization": f"Bearer {key}"}

    recipe = servers.adapter(servers.Place(upstream, 1, 0, tmp_path, None))
    for name, value in recipe.environment.items():
        monkeypatch.setenv(name, value)
    client = create_app(tmp_path / "adapter.toml").test_client()
    with caplog.at_level(logging.INFO, "adapter"):
        by_adapter = client.post(path, data=sent, headers=headers)
    [line] = [f" {each}" for each in caplog.messages if each.startswith("request ")]

    where, log = peer
    connection = HTTPConnection(urlsplit(where).netloc, timeout=20)
    connection.request("POST", path, sent, headers)
    by_peer = connection.getresponse()
    expected: Response = (by_adapter.status_code, by_adapter.headers, by_adapter.get_json())
    found: Response = (by_peer.status, by_peer.headers, json.loads(by_peer.read()))
    connection.close()

    assert comparable(found) == comparable(expected)
    assert found[0] == status
    assert facts_of(log.read_text().splitlines()[-1]) == facts_of(line)
    assert NUMBER not in log.read_text()


def test_the_equivalent_peer_stays_short() -> None:
    source = (servers.PEERS / "equivalent.py").read_text()
    assert len(source.splitlines()) <= 150
