"""One scenario: start everybody, let them take turns under the same load, keep what each turn gave.

All servers of a scenario are started once and stay up, so that their pools are warm, as they are in
production; one that waits costs next to nothing. Before each turn all are left to finish what they
were left with, and whoever's turn it is is asked once whether it answers rightly.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench import figures, load
from bench.processes import BrokenError, Server, Servers
from bench.servers import RECIPES, Place, free_port, missing
from bench.upstream import DELAYS

WARM_UP: Final = 2
"""Seconds of load before the first round, on all together."""


@dataclass(frozen=True)
class Scenario:
    """What is measured: who, in front of what, under which load, for how long."""

    name: str
    upstream: str
    connections: int
    workers: int
    who: tuple[str, ...]
    rounds: int
    seconds: int
    many: bool = False

    @property
    def title(self) -> str:
        """Return what the scenario is, for its table."""
        workers = f"{self.workers} worker" + "s" * (self.workers > 1)
        return (
            f"{self.name}: {self.upstream} upstream, {self.connections} connections, {workers}; "
            f"medians of {self.rounds} rounds of {self.seconds} s each"
        )


@dataclass(frozen=True)
class Turn:
    """What one turn of one of them gave."""

    load: load.Load
    cpu_ms: float | None
    """Processor time of all its processes for each good answer."""
    memory_mib: float | None
    """What all its processes held together, at the highest of several looks."""


@dataclass(frozen=True)
class Lane:
    """One that takes turns. Without a server it is the upstream itself."""

    name: str
    target: load.Target
    server: Server | None


@dataclass(frozen=True)
class Played:
    """A scenario with all its turns, round by round."""

    scenario: Scenario
    turns: Mapping[str, list[Turn]]

    def rates(self, name: str) -> list[float]:
        """Return the answers per second of every round."""
        return [turn.load.rate for turn in self.turns[name]]

    def ratio(self, ours: str, theirs: str) -> figures.Ratio:
        """Compare two of them by answers per second."""
        return figures.ratio(self.rates(ours), self.rates(theirs))

    def p99_ms(self, name: str) -> float:
        """Return the median of the rounds' 99th percentiles."""
        return statistics.median(turn.load.p99_ms for turn in self.turns[name])

    def errors(self, name: str) -> int:
        """Return the errors of all rounds together."""
        return sum(turn.load.failed for turn in self.turns[name])

    def memory_mib(self, name: str) -> float | None:
        """Return the most that it held in any round."""
        return max((t.memory_mib for t in self.turns[name] if t.memory_mib), default=None)

    def table(self) -> str:
        """Return the table of medians."""
        headings = ("", "requests/s", "ours / it", "p50 ms", "p99 ms", "CPU ms", "MiB", "errors")
        return figures.table(headings, [self._row(name) for name in self.turns])

    def _row(self, name: str) -> list[str]:
        turns = self.turns[name]
        cpu = [turn.cpu_ms for turn in turns if turn.cpu_ms is not None]
        return [
            name,
            figures.number(statistics.median(self.rates(name)), 0),
            figures.number(self.ratio("ours", name).median, 2) if "ours" in self.turns else "-",
            figures.number(statistics.median(turn.load.p50_ms for turn in turns)),
            figures.number(self.p99_ms(name)),
            figures.number(statistics.median(cpu) if cpu else None, 3),
            figures.number(self.memory_mib(name), 0),
            str(self.errors(name)),
        ]

    def report(self, goals: list[figures.Goal]) -> figures.Report:
        """Return everything, with what of it was asked for."""
        turns = {name: [asdict(turn) for turn in each] for name, each in self.turns.items()}
        document = {**asdict(self.scenario), "title": self.scenario.title, "turns": turns}
        return figures.Report(self.scenario.title, self.table(), document, goals)


def play(
    scenario: Scenario,
    addresses: Mapping[str, str],
    ca_file: Path,
    folder: Path,
    say: Callable[[str], None],
) -> Played:
    """Measure one scenario. Raises BrokenError where one of its servers does not do its work."""
    address = addresses[scenario.upstream]
    trusted = ca_file if address.startswith("https:") else None
    with Servers(folder) as servers:
        lanes = list(_open_lanes(scenario, servers, address, trusted, folder))
        warm_up(lanes, scenario.connections)
        turns: dict[str, list[Turn]] = {lane.name: [] for lane in lanes}
        for played in range(scenario.rounds):
            for lane in lanes:
                for each in lanes:  # who was left with calls would work on them in another's turn
                    if each.server is not None:
                        each.server.settle(20)
                turn = run(lane, scenario.connections, scenario.seconds)
                turns[lane.name].append(turn)
                rate, errors = f"{turn.load.rate:.0f}/s", f"{turn.load.failed} errors"
                say(f"{scenario.name}, round {played + 1}, {lane.name}: {rate}, {errors}")
        return Played(scenario, turns)


