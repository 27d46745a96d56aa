"""The cost of a start: imports, the size of an installation, the time to the first response."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from bench.processes import Servers
from bench.servers import Place, Recipe, config, free_port, naive, serve

IMPORTS: Final = {
    "a bare interpreter": "pass",
    "import flask": "import flask",
    "import adapter": "import adapter",
    "from adapter import connect": "from adapter import connect",
}


def imports(rounds: int) -> dict[str, list[float]]:
    """Return the seconds of fresh interpreters, round by round."""
    found: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(rounds):
        for name, statement in IMPORTS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            found[name].append(time.perf_counter() - started)
    return found


def starts(folder: Path, address: str, rounds: int) -> dict[str, list[float]]:
    """Return the seconds from the command to the first response, round by round.

    A first round only warms up: it writes the compiled files.
    """
    recipes: dict[str, Callable[[int], Recipe]] = {
        "naive": lambda port: naive(Place(address, 1, port, folder, None)),
        "serve": lambda port: serve(folder / "one.toml", config(address), port, 1),
        "serve, 1000 accounts": lambda port: serve(
            folder / "many.toml", config(address, accounts=1000), port, 1
        ),
    }
    found: dict[str, list[float]] = {name: [] for name in recipes}
    for number in range(rounds + 1):
        for name, recipe in recipes.items():
            seconds = _start(folder, name, recipe)
            if number:
                found[name].append(seconds)
    return found


def _start(folder: Path, name: str, recipe: Callable[[int], Recipe]) -> float:
    port = free_port()
    made = recipe(port)
    with Servers(folder) as servers:
        started = time.perf_counter()
        servers.start(
            f"start-{name}", made.command, made.environment, ready=lambda _: _is_listening(port)
        )
        return time.perf_counter() - started


def _is_listening(port: int) -> bool:
    """Whether a server responds in HTTP; the adapter is ready with a 200 at /readyz."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status in (200, 404)
    except (ConnectionError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def core() -> dict[str, Distribution]:
    """Return the distributions of an installation without extras."""
    found: dict[str, Distribution] = {}
    waiting = ["contact-adapter"]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # a requirement of another platform only
        waiting += [
            re.split(r"[ ;<>=!~\[(]", requirement, maxsplit=1)[0].lower()
            for requirement in found[name].requires or ()
            if "extra ==" not in requirement
        ]
    return found


def mebibytes(part: Distribution) -> float:
    """Return the size of the installed files of a distribution."""
    paths = [Path(str(part.locate_file(file))) for file in part.files or ()]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 2**20


def installed() -> dict[str, float]:
    """Return the MiB of every distribution of the core, the largest first."""
    sizes = {name: mebibytes(part) for name, part in core().items()}
    return dict(sorted(sizes.items(), key=lambda each: -each[1]))
