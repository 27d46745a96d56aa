"""Write the package of a new provider, with a blank for each of the provider's facts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Final

from adapter.plugin_checks import PROVIDER_NAME
from adapter.registry import PluginRegistry

_TEMPLATES: Final = Path(__file__).with_name("templates")


class ScaffoldError(Exception):
    """The package cannot be written; the text is the reason. No file of it is left behind."""


def package_name(name: str) -> str:
    """Return the name of the package of the provider `name`, and of its folder."""
    return f"contact-adapter-{name}"


def check_name(name: str, registry: PluginRegistry) -> None:
    """Raise ScaffoldError for an invalid name of a provider, and for one that is in use."""
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
    """Write the package into `folder`, which must be empty or missing.

    Raises ScaffoldError if it is neither, or cannot be written.
    """
    try:
        # A current directory and a mounted one cannot be replaced; an empty folder is filled.
        is_empty = folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())
        place = folder if is_empty else folder.parent
        # Renamed when complete, so that half a package is never in its place.
        with TemporaryDirectory(prefix=".new-provider-", dir=place) as temporary:
            staged = Path(temporary) / "package"
            for path, text in render_package(name, datetime.now(UTC)).items():
                file = staged / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, "utf-8")
            if is_empty:
                for entry in staged.iterdir():
                    entry.rename(folder / entry.name)
            else:
                staged.rename(folder)
    except OSError as error:
        raise ScaffoldError(
            f"cannot write {folder}, which must be empty or missing: {error.strerror}"
        ) from None


def render_package(name: str, now: datetime) -> Mapping[str, str]:
    """Return the files of the package by path. `now` dates its recorded responses."""
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
        ".gitignore": "gitignore",
        f"{module}.py": "provider.py",
        "tests/test_contract.py": "test_contract.py",
        f"tests/answers/{name}/contacts.json": "contacts.json",
    }
    return {
        path: Template((_TEMPLATES / f"{template}.tmpl").read_text("utf-8")).substitute(facts)
        for path, template in templates.items()
    }
