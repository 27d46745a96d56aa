"""The Markdown pages of the project, and what stands in them: code blocks, links and anchors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

_BUILT: Final = re.compile(r"build|dist|.*\.egg-info")
_FENCE: Final = re.compile(r"^```(\S*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_TITLE: Final = re.compile(r"^#+ (.*)$", re.MULTILINE)
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A code block: its language, its text, and the line of the page at which it begins."""

    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Page:
    """A page. `name` is its path in the project, such as `config/README.md`."""

    path: Path

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @property
    def prose(self) -> str:
        """The text without its code blocks."""
        return _FENCE.sub("", self.text)

    @property
    def anchors(self) -> set[str]:
        """The anchors of the titles, as GitHub makes them: a second `title` is `title-1`."""
        found: set[str] = set()
        for title in _TITLE.findall(self.prose):
            slug = re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-")
            number, anchor = 0, slug
            while anchor in found:
                number += 1
                anchor = f"{slug}-{number}"
            found.add(anchor)
        return found

    @property
    def links(self) -> list[str]:
        """The targets of the links."""
        return _LINK.findall(self.prose)

    def blocks(self, language: str | None = None) -> list[Block]:
        """Return the code blocks of a language, or all of them."""
        text = self.text
        return [
            Block(found[1], found[2], text.count("\n", 0, found.start()) + 1)
            for found in _FENCE.finditer(text)
            if language in (None, found[1])
        ]

    def section(self, title: str) -> str:
        """Return the text below a title of the second level. Raises AssertionError without one."""
        _, found, rest = self.text.partition(f"\n## {title}\n")
        assert found, f"{self} has no section {title!r}"
        return rest.partition("\n## ")[0]


def page(name: str) -> Page:
    """Return the page of this path in the project."""
    return Page(ROOT / name)


def find_pages() -> list[Page]:
    """Return every page of the project, of folders that are added later too."""
    return sorted(_find_pages(), key=str)


def _find_pages() -> Iterator[Page]:
    yield from map(Page, ROOT.glob("*.md"))
    for folder in ROOT.iterdir():
        hidden = folder.name.startswith(".") and folder.name != ".github"
        if folder.is_dir() and not hidden and not _BUILT.fullmatch(folder.name):
            yield from map(Page, folder.rglob("*.md"))
