"""The wheel of this checkout, and environments outside of it that have the wheel installed."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path, **rest: Any) -> subprocess.CompletedProcess[str]:
    """Run a program without anything that this process's Python was told; `env` adds to that."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env=clean | rest.pop("env", {}),
        capture_output=True,
        text=True,
        timeout=300,
        **rest,
    )


def build_wheel(source: Path, out: Path) -> Path:
    """Build the wheel from a copy in `source`, so that nothing of an earlier build gets into it."""
    for name in ("adapter", "config", "providers"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / name, source / name, ignore=skip)
    for name in ("LICENSE", "README.md", "pyproject.toml", "setup.cfg"):
        shutil.copy(CHECKOUT / name, source)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    done = run(*build, "--outdir", out, source, cwd=out)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


def requirements(distribution: Distribution, *extras: str) -> set[str]:
    """Return the names of what the distribution needs here, with these of its extras."""
    found: set[str] = set()
    for line in distribution.requires or ():
        needed = Requirement(line)
        marker = needed.marker
        if marker is None or any(marker.evaluate({"extra": each}) for each in ("", *extras)):
            found.add(canonicalize_name(needed.name))
    return found


def closure(names: Iterable[str]) -> set[str]:
    """Return the names with all that they need, without any extra."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= requirements(importlib.metadata.distribution(name)) - found
    return found


def make_environment(home: Path, wheel: Path, names: Iterable[str]) -> Path:
    """Return the programs of a new environment that has the wheel, and the distributions `names`.

    Those are linked from the environment of the tests, so that nothing is fetched.
    """
    venv.create(home, with_pip=False, symlinks=True)
    programs = home / "bin"
    (packages,) = home.glob("lib/python3.*/site-packages")
    for name in names:
        distribution = importlib.metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files or ()}
        for top in tops - {"..", "__pycache__"}:
            if (packages / top).exists():
                continue  # a folder that several distributions share is linked as a whole
            (packages / top).symlink_to(Path(str(distribution.locate_file(top))).resolve())
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install"]
    done = run(*pip, "--quiet", "--no-index", "--no-deps", wheel, cwd=home)
    assert done.returncode == 0, done.stderr
    return programs
