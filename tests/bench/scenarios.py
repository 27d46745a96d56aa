"""One scenario: its servers, measured alternately under the same load, and what each round gave.

All servers of a scenario start once and stay up, so that connection pools are warm, as in
production; an idle server costs next to nothing. Before each measurement all servers finish the
calls that they still have, and one request checks the response of the server to be measured. Every
second round has the reverse order.
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
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench import figures, ledgers, load
from bench.processes import MeasurementError, Server, Servers
from bench.servers import ADAPTER, LEDGERS, RECIPES, Place, Recipe, free_port, missing
from bench.upstream import DELAYS

WARM_UP: Final = 2
"""Seconds of load before the first round, on all servers at once."""

_SETTLE: Final = 20
"""Most seconds that a server may take to finish its calls between two measurements."""


@dataclass(frozen=True)
class Scenario:
    """What is measured: the servers, the kind of upstream, the load, the number of rounds."""

    name: str
    upstream: str
    connections: int
    workers: int
    servers: tuple[str, ...]
    rounds: int
    seconds: int
    slow_calls: bool = False

    @property
    def title(self) -> str:
        """The scenario in words, for its table."""
        workers = f"{self.workers} worker" + "s" * (self.workers > 1)
        return (
            f"{self.name}: {self.upstream} upstream, {self.connections} connections, {workers}; "
            f"medians of {self.rounds} rounds of {self.seconds} s each"
        )


@dataclass(frozen=True)
class Measurement:
    """One round of one server."""

    load: load.Load
    cpu_ms: float | None
    """Processor time of all its processes for each good response."""
    memory_mib: float | None
    """Memory of all its processes together, the highest of several readings."""


@dataclass(frozen=True)
class Subject:
    """A server to be measured, with its requests. Without a server it is the upstream itself."""

    name: str
    target: load.Target
    server: Server | None


@dataclass(frozen=True)
class ScenarioResult:
    """A scenario with all measurements, round by round."""

    scenario: Scenario
    measurements: Mapping[str, list[Measurement]]
    recorded: Mapping[str, int] = field(default_factory=dict)
    """The calls of all rounds in the ledger of each server that has one."""

    def rates(self, name: str) -> list[float]:
        """Return the responses per second of every round."""
        return [each.load.rate for each in self.measurements[name]]

    def ratio(self, name: str, base: str) -> figures.Ratio:
        """Return the ratio of two servers by responses per second."""
        return figures.ratio(self.rates(name), self.rates(base))

    def p99_ms(self, name: str) -> list[float]:
        """Return the 99th percentile of every round."""
        return [each.load.p99_ms for each in self.measurements[name]]

    def errors(self, name: str) -> int:
        """Return the errors of all rounds together."""
        return sum(each.load.failed for each in self.measurements[name])

    def recorded_share(self, name: str) -> figures.Ratio:
        """Return the recorded calls for each good response; those cut off are recorded, too."""
        good = sum(each.load.good for each in self.measurements[name])
        return figures.Ratio.of([self.recorded[name] / good])

    def memory_mib(self, name: str) -> float | None:
        """Return the most memory in any round."""
        sizes = (each.memory_mib for each in self.measurements[name])
        return max((size for size in sizes if size), default=None)

    def table(self) -> str:
        """Return the table of medians."""
        headings = (
            *("", "requests/s", f"{ADAPTER} / it", "p50 ms", "p99 ms"),
            *("CPU ms", "MiB", "errors"),
        )
        return figures.table(headings, [self._row(name) for name in self.measurements])

    def _row(self, name: str) -> list[str]:
        measured = self.measurements[name]
        cpu = [each.cpu_ms for each in measured if each.cpu_ms is not None]
        compared = ADAPTER in self.measurements
        return [
            name,
            figures.number(statistics.median(self.rates(name)), 0),
            figures.number(self.ratio(ADAPTER, name).median, 2) if compared else "-",
            figures.number(statistics.median(each.load.p50_ms for each in measured)),
            figures.number(statistics.median(self.p99_ms(name))),
            figures.number(statistics.median(cpu) if cpu else None, 3),
            figures.number(self.memory_mib(name), 0),
            str(self.errors(name)),
        ]

    def report(self, goals: list[figures.Goal]) -> figures.Report:
        """Return all measurements, with the scenario's goals."""
        rounds = {name: [asdict(one) for one in each] for name, each in self.measurements.items()}
        document = {**asdict(self.scenario), "title": self.scenario.title, "measurements": rounds}
        return figures.Report(self.scenario.title, self.table(), document, goals)


