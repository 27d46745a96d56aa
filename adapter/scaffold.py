"""Write the package of a new provider: all that one needs, with blanks where its facts belong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Final

from adapter.plugin_checks import PROVIDER_NAME
from adapter.registry import PluginRegistry

_TEMPLATES: Final = Path(__file__).with_name("templates")
_NAMED = re.compile(r"\bBLANK \w+: ")


class ScaffoldError(Exception):
    """The package cannot be written; the text says why. Nothing of it is left behind."""


def package_name(name: str) -> str:
    """Return the name of the package of the provider `name`, and of its folder."""
    return f"contact-adapter-{name}"


def check_name(name: str, registry: PluginRegistry) -> None:
    """Raise ScaffoldError for what is no provider's name, and for one that is taken."""
    if not PROVIDER_NAME.fullmatch(name):
        raise ScaffoldError(
            f"{name!r} cannot name a provider; write lower-case words joined by dashes, "
            "such as acme or acme-chat"
        )
    registered = registry.providers.values()
    owners = [each.plugin for each in registered if name in (each.cls.name, each.plugin.name)]
    owners += [each.plugin for each in registry.broken if each.plugin.name == name]
    owners += [each.plugins[0] for each in registry.clashes if each.name == name]
    if owners:
        raise ScaffoldError(f"the name {name!r} is taken by the plugin {owners[0]}")


def write_package(name: str, folder: Path) -> None:
    """Write the package into `folder`, which must be empty or not there yet.

    Raises ScaffoldError where it is neither, or where it cannot be written.
    """
    try:
        # Renamed as a whole when all is written: half a package is never seen in its place.
        with TemporaryDirectory(prefix=".new-provider-", dir=folder.parent) as beside:
            staged = Path(beside) / "package"
            for path, text in render_package(name, datetime.now(UTC)).items():
                file = staged / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, "utf-8")
            staged.rename(folder)
    except OSError as error:
        raise ScaffoldError(
            f"cannot write {folder}, which must be empty or not there yet: {error.strerror}"
        ) from None


def render_package(name: str, now: datetime) -> Mapping[str, str]:
    """Return the files of the package by their path. `now` is when its answers will be read."""
    words = name.split("-")
    distribution = package_name(name)
    module = distribution.replace("-", "_")
    facts = {
        "name": name,
        "title": " ".join(word.capitalize() for word in words),
        "stem": "".join(word.capitalize() for word in words),
        "distribution": distribution,
        "module": module,
        "month": f"{now:%Y-%m}",
    }
    templates = {
        "setup.cfg": "setup.cfg",
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{module}.py": "provider.py",
        "tests/test_contract.py": "test_contract.py",
        f"tests/answers/{name}/contacts.json": "contacts.json",
    }
    return {
        path: Template((_TEMPLATES / f"{template}.tmpl").read_text("utf-8")).substitute(facts)
        for path, template in templates.items()
    }


def find_blanks(folder: Path) -> list[str]:
    """Return the lines of a package that name a blank, each with its file and number.

    Where none is named any more, they are the lines in which the word BLANK still stands.
    """
    files = [*sorted(folder.glob("*.py")), *sorted(folder.glob("tests/answers/*/*.json"))]
    blanks = [
        f"{file.name}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if "BLANK" in line
    ]
    return [blank for blank in blanks if _NAMED.search(blank)] or blanks


def require_no_blanks(folder: Path) -> None:
    """Raise AssertionError with every blank that is left in the package."""
    __tracebackhide__ = True  # pytest then shows the list, not this line
    blanks = find_blanks(folder)
    if blanks:
        raise AssertionError("\n".join([f"{len(blanks)} blanks are left:", *blanks]))
