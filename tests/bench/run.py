"""The benchmark: the adapter beside the servers that one would write or pick in its place.

`make bench` runs it. Absolute times mean little on a shared machine: all servers of a scenario are
measured alternately, round after round, under the same load, and a goal compares the median of the
rounds' ratios. The last lines are the goals: met or not, with the ratio and its range. The exit
code is 0 where every goal of the run is met, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, NoReturn

from bench import goals, ledgers, load
from bench.environment import allow_many_files, certificates, clean_environment
from bench.figures import Goal, Report, report_seconds, summary
from bench.in_process import (
    CREATION,
    GROWTH,
    LOOKUP,
    LOOKUP_IN_PARTS,
    PERFORM,
    STATUS,
    alternate,
)
from bench.ledgers import POSTGRESQL, SQLITE, Databases
from bench.processes import MeasurementError, Servers
from bench.scenarios import Scenario, measure, start_upstream
from bench.servers import (
    ADAPTER,
    ASYNC_BARE,
    ASYNC_EQUIVALENT,
    DIALECT,
    DIRECT,
    IN_FLIGHT,
    NAIVE,
    NGINX,
    POOLED,
    WITH_POSTGRESQL,
    WITH_SQLITE,
    missing,
)
from bench.starting import imports, installed, starts

Seconds = dict[str, list[float]]
Part = tuple[str, Callable[[], Report]]

ALL: Final = (DIRECT, NAIVE, POOLED, ASYNC_BARE, ASYNC_EQUIVALENT, NGINX, ADAPTER, DIALECT)
CONCURRENT: Final = (NAIVE, POOLED, ASYNC_BARE, ASYNC_EQUIVALENT, ADAPTER)
RECORDING: Final = (ADAPTER, WITH_SQLITE, WITH_POSTGRESQL)
SLOW: Final = (ASYNC_BARE, ASYNC_EQUIVALENT, ADAPTER, NAIVE)

FULL: Final = (
    Scenario("quick", "quick", 32, 1, ALL, rounds=7, seconds=3),
    Scenario("https", "quick https", 32, 2, CONCURRENT, rounds=5, seconds=4),
    Scenario("slow", "500 ms", 1000, 2, SLOW, rounds=5, seconds=6, slow_calls=True),
    Scenario("medium", "50 ms", 100, 2, CONCURRENT, rounds=3, seconds=3, slow_calls=True),
    Scenario("ledger", "quick", 32, 1, RECORDING, rounds=7, seconds=3),
    Scenario("ledger slow", "500 ms", 1000, 2, RECORDING, rounds=3, seconds=6, slow_calls=True),
)
QUICK: Final = (
    Scenario("quick", "quick", 32, 1, ALL, rounds=2, seconds=1),
    Scenario("https", "quick https", 32, 2, (NAIVE, ASYNC_BARE, ADAPTER), rounds=2, seconds=1),
    Scenario("slow", "500 ms", 1000, 2, (ASYNC_BARE, ADAPTER), 2, 3, slow_calls=True),
    Scenario("medium", "50 ms", 100, 2, (ASYNC_BARE, ADAPTER), 2, 1, slow_calls=True),
    Scenario("ledger", "quick", 32, 1, RECORDING, rounds=2, seconds=1),
    Scenario("ledger slow", "500 ms", 1000, 2, RECORDING, rounds=2, seconds=3, slow_calls=True),
)
PARTS: Final = (
    *(scenario.name for scenario in FULL),
    *("perform", "reads", "growth", "create", "start", "import", "pages"),
)


def describe() -> dict[str, Any]:
    """Return the conditions of the measurements."""
    packages = {}
    for name in ("flask", "gunicorn", "gevent", "requests", "urllib3", "uvicorn", "aiohttp"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load average": ", ".join(f"{each:.1f}" for each in os.getloadavg()),
        "load generator": load.generator(),
        "packages": packages,
        "left out": missing(),
        "note": f"in slow and medium, the adapter has max_in_flight = {IN_FLIGHT}: all calls are "
        "to one account, and the default of 256 refuses more",
    }


def report_progress(text: str) -> None:
    """Write a line beside the result."""
    print(text, file=sys.stderr, flush=True)


def stop(number: int, _: object) -> NoReturn:
    """Exit on a signal as on an error: all servers end."""
    sys.exit(128 + number)


def part_names(text: str) -> tuple[str, ...]:
    """Return the names of parts in a text with commas between them."""
    found = tuple(text.split(","))
    if unknown := set(found) - set(PARTS):
        raise argparse.ArgumentTypeError(f"unknown part: {', '.join(sorted(unknown))}")
    return found


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few, short rounds")
    parser.add_argument("--only", type=part_names, default=PARTS, help=",".join(PARTS))
    parser.add_argument("--rounds", type=int, help="rounds of each scenario")
    parser.add_argument("--seconds", type=int, help="seconds of each measurement")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    return parser.parse_args()


def parts(
    options: argparse.Namespace, folder: Path, servers: Servers, databases: Databases
) -> Iterator[Part]:
    """Return all parts of the benchmark, to be run one by one."""
    certificate, trusted = certificates(folder)
    addresses = start_upstream(servers, certificate)

    def in_process(names: Sequence[str], quick: int, full: int, upstream: str = "quick") -> Seconds:
        rounds = options.rounds or (quick if options.quick else full)
        return alternate(names, addresses[upstream], rounds, folder)

    def perform() -> Report:
        title = "wall-clock time of a call in one thread, without a server"
        seconds = in_process(PERFORM, 5, 21)
        return report_seconds("perform", title, seconds, goals.of_perform(seconds))

    def reads() -> Report:
        title = "wall-clock time of a read in one thread, without a server"
        status, lookup = in_process(STATUS, 5, 21), in_process(LOOKUP, 5, 21)
        in_parts = in_process(LOOKUP_IN_PARTS, 3, 9, "50 ms")
        seconds = {**status, **lookup, **in_parts}
        found = goals.of_reads(status, lookup, in_parts)
        return report_seconds("reads", title, seconds, found)

    def growth() -> Report:
        title = "processor time of a call of the whole app, with the provider without a network"
        seconds = in_process(GROWTH, 2, 9)
        return report_seconds("growth", title, seconds, goals.of_growth(seconds))

    def create() -> Report:
        title = "processor time of create_app, without imports (for information)"
        return report_seconds("create", title, in_process(CREATION, 3, 9), [])

    few = options.rounds or (1 if options.quick else 5)

    def start() -> Report:
        seconds = starts(folder, addresses["quick"], few)
        title = "from the command to the first response"
        return report_seconds("start", title, seconds, goals.of_starts(seconds))

    def importing() -> Report:
        sizes = installed()
        size = f"{len(sizes)} distributions, {sum(sizes.values()):.1f} MiB, the largest of them "
        largest = ", ".join(f"{name} {mib:.1f}" for name, mib in list(sizes.items())[:5])
        title = f"a fresh interpreter; an installation without extras: {size}{largest}"
        return report_seconds("import", title, imports(few), [])

    for scenario in QUICK if options.quick else FULL:
        chosen = replace(
            scenario,
            rounds=options.rounds or scenario.rounds,
            seconds=options.seconds or scenario.seconds,
        )

        def measured(chosen: Scenario = chosen) -> Report:
            result = measure(chosen, addresses, trusted, folder, report_progress, databases.make)
            return result.report(goals.of_scenario(result))

        yield scenario.name, measured

    def pages() -> Report:
        seconds: Seconds = {}
        found: list[Goal] = []
        for kind in (SQLITE, POSTGRESQL):
            if kind in ledgers.missing():
                found.append(Goal.not_measured(f"pages: {kind}", "", ledgers.missing()[kind]))
                continue
            url = databases.make(kind)
            report_progress(f"pages: {kind}, {ledgers.CALLS} calls, {ledgers.BLOCKS} blocks")
            ledgers.fill(url)
            for names in (ledgers.HISTORY, ledgers.BLOCKED):
                rounds = options.rounds or (3 if options.quick else 9)
                measured = alternate(names, url, rounds, folder)
                seconds |= {f"{kind}, {name}": each for name, each in measured.items()}
            own = {
                name: seconds[f"{kind}, {name}"] for name in (*ledgers.HISTORY, *ledgers.BLOCKED)
            }
            found += goals.of_pages(kind, own)
        title = f"{ledgers.PAGE} entries of {ledgers.CALLS} calls and {ledgers.BLOCKS} blocks"
        return report_seconds("pages", title, seconds, found)

    others = (perform, reads, growth, create, start, importing, pages)
    yield from zip(PARTS[len(FULL) :], others, strict=True)


def main() -> int:
    """Measure, print, and return the exit code."""
    options = arguments()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, stop)
    clean_environment()
    allow_many_files()
    conditions = describe()
    for name, what in conditions.items():
        print(f"{name}: {what}")
    reports, failed = [], []
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        ledgers.databases(Path(name)) as databases,
        Servers(Path(name)) as servers,
    ):
        for part, report_part in parts(options, Path(name), servers, databases):
            if part not in options.only:
                continue
            try:
                report = report_part()
            except MeasurementError as error:
                failed.append(f"{part}: {error}")
                report_progress(f"FAILED: {failed[-1]}")
                continue
            print(f"\n{report.title}\n\n{report.table}", flush=True)
            reports.append(report)
    reached = [goal for report in reports for goal in report.goals]
    if options.json is not None:
        document = {
            "measured with": conditions,
            "goals": [asdict(goal) for goal in reached],
            "parts": [report.document for report in reports],
            "failed": failed,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    for each in failed:
        print(f"\nFAILED: {each}")
    print("\n" + summary(reached))
    return 0 if not failed and all(goal.met for goal in reached) else 1


if __name__ == "__main__":
    sys.exit(main())
