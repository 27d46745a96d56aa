"""The processor time of a request, by its parts: `make profile`.

Method: the server runs as in `make bench`, with one worker, in front of the quick upstream and
under the load of 32 connections, in alternating rounds without and with a sampler (`sampler.py`).
Each sample is the stack of the server after some milliseconds of its processor time; the innermost
function of the project on that stack decides the part (`request_parts.py`), so that libraries and
the kernel count for the part that calls them. Times are microseconds of processor time per good
response; those after ± are the standard error of the sampling. The sum of the parts is compared
with the whole, which /proc gives for the rounds without the sampler. A difference of a few per cent
is the machine's: two rounds of the same server differ as much.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from bench.environment import allow_many_files, certificates, clean_environment
from bench.figures import number, table
from bench.processes import MeasurementError, Server, Servers
from bench.request_parts import Function, module_of, part_of
from bench.sampler import START, STOP
from bench.scenarios import Subject, measure_once, start_server, start_upstream, warm_up
from bench.servers import Place, adapter, dialect, free_port

ROUNDS: Final = 5
PLAIN_SECONDS: Final = 2
"""Seconds of each round without the sampler."""
_TESTS: Final = Path(__file__).parents[1]
KeyT = TypeVar("KeyT")


class Sample(NamedTuple):
    """One stack with its processor time, in nanoseconds, and the number of its samples."""

    nanoseconds: int
    samples: int
    stack: list[Function]


@dataclass
class Profile:
    """The figures of all rounds."""

    whole_us: list[float] = field(default_factory=list)
    """Processor time per response of each round without the sampler."""
    responses: int = 0
    """Good responses of the rounds with the sampler."""
    samples: list[Sample] = field(default_factory=list)


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds", type=int, default=6, help="of each of the 5 rounds with the sampler"
    )
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--top", type=int, default=25, help="functions to list")
    parser.add_argument("--dialect", action="store_true", help="call the dialect of WUTS")
    parser.add_argument("--https", action="store_true", help="with an upstream behind TLS")
    return parser.parse_args()


def measure(options: argparse.Namespace, folder: Path, servers: Servers) -> Profile:
    """Run all rounds."""
    certificate, trusted = certificates(folder)
    address = start_upstream(servers, certificate)["quick https" if options.https else "quick"]
    place = Place(address, 1, free_port(), folder, trusted if options.https else None)
    recipe, where = adapter(place), f"http://127.0.0.1:{place.port}"
    samples = folder / "samples"
    samples.mkdir()
    sampled = replace(
        recipe,
        command=[sys.executable, "-m", "bench.sampler", str(samples), *recipe.command[1:]],
        environment={**recipe.environment, "PYTHONPATH": str(_TESTS)},
    )
    server = start_server(servers, "adapter", sampled, where)
    target = (dialect(place) if options.dialect else recipe).target(where)
    subject, found = Subject("adapter", target, server), Profile()
    warm_up([subject], options.connections)
    for _ in range(ROUNDS):
        plain = measure_once(subject, options.connections, PLAIN_SECONDS)
        if plain.cpu_ms is None:
            raise MeasurementError("/proc has no processor times")
        found.whole_us.append(1000 * plain.cpu_ms)
        _signal(server, START)
        found.responses += measure_once(subject, options.connections, options.seconds).load.good
        found.samples = list(_stop(server, samples))
    return found


def _signal(server: Server, number: int) -> list[int]:
    """Send the signal to all processes of the server, and return their ids."""
    processes = [int(folder.name) for folder in server.processes()]
    for process in processes:
        os.kill(process, number)
    return processes


def _stop(server: Server, folder: Path) -> Iterator[Sample]:
    """Stop the sampler, and return all samples so far, of all processes."""
    for file in folder.iterdir():
        file.unlink()
    ends = time.monotonic() + 10
    for process in _signal(server, STOP):
        file = folder / f"{process}.json"
        while not file.exists():
            if time.monotonic() > ends:
                raise MeasurementError(f"process {process} gave no samples{server.log_end()}")
            time.sleep(0.01)
        for nanoseconds, count, stack in json.loads(file.read_text()):
            yield Sample(nanoseconds, count, [Function(*function) for function in stack])


def report(found: Profile, top: int) -> str:
    """Return the tables of the parts and of the costliest functions."""
    parts: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    functions: Counter[tuple[str, str]] = Counter()
    for nanoseconds, count, stack in found.samples:
        part = part_of(stack)
        parts[part] += nanoseconds
        counts[part] += count
        functions[f"{_module(stack[0].file)}: {stack[0].name}", part] += nanoseconds
    whole, total = statistics.median(found.whole_us), sum(parts.values())
    per_response = 1000 * found.responses

    def row(name: str, nanoseconds: float, count: int) -> list[str]:
        us = nanoseconds / per_response
        share = f"{100 * nanoseconds / total:.1f} %"
        return [name, number(us), number(us / math.sqrt(count)), share]

    rows = [row(part, nanoseconds, counts[part]) for part, nanoseconds in _sorted(parts)]
    rows.append(row("sum of the parts", total, counts.total()))
    spread = f"{min(found.whole_us):.0f} to {max(found.whole_us):.0f}"
    rows.append([f"whole, without the sampler ({spread})", number(whole), "", ""])
    ratio = total / per_response / whole
    costliest = [
        [name, part, number(nanoseconds / per_response)]
        for (name, part), nanoseconds in _sorted(functions)[:top]
    ]
    compared = f"sum of the parts / whole: {ratio:.2f}; {found.responses} responses and "
    compared += f"{counts.total()} samples, one in {total / counts.total() / 1e6:.1f} ms"
    functions_table = table(("function, by its own time", "part", "us"), costliest, left=2)
    return "\n\n".join([table(("part", "us", "±", "share"), rows), compared, functions_table])


def _sorted(counter: Counter[KeyT]) -> list[tuple[KeyT, int]]:
    """Return the entries, the largest first, and equal ones by their names."""
    return sorted(counter.items(), key=lambda entry: (-entry[1], str(entry[0])))


_module = cache(module_of)


def main() -> None:
    """Measure and print."""
    options = arguments()
    clean_environment()
    allow_many_files()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Servers(Path(name)) as servers:
        found = measure(options, Path(name), servers)
    upstream = "quick https" if options.https else "quick"
    path = "the dialect of WUTS" if options.dialect else "the unified API"
    print(f"{path}, {upstream} upstream, {options.connections} connections, 1 worker; ", end="")
    print("processor time per response, in microseconds\n")
    print(report(found, options.top))


if __name__ == "__main__":
    main()
