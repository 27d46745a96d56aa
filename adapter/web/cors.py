"""CORS headers of the dialects, as the Fetch standard defines them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from adapter.settings.model import EVERY_ORIGIN

PREFLIGHT_MAX_AGE: Final = 600
"""Seconds for which a browser may cache the response to a preflight request."""

_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?: *, *[A-Za-z0-9!#$%&'*+.^_`|~-]+){0,31}")
_MAX_HEADER_NAMES = 1024


class Cors:
    """The origins whose pages may read a dialect's responses. Without origins, no header is sent.

    Credentials are API keys in headers, never cookies: `Access-Control-Allow-Credentials` is
    never sent.
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
            "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE),
        }

    def allows(self, origin: str | None) -> bool:
        """Whether pages of this origin may call."""
        return origin is not None and (self._every or origin in self._origins)

    def headers(self, origin: str | None) -> Mapping[str, str]:
        """Return the CORS headers of a response to a request from this origin."""
        if not self._origins or not self.allows(origin):
            return self._vary
        return {**self._allowed(origin), **self._exposed}

    def preflight(self, environ: Mapping[str, Any]) -> Mapping[str, str] | None:
        """Return the response headers of a preflight request; None for any other request.

        An allowed origin may send any request header: each dialect has its own header for a key.
        """
        origin = environ.get("HTTP_ORIGIN")
        if environ["REQUEST_METHOD"] != "OPTIONS" or not self.allows(origin):
            return None
        headers = {**self._allowed(origin), **self._preflight}
        names = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "").strip()
        if len(names) <= _MAX_HEADER_NAMES and _HEADER_NAMES.fullmatch(names):
            headers["Access-Control-Allow-Headers"] = names
        return headers

    def _allowed(self, origin: str | None) -> dict[str, str]:
        return {
            "Access-Control-Allow-Origin": EVERY_ORIGIN if self._every else str(origin),
            **self._vary,
        }


NO_CORS: Final = Cors()
"""No origin is allowed."""
