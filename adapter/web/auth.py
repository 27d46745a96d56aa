"""What the unified API and the dialects have in common: the caller, the body, the answer."""

from __future__ import annotations

from enum import Enum
from typing import Final
from urllib.parse import urlsplit

from flask import Request

from adapter.auth import ANYONE, Caller, KeyRing
from adapter.codes import Code, Scope
from adapter.errors import RequestError
from adapter.logs import log
from adapter.results import Outcome
from adapter.service import Service
from adapter.urls import is_loopback
from adapter.web.cors import NO_CORS, Cors
from adapter.web.forwarded import find_proxy_header


class Access(Enum):
    """Who is served where no key is configured. With a key, only callers that have one are."""

    KEYS_ONLY = "nobody"
    LOOPBACK = "callers who address this machine as itself"
    EVERYONE = "everyone"


class Guard:
    """Lets callers in by their API key; without any key configured, by `access`."""

    def __init__(self, service: Service, access: Access) -> None:
        self._keys = KeyRing(service.settings.keys)
        self._access = access
        if not len(self._keys) and access is Access.KEYS_ONLY:
            log.warning("no API key is configured: every call over HTTP will be answered 401")

    def admit(self, secret: str | None, request: Request, cors: Cors = NO_CORS) -> Caller:
        """Return the caller whose key this is.

        Raises RequestError: `unauthenticated`, or, on a server without keys, `permission_denied`
        for a web page of another origin, which calls through somebody's browser, that `cors` does
        not allow. Where such a server is for this machine alone, what a proxy passed on is
        `unauthenticated`: nobody knows then from where it came.
        """
        if len(self._keys):
            caller = self._keys.find(secret) if secret else None
            if caller is None:
                raise RequestError(Outcome.failure(Code.UNAUTHENTICATED))
            return caller
        if self._access is Access.KEYS_ONLY:
            raise RequestError(Outcome.failure(Code.UNAUTHENTICATED))
        if self._access is Access.LOOPBACK:
            _require_local(request)
        origin = request.environ.get("HTTP_ORIGIN")
        own = origin is None or origin.partition("://")[2].lower() == request.host.lower()
        if not own and not cors.allows(origin):
            raise _refused(Code.PERMISSION_DENIED, "Origin", _FOREIGN)
        return ANYONE


_FOREIGN: Final = "is of another site; without [keys], no web page but this server's own may call"
_NOT_HERE: Final = "is no name of this machine; without [keys], only callers on it are served"
_PASSED_ON: Final = "shows that a proxy passed this on; configure [keys] to serve behind one"


def _require_local(request: Request) -> None:
    """Raise RequestError for a request that was not meant for this machine by that very name."""
    header = find_proxy_header(request.environ)
    if header is not None:
        raise _refused(Code.UNAUTHENTICATED, header, _PASSED_ON)
    try:
        local = is_loopback(urlsplit(f"//{request.host}").hostname or "")
    except ValueError:
        local = False
    if not local:
        raise _refused(Code.PERMISSION_DENIED, "Host", _NOT_HERE)


def _refused(code: Code, header: str, message: str) -> RequestError:
    return RequestError(Outcome.failure(code, fields={header: (message,)}))


def require_scope(caller: Caller, scope: Scope) -> None:
    """Raise RequestError (`permission_denied`) where the caller lacks the scope."""
    if not caller.may(scope):
        raise RequestError(Outcome.failure(Code.PERMISSION_DENIED))


def read_key(request: Request) -> str | None:
    """Return the caller's key; none where two headers hold two different ones."""
    bearer = None
    # The environment itself is asked, where the usual way would read each name three times.
    scheme, _, token = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        bearer = token.strip()
    direct = request.environ.get("HTTP_X_API_KEY") or None
    if bearer is not None and direct is not None and bearer != direct:
        return None
    return bearer or direct
