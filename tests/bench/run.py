"""The benchmark: ours beside what people would write or pick instead. `make bench` runs it.

Absolute times mean nothing on a shared machine. So everybody takes turns, round after round, under
the same load, and what is compared is the median of the rounds' ratios. The exit code is 0 whatever
the figures are, and 1 where something did not work.
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

from bench import goals, load
from bench.figures import Report, report_seconds, table
from bench.inside import TURNS_OF_CREATION, TURNS_OF_GROWTH, TURNS_OF_TAX, take_turns
from bench.processes import BrokenError, Servers
from bench.rounds import Scenario, play, start_upstream
from bench.servers import IN_FLIGHT, missing
from bench.starting import imports, installed, starts
from bench.surroundings import allow_many_files, certificates, clean_environment

Seconds = dict[str, list[float]]
Part = tuple[str, Callable[[], Report]]

EVERYBODY: Final = ("direct", "naive", "pooled", "async", "nginx", "ours", "ours, dialect")
SLOW: Final = ("async", "ours", "naive")  # naive last: it is long busy with what it was left with
FULL: Final = (
    Scenario("quick", "quick", 32, 1, EVERYBODY, rounds=7, seconds=3),
    Scenario("https", "quick https", 32, 2, ("naive", "pooled", "async", "ours"), 5, 4),
    Scenario("slow", "500 ms", 1000, 2, SLOW, 5, 6, many=True),
    Scenario("medium", "50 ms", 100, 2, ("naive", "pooled", "async", "ours"), 3, 3, many=True),
)
QUICK: Final = (
    Scenario("quick", "quick", 32, 1, EVERYBODY, rounds=2, seconds=1),
    Scenario("https", "quick https", 32, 2, ("naive", "ours"), 2, 1),
    Scenario("slow", "500 ms", 1000, 2, SLOW, 2, 3, many=True),
)
PARTS: Final = (
    *(scenario.name for scenario in FULL),
    *("tax", "growth", "create", "start", "core"),
)


def describe() -> dict[str, Any]:
    """Return what the figures were measured with."""
    packages = {}
    for name in ("flask", "gunicorn", "gevent", "requests", "urllib3", "uvicorn", "aiohttp"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load generator": load.generator(),
        "packages": packages,
        "left out": missing(),
        "note": f"in slow and medium, ours has max_in_flight = {IN_FLIGHT}: all calls are to one "
        "account, and the default of 256 refuses more",
    }


def say(text: str) -> None:
    """Tell how far it is, beside the result."""
    print(text, file=sys.stderr, flush=True)


def stop(number: int, _: object) -> NoReturn:
    """End on a signal as on an error: with everything torn down."""
    sys.exit(128 + number)


def names(text: str) -> tuple[str, ...]:
    """Read the names of parts, with commas between them."""
    found = tuple(text.split(","))
    if unknown := set(found) - set(PARTS):
        raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}")
    return found


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute, in place of ten")
    parser.add_argument("--only", type=names, default=PARTS, help=",".join(PARTS))
    parser.add_argument("--rounds", type=int, help="rounds of each scenario")
    parser.add_argument("--seconds", type=int, help="seconds of each turn")
    parser.add_argument("--json", type=Path, help="a file for everything that was measured")
    return parser.parse_args()


def parts(options: argparse.Namespace, folder: Path, servers: Servers) -> Iterator[Part]:
    """Return the parts of the benchmark that the command line wants, to be run one by one."""
    certificate, trusted = certificates(folder)
    addresses = start_upstream(servers, certificate)

    def turns(names: Sequence[str], quick: int, full: int) -> Seconds:
        rounds = options.rounds or (quick if options.quick else full)
        return take_turns(names, addresses["quick"], rounds, folder)

    def tax() -> Report:
        title = "a call in one thread, without a server"
        seconds = turns(TURNS_OF_TAX, 5, 21)
        return report_seconds("tax", title, seconds, goals.of_tax(seconds))

    def growth() -> Report:
        title = "processor time of a call of the whole app, to the provider that needs no network"
        seconds = turns(TURNS_OF_GROWTH, 2, 9)
        return report_seconds("growth", title, seconds, goals.of_growth(seconds))

    def create() -> Report:
        title = "processor time of create_app, where everything is imported"
        seconds = turns(TURNS_OF_CREATION, 3, 9)
        return report_seconds("create", title, seconds, goals.of_creation(seconds))

    few = options.rounds or (1 if options.quick else 5)

    def start() -> Report:
        seconds = starts(folder, addresses["quick"], few)
        title = "from the command to the first answer"
        return report_seconds("start", title, seconds, goals.of_starts(seconds))

    def core() -> Report:
        sizes = installed()
        size = f"{len(sizes)} distributions, {sum(sizes.values()):.1f} MiB, the largest of them "
        largest = ", ".join(f"{name} {mib:.1f}" for name, mib in list(sizes.items())[:5])
        title = f"a fresh interpreter; the core installs {size}{largest}"
        return report_seconds("core", title, imports(few), [])

    for scenario in QUICK if options.quick else FULL:
        wanted = replace(
            scenario,
            rounds=options.rounds or scenario.rounds,
            seconds=options.seconds or scenario.seconds,
        )

        def scene(wanted: Scenario = wanted) -> Report:
            played = play(wanted, addresses, trusted, folder, say)
            return played.report(goals.of_scenario(played))

        yield scenario.name, scene
    in_process = (("tax", tax), ("growth", growth), ("create", create))
    yield from (*in_process, ("start", start), ("core", core))


def main() -> int:
    """Measure, print, and return the exit code."""
    options = arguments()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, stop)
    clean_environment()
    allow_many_files()
    about = describe()
    for name, what in about.items():
        print(f"{name}: {what}")
    reports, broken = [], []
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Servers(Path(name)) as servers:
        for part, measure in parts(options, Path(name), servers):
            if part not in options.only:
                continue
            try:
                report = measure()
            except BrokenError as error:
                broken.append(f"{part}: {error}")
                say(f"BROKEN: {broken[-1]}")
                continue
            print(f"\n{report.title}\n\n{report.table}", flush=True)
            reports.append(report)
    reached = [goal for report in reports for goal in report.goals]
    rows = [[goal.what, goal.wanted, goal.found, goal.verdict] for goal in reached]
    print("\n" + table(("it must show", "wanted", "found (least to most)", "reached"), rows))
    if options.json is not None:
        document = {
            "measured with": about,
            "goals": [asdict(goal) for goal in reached],
            "parts": [report.document for report in reports],
            "broken": broken,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    for each in broken:
        print(f"\nBROKEN: {each}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