def measure(
    scenario: Scenario,
    addresses: Mapping[str, str],
    ca_file: Path,
    folder: Path,
    report_progress: Callable[[str], None],
    make_database: Callable[[str], str],
) -> ScenarioResult:
    """Measure one scenario. Raises MeasurementError where a server does not work."""
    address = addresses[scenario.upstream]
    trusted = ca_file if address.startswith("https:") else None
    chosen = [name for name in scenario.servers if name in LEDGERS and name not in missing()]
    urls = {name: make_database(LEDGERS[name]) for name in chosen}
    with Servers(folder) as servers:
        subjects = list(_start(scenario, servers, address, trusted, folder, urls))
        warm_up(subjects, scenario.connections)
        _settle(subjects)
        before = {name: ledgers.count_recorded(url) for name, url in urls.items()}
        measured: dict[str, list[Measurement]] = {subject.name: [] for subject in subjects}
        for number in range(scenario.rounds):
            for subject in subjects if number % 2 == 0 else subjects[::-1]:
                _settle(subjects)  # calls left over would slow the next measurement
                found = measure_once(subject, scenario.connections, scenario.seconds)
                measured[subject.name].append(found)
                rate, errors = f"{found.load.rate:.0f}/s", f"{found.load.failed} errors"
                place = f"{scenario.name}, round {number + 1}, {subject.name}"
                report_progress(f"{place}: {rate}, {errors}")
        _settle(subjects)
        recorded = {name: ledgers.count_recorded(urls[name]) - before[name] for name in urls}
        return ScenarioResult(scenario, measured, recorded)


def _settle(subjects: Sequence[Subject]) -> None:
    """Wait until all servers have finished their calls."""
    for each in subjects:
        if each.server is not None:
            each.server.settle(_SETTLE)


def _start(
    scenario: Scenario,
    servers: Servers,
    address: str,
    ca_file: Path | None,
    folder: Path,
    urls: Mapping[str, str],
) -> Iterator[Subject]:
    """Start the servers of a scenario.

    A subject without a command is the server that was started before it; before the first one,
    that is the upstream.
    """
    server, where = None, address
    for name in scenario.servers:
        if name in missing():
            continue
        port = free_port()
        slow, url = scenario.slow_calls, urls.get(name, "")
        place = Place(address, scenario.workers, port, folder, ca_file, slow, url)
        recipe = RECIPES[name](place)
        if recipe.command:
            where = f"http://127.0.0.1:{port}"
            server = start_server(servers, f"{scenario.name}-{name}", recipe, where)
        yield Subject(name, recipe.target(where), server)


def start_server(servers: Servers, name: str, recipe: Recipe, where: str) -> Server:
    """Start a server at this address, and return it as soon as it gives the right response."""
    target = recipe.target(where)
    return servers.start(
        name, recipe.command, recipe.environment, ready=lambda _: is_serving(target)
    )


def is_serving(target: load.Target) -> bool:
    """Whether a server listens there. Raises MeasurementError for any but the right response."""
    parts = urlsplit(target.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.request("POST", parts.path, target.body, dict(target.headers))
        response = connection.getresponse()
        body = response.read()
    except ConnectionRefusedError:
        return False
    finally:
        connection.close()
    if response.status != 200 or json.loads(body)["data"]["blocked"] is not True:
        raise MeasurementError(f"{target.url} responded {response.status} {body[:500]!r}")
    return True


def measure_once(subject: Subject, connections: int, seconds: int) -> Measurement:
    """Measure one server for some seconds. Raises MeasurementError without a good response."""
    server = subject.server
    if not is_serving(subject.target):
        raise MeasurementError(f"{subject.name} has ended{server.log_end() if server else ''}")
    if server is not None:
        os.truncate(server.log, 0)
    before = server.cpu_seconds() if server else None
    output, memory = _put_load(subject, connections, seconds)
    after = server.cpu_seconds() if server else None
    found = load.read(output)
    if not found.good:
        log = server.log_end() if server else ""
        raise MeasurementError(f"{subject.name} had no good response: {found.errors}{log}")
    cpu = None if after is None or before is None else 1000 * (after - before) / found.good
    return Measurement(found, cpu, memory)


def warm_up(subjects: Sequence[Subject], connections: int) -> None:
    """Put the load on all servers at once for a moment, so that pools and caches are filled."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(_load(each.target, connections, WARM_UP)) for each in subjects
        ]
        for process in started:
            process.communicate(timeout=_longest(WARM_UP))


@contextmanager
def _load(target: load.Target, connections: int, seconds: int) -> Iterator[subprocess.Popen[str]]:
    """Start the load generator; it ends with the block at the latest."""
    command, environment = load.command(target, connections, seconds)
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
    """Return the timeout, in seconds, of a load generator that runs for so many seconds."""
    return seconds + load.TIMEOUT + 10


def _put_load(subject: Subject, connections: int, seconds: int) -> tuple[str, float | None]:
    """Run the load generator; return its output, and the most memory of the server."""
    sizes: list[float] = []
    with _load(subject.target, connections, seconds) as process:
        for _ in range(3):  # at a quarter, at half and at three quarters of its time
            time.sleep(seconds / 4)
            if subject.server is not None and (size := subject.server.memory()) is not None:
                sizes.append(size)
        output, _ = process.communicate(timeout=_longest(seconds))
    if process.returncode:
        raise MeasurementError(f"the load generator failed: {output[-2000:]}")
    return output, max(sizes, default=None)


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
