"""The addresses of a provider: paths with variable parts, written once, read in both directions."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Final
from urllib.parse import quote, unquote

from adapter.codes import Action

PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
"""A variable part of a path or a header: `{session}`."""

MAX_ID: Final = 128
"""Most characters of an id that stands in a path."""

PATH_ID_RULE: Final = (
    f"must be 1 to {MAX_ID} characters without slash, backslash or control characters, "
    "without blanks at its ends, and neither . nor .."
)

_UNSAFE_KINDS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def is_path_id(text: str) -> bool:
    """Whether a text can be one segment of a path, percent-encoded, and stays one when decoded."""
    return (
        1 <= len(text) <= MAX_ID
        and text not in (".", "..")
        and text.strip() == text
        and not {"/", "\\"} & set(text)
        and not any(unicodedata.category(each) in _UNSAFE_KINDS for each in text)
    )


@dataclass(frozen=True, slots=True)
class Route:
    """A provider's address for an action, written once and read in both directions.

    `template` names its variable parts: `/sessions/{session}/contacts/{jid}/block`. `returns_list`
    says that a change is answered with the whole block list, to which the bounds of lists apply.
    """

    action: Action
    method: str
    template: str
    returns_list: bool = False

    def __post_init__(self) -> None:
        if has_loose_braces(self.template):
            raise ValueError(f"{self.template}: a variable part is {{lower_case}}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the variable parts, in order."""
        return tuple(PLACEHOLDER.findall(self.template))

    def fill(self, **ids: str) -> str:
        """Return the path with its ids filled in and percent-encoded.

        Raises ValueError for an id that could change the path, by `is_path_id`.
        """
        for name, text in ids.items():
            if not is_path_id(text):
                raise ValueError(f"{name} cannot be a part of a path")
        return PLACEHOLDER.sub(lambda part: quote(ids[part[1]], safe="@:"), self.template)

    def match(self, path: str, *, lenient: bool = False) -> dict[str, str] | None:
        """Return the ids that stand in `path`, decoded; None where it is another path.

        With `lenient`, the fixed parts may be in any case, and one slash may follow.
        """
        found = _pattern(self.template, lenient).fullmatch(path)
        return found and {name: unquote(text) for name, text in found.groupdict().items()}


def has_loose_braces(template: str) -> bool:
    """Whether there are braces in the template that hold no name of a part."""
    return bool(set(PLACEHOLDER.sub("", template)) & set("{}"))


@cache
def _pattern(template: str, lenient: bool) -> re.Pattern[str]:
    """Return the expression that a path of this template matches."""
    parts = PLACEHOLDER.split(template)
    expression = "".join(
        f"(?P<{part}>[^/]+)" if number % 2 else re.escape(part) for number, part in enumerate(parts)
    )
    return re.compile(f"{expression}/?", re.IGNORECASE) if lenient else re.compile(expression)