def _open_lanes(
    scenario: Scenario, servers: Servers, address: str, ca_file: Path | None, folder: Path
) -> Iterator[Lane]:
    """Start the servers of a scenario.

    One without a command is the server that was started before it; before the first one, that is
    the upstream.
    """
    server, where = None, address
    for name in scenario.who:
        if name in missing():
            continue
        place = Place(address, scenario.workers, free_port(), folder, ca_file, scenario.many)
        recipe = RECIPES[name](place)
        if recipe.command:
            where = f"http://127.0.0.1:{place.port}"
            target = recipe.target(where)
            server = servers.start(
                f"{scenario.name}-{name}",
                recipe.command,
                recipe.environment,
                ready=lambda _, target=target: answers(target),  # type: ignore[misc]
            )
        yield Lane(name, recipe.target(where), server)


def answers(target: load.Target) -> bool:
    """Whether anybody answers there. Raises BrokenError where the answer is not the right one."""
    parts = urlsplit(target.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.request("POST", parts.path, target.body, dict(target.headers))
        answer = connection.getresponse()
        body = answer.read()
    except ConnectionRefusedError:
        return False
    finally:
        connection.close()
    if answer.status != 200 or json.loads(body)["data"]["blocked"] is not True:
        raise BrokenError(f"{target.url} answers {answer.status} {body[:500]!r}")
    return True


def run(lane: Lane, connections: int, seconds: int) -> Turn:
    """Let one of them have its turn. Raises BrokenError where nothing good came of it."""
    server = lane.server
    if not answers(lane.target):
        raise BrokenError(f"{lane.name} is gone{server.last_words() if server else ''}")
    if server is not None:
        os.truncate(server.log, 0)
    before = server.cpu_seconds() if server else None
    output, memory = _put_load(lane, connections, seconds)
    after = server.cpu_seconds() if server else None
    found = load.read(output)
    if not found.good:
        words = server.last_words() if server else ""
        raise BrokenError(f"{lane.name} gave no good answer: {found.errors}{words}")
    cpu = None if after is None or before is None else 1000 * (after - before) / found.good
    return Turn(found, cpu, memory)


def warm_up(lanes: Sequence[Lane], connections: int) -> None:
    """Put the load on all of them at once for a moment, so that pools and caches are filled."""
    with ExitStack() as stack:
        started = [stack.enter_context(_load(lane, connections, WARM_UP)) for lane in lanes]
        for process in started:
            process.communicate(timeout=_longest(WARM_UP))


@contextmanager
def _load(lane: Lane, connections: int, seconds: int) -> Iterator[subprocess.Popen[str]]:
    """Start the load generator; whatever happens, it does not outlive the block."""
    command, environment = load.command(lane.target, connections, seconds)
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _longest(seconds: int) -> int:
    """Return the seconds after which a load generator that was told so many is stuck."""
    return seconds + load.TIMEOUT + 10


def _put_load(lane: Lane, connections: int, seconds: int) -> tuple[str, float | None]:
    """Run the load generator; return its output, and the most memory that the server held."""
    held: list[float] = []
    with _load(lane, connections, seconds) as process:
        for _ in range(3):  # at a quarter, at half and at three quarters of its time
            time.sleep(seconds / 4)
            if lane.server is not None and (size := lane.server.memory()) is not None:
                held.append(size)
        output, _ = process.communicate(timeout=_longest(seconds))
    if process.returncode:
        raise BrokenError(f"the load generator failed: {output[-2000:]}")
    return output, max(held, default=None)


def start_upstream(servers: Servers, certificate: Path) -> dict[str, str]:
    """Start the upstream and return its addresses, by the kinds of `upstream.DELAYS`."""
    script = str(Path(__file__).with_name("upstream.py"))
    found: dict[str, str] = {}

    def ready(server: Server) -> bool:
        lines = server.log.read_text().splitlines()
        if lines and lines[-1].startswith("{"):
            found.update(json.loads(lines[-1]))
        return bool(found)

    command = [sys.executable, script, "--certificate", str(certificate)]
    servers.start("upstream", command, ready=ready)
    assert found.keys() == DELAYS.keys()
    return found
