"""The routes of a provider: a method and a path template, to fill and to match."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import quote, unquote

from adapter.codes import Action
from adapter.errors import PluginError

PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
"""A variable part of a path or a header: `{session}`."""

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""The HTTP methods of routes."""

MAX_ID: Final = 128
"""The maximum length of an id in a path, in characters."""

PATH_ID_RULE: Final = (
    f"must be 1 to {MAX_ID} characters without slash, backslash or control characters, "
    "without blanks at its ends, and neither . nor .."
)

_UNSAFE_KINDS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


class MissingIdError(ValueError):
    """A path needs an id that was not given; `name` is its variable part."""

    def __init__(self, template: str, name: str) -> None:
        super().__init__(f"{template} needs {name}")
        self.name = name


def is_path_id(text: str) -> bool:
    """Whether the text is safe as one segment of a path, both encoded and decoded."""
    return (
        1 <= len(text) <= MAX_ID
        and text not in (".", "..")
        and text.strip() == text
        and not {"/", "\\"} & set(text)
        and not any(unicodedata.category(each) in _UNSAFE_KINDS for each in text)
    )


@dataclass(frozen=True, slots=True)
class Route:
    """The route of an action: a provider fills its path, a dialect matches it.

    `template` has variable parts by name: `/sessions/{session}/contacts/{jid}/block`. With
    `returns_list`, the response to a change holds the whole block list, and the limits of lists
    apply to it.
    """

    action: Action
    method: str
    template: str
    returns_list: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the variable parts, in order."""
        return tuple(PLACEHOLDER.findall(self.template))

    def fill(self, **ids: str) -> str:
        """Return the path with its ids filled in and percent-encoded.

        Raises ValueError for an id that could change the path, by `is_path_id`, and its subclass
        MissingIdError for one that is missing.
        """
        for name, text in ids.items():
            if not is_path_id(text):
                raise ValueError(f"{name} cannot be a part of a path")
        try:
            return PLACEHOLDER.sub(lambda part: quote(ids[part[1]], safe="@:"), self.template)
        except KeyError as error:
            raise MissingIdError(self.template, error.args[0]) from None

    def match(self, path: str, *, lenient: bool = False) -> dict[str, str] | None:
        """Return the decoded ids of `path`; None if the path does not match.

        With `lenient`, the fixed parts match in any case, and one trailing slash is allowed.
        """
        found = _pattern(self.template, lenient).fullmatch(path)
        return found and {name: unquote(text) for name, text in found.groupdict().items()}


def read_routes(where: str, routes: Any, *, changes_return_list: bool) -> Iterator[Route]:
    """Yield a provider's routes, in order.

    Raises PluginError for a route that cannot be used; `where` is the name of the attribute.
    """
    form = 'write {"block": ("POST", "/contacts/{jid}/block")}'
    if not isinstance(routes, Mapping):
        raise PluginError(f"{where} must be a mapping; {form}")
    for name, route in routes.items():
        if name not in set(Action):
            known = ", ".join(Action)
            raise PluginError(f"{where}: {name!r} is not an action; the actions are: {known}")
        match route:
            case (str(method), str(template)):
                _check_route(f"{where}: {name}", method, template)
            case _:
                raise PluginError(f"{where}: {name} must be a method and a path; {form}")
        action = Action(name)
        yield Route(action, method, template, changes_return_list and action.is_change)


def _check_route(name: str, method: str, template: str) -> None:
    if method not in METHODS:
        known = ", ".join(METHODS)
        raise PluginError(f"{name} has the method {method!r}; the methods are: {known}")
    if not template.startswith("/"):
        raise PluginError(f"{name}: the path must start with a slash: {template!r}")
    if {"?", "#"} & set(template):
        raise PluginError(
            f"{name}: the path has a query or a fragment: {template!r}; give the query to "
            "self.request in build_request"
        )
    if has_loose_braces(template):
        raise PluginError(
            f"{name}: a variable part is lower-case letters and _ in braces: {template!r}"
        )


def has_loose_braces(template: str) -> bool:
    """Whether the template has braces without the name of a variable part."""
    return bool(set(PLACEHOLDER.sub("", template)) & set("{}"))


def check_header_template(where: str, header: str, template: str) -> None:
    """Raise PluginError for a template with braces that name no option; `where` is its table."""
    if has_loose_braces(template):
        raise PluginError(f"{where}: {header} must name an option as {{lower_case}}")


@cache
def _pattern(template: str, lenient: bool) -> re.Pattern[str]:
    """Return the regular expression of the template's paths."""
    parts = PLACEHOLDER.split(template)
    expression = "".join(
        f"(?P<{part}>[^/]+)" if number % 2 else re.escape(part) for number, part in enumerate(parts)
    )
    return re.compile(f"{expression}/?", re.IGNORECASE) if lenient else re.compile(expression)
