"""Where the time of a request goes: `make profile`.

The whole app is called in one thread, in front of a quick upstream in another process, and watched
by cProfile. That makes every call of a function dearer, and so a layer of many small functions
looks larger than it is: it shows where to look, and `make bench` shows what it brought.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import os
import pstats
import sysconfig
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import adapter
from adapter import create_app
from adapter.logs import configure
from adapter.web.app import service_state
from bench.figures import table
from bench.processes import Servers
from bench.rounds import start_upstream
from bench.servers import Place, ours, ours_dialect
from bench.surroundings import certificates, clean_environment
from bench.wsgi_call import call, environ_of

OTHER: Final = "everything else"
SOCKETS: Final = "sockets, with waiting for the upstream"
_OF_SOCKETS: Final = ("_socket.socket", "_ssl._SSLSocket", "select.poll", "select.epoll")
_STANDARD: Final = Path(sysconfig.get_path("stdlib"))
_INSTALLED: Final = Path(sysconfig.get_path("purelib"))
_ADAPTER: Final = Path(adapter.__file__).parent

Function = tuple[str, int, str]


def layer_of(function: Function) -> str | None:
    """Return the layer that a function belongs to; None for one that is written in C."""
    file, _, name = function
    path = Path(file)
    if any(kind in name for kind in _OF_SOCKETS):
        return SOCKETS
    if path.is_relative_to(_INSTALLED):
        return path.relative_to(_INSTALLED).parts[0]
    if path.is_relative_to(_STANDARD):
        return f"python: {path.relative_to(_STANDARD).parts[0].removesuffix('.py')}"
    for root in (_ADAPTER, _ADAPTER.with_name("providers")):
        if path.is_relative_to(root):
            return f"ours: {path.relative_to(root.parent)}"
    return None if file == "~" else OTHER


def shares(stats: dict[Function, Any]) -> Counter[str]:
    """Return the own seconds of every layer. What is written in C counts for whoever calls it."""
    found: Counter[str] = Counter()
    for function, (_, _, own, _, callers) in stats.items():
        layer = layer_of(function)
        if layer is not None:
            found[layer] += own
            continue
        for caller, (_, _, part, _) in callers.items():
            found[layer_of(caller) or OTHER] += part
    return found


def main() -> None:
    """Profile some thousand calls."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--top", type=int, default=30, help="functions to list")
    parser.add_argument("--dialect", action="store_true", help="call WUTS's dialect")
    parser.add_argument("--https", action="store_true", help="with an upstream behind TLS")
    options = parser.parse_args()
    clean_environment()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Servers(Path(name)) as servers:
        profile(options, Path(name), servers)


def profile(options: argparse.Namespace, folder: Path, servers: Servers) -> None:
    """Run the calls, without and with the profiler, and print what it saw."""
    certificate, trusted = certificates(folder)
    addresses = start_upstream(servers, certificate)
    address = addresses["quick https" if options.https else "quick"]
    count: int = options.calls
    place = Place(address, 1, 0, folder, trusted if options.https else None, many=False)
    recipe = ours(place)
    os.environ.update(recipe.environment)
    with (folder / "log").open("w") as log:
        with contextlib.redirect_stderr(log):
            configure("info", "text")
        app = create_app(folder / "ours.toml")
        if options.dialect:
            recipe = ours_dialect(place)
        environ, body = environ_of(recipe.target("")), recipe.body.encode()

        def make_calls() -> float:
            started = time.perf_counter()
            for _ in range(count):
                call(app, environ, body)
            return 1000 * (time.perf_counter() - started) / count

        make_calls()
        plain = make_calls()
        profiler = cProfile.Profile()
        profiler.enable()
        watched = make_calls()
        profiler.disable()
        service_state(app).service.close()
    print(f"{recipe.path}: {count} calls in one thread, {plain:.3f} ms each; ", end="")
    print(f"{watched:.3f} ms with the profiler\n")
    show(pstats.Stats(profiler), options)


def show(stats: pstats.Stats, options: argparse.Namespace) -> None:
    """Print the functions by own and by cumulated time, and the share of every layer."""
    stats.sort_stats("tottime").print_stats(options.top)
    stats.sort_stats("cumulative").print_stats(options.top)
    found = shares(stats.stats)  # type: ignore[attr-defined]  # typeshed does not know it
    whole = sum(found.values())
    rows = [
        [layer, f"{1e6 * seconds / options.calls:.0f}", f"{100 * seconds / whole:.1f} %"]
        for layer, seconds in found.most_common()
    ]
    print(table(("layer", "own us per call", "share"), rows))


if __name__ == "__main__":
    main()
