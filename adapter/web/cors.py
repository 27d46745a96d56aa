"""What browsers are told of the sites whose pages may call a dialect (CORS, the Fetch standard)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

EVERY_ORIGIN: Final = "*"

PREFLIGHT_SECONDS: Final = 600
"""How long a browser may remember the answer to a preflight."""

_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?: *, *[A-Za-z0-9!#$%&'*+.^_`|~-]+){0,31}")
_MOST_NAMES = 1024


class Cors:
    """The origins whose pages may read a dialect's answers; without any, no header is ever sent.

    Credentials are API keys in headers, never cookies: no origin is allowed those.
    """

    def __init__(
        self, origins: Iterable[str] = (), methods: Iterable[str] = (), exposed: Iterable[str] = ()
    ) -> None:
        self._origins = frozenset(origins)
        self._every = EVERY_ORIGIN in self._origins
        self._vary = {"Vary": "Origin"} if self._origins and not self._every else {}
        self._exposed = {"Access-Control-Expose-Headers": ", ".join(exposed)}
        self._preflight = {
            "Access-Control-Allow-Methods": ", ".join(sorted({*methods})),
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }

    def allows(self, origin: str | None) -> bool:
        """Whether a page of this origin may call."""
        return origin is not None and (self._every or origin in self._origins)

    def headers(self, origin: str | None) -> Mapping[str, str]:
        """Return what an answer to a call from this origin carries."""
        if not self._origins or not self.allows(origin):
            return self._vary
        return {**self._allowed(origin), **self._exposed}

    def preflight(self, environ: Mapping[str, Any]) -> Mapping[str, str] | None:
        """Return the headers that answer an OPTIONS of an allowed origin; None for all else.

        Such an origin may send any header, as a key may stand in any.
        """
        origin = environ.get("HTTP_ORIGIN")
        if environ["REQUEST_METHOD"] != "OPTIONS" or not self.allows(origin):
            return None
        headers = {**self._allowed(origin), **self._preflight}
        names = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "").strip()
        if len(names) <= _MOST_NAMES and _HEADER_NAMES.fullmatch(names):
            headers["Access-Control-Allow-Headers"] = names
        return headers

    def _allowed(self, origin: str | None) -> dict[str, str]:
        return {
            "Access-Control-Allow-Origin": EVERY_ORIGIN if self._every else str(origin),
            **self._vary,
        }


NO_CORS: Final = Cors()
"""The one that allows no origin."""
