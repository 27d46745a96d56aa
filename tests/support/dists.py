"""Third-party distributions: installed for one test, from the source of their plugins."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_numbers = itertools.count()

PROVIDER = '''
from adapter.plugin import LocalProvider, hookimpl, json_response


class Echo(LocalProvider):
    """A provider that accepts every command."""

    name = "{name}"
    title = "A third party"
    routes = {{"block": ("POST", "/block/{{jid}}"), "unblock": ("POST", "/unblock/{{jid}}")}}

    def build_request(self, command):
        return self.request(command, jid=command.contact.jid)

    def handle_request(self, request):
        return json_response(200, {{"done": True}})

    def parse_success(self, command, response):
        match response.document:
            case {{"done": True}}:
                return self.success(response)
        return None


@hookimpl
def register(registry):
    registry.add(Echo)
'''
"""The source of a plugin that works; format it with the provider's name."""


class Site:
    """A folder on the import path into which distributions are installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: list[str] = []

    def install(
        self, distribution: str, plugins: Mapping[str, str], *, version: str = "1.0"
    ) -> dict[str, str]:
        """Install a distribution with a module per plugin; return the modules' names by plugin."""
        modules = {}
        for name, source in plugins.items():
            module = f"third_party_{next(_numbers)}"
            (self.folder / f"{module}.py").write_text(source, "utf-8")
            modules[name] = module
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        lines = [f"{name} = {module}" for name, module in modules.items()]
        (info / "entry_points.txt").write_text("[contact_adapter]\n" + "\n".join(lines) + "\n")
        importlib.invalidate_caches()
        self.modules += modules.values()
        return modules


@contextmanager
def open_site(folder: Path) -> Iterator[Site]:
    """Put `folder` on the import path; remove it and its modules afterwards."""
    folder.mkdir()
    site = Site(folder)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield site
    finally:
        sys.path.remove(str(folder))
        for module in site.modules:
            sys.modules.pop(module, None)
        importlib.invalidate_caches()
