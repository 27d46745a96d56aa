"""Authentication of HTTP requests: API keys, anonymous access, scopes."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

from flask import Request

from adapter.api_keys import ANONYMOUS, ApiKeys, Caller, describe_short_keys
from adapter.codes import Code, Scope
from adapter.errors import RequestError
from adapter.logs import log
from adapter.results import Outcome
from adapter.service import Service
from adapter.settings.model import KeySettings
from adapter.urls import is_loopback
from adapter.web.cors import NO_CORS, Cors
from adapter.web.forwarded import find_proxy_header

CHALLENGE: Final = 'Bearer realm="contact-adapter"'
"""The `WWW-Authenticate` header of every response with status 401."""


KEY_NAME: Final = "contact_adapter.key"
"""The variable of the WSGI environment with the name of the request's API key, for its log line."""


class AnonymousAccess(Enum):
    """Which requests are served where no API key is configured. With a key, all need one."""

    KEYS_ONLY = "none"
    LOOPBACK = "requests from this machine to a loopback host name"
    EVERYONE = "all"


class Authenticator:
    """Authenticates requests by their API key or, where no key is configured, by `access`."""

    def __init__(self, service: Service, access: AnonymousAccess) -> None:
        self._keys = ApiKeys(service.settings.keys)
        self._access = access

    @property
    def refuses_all(self) -> bool:
        """Whether every request is `unauthenticated`: without keys, and without other access."""
        return not len(self._keys) and self._access is AnonymousAccess.KEYS_ONLY

    def authenticate(self, secret: str | None, request: Request, cors: Cors = NO_CORS) -> Caller:
        """Return the caller of the key `secret`; without any key configured, ANONYMOUS.

        The name of the key is left in the request's environment, under KEY_NAME.

        Raises RequestError: `unauthenticated` for a missing or unknown key. Without any key
        configured, a web page of another origin that `cors` does not allow is
        `permission_denied`: its requests come from the browser of an unaware user. With
        `AnonymousAccess.LOOPBACK`, a request that a proxy forwarded is `unauthenticated`, since
        its origin is unknown, and one to another host name is `permission_denied`.
        """
        if len(self._keys):
            caller = self._keys.find_caller(secret) if secret else None
            if caller is None:
                raise RequestError(Outcome.failure(Code.UNAUTHENTICATED))
            request.environ[KEY_NAME] = caller.name
            return caller
        if self.refuses_all:
            raise RequestError(Outcome.failure(Code.UNAUTHENTICATED))
        if self._access is AnonymousAccess.LOOPBACK:
            _require_loopback(request)
        origin = request.environ.get("HTTP_ORIGIN")
        same = origin is None or origin.partition("://")[2].lower() == request.host.lower()
        if not same and not cors.allows(origin):
            raise _header_error(Code.PERMISSION_DENIED, "Origin", _CROSS_ORIGIN)
        return ANONYMOUS


_CROSS_ORIGIN: Final = (
    "is another site; without [keys], only web pages of this server itself may call it"
)
_NOT_LOOPBACK: Final = (
    "must be a loopback name such as localhost; configure [keys] to serve other host names"
)
_FORWARDED: Final = (
    "shows that a proxy forwarded this request; configure [keys] to serve behind a proxy"
)


def _require_loopback(request: Request) -> None:
    """Raise RequestError for a forwarded request, and for a host name other than loopback."""
    header = find_proxy_header(request.environ)
    if header is not None:
        raise _header_error(Code.UNAUTHENTICATED, header, _FORWARDED)
    try:
        loopback = is_loopback(urlsplit(f"//{request.host}").hostname or "")
    except ValueError:
        loopback = False
    if not loopback:
        raise _header_error(Code.PERMISSION_DENIED, "Host", _NOT_LOOPBACK)


def _header_error(code: Code, header: str, message: str) -> RequestError:
    return RequestError(Outcome.failure(code, fields={header: (message,)}))


def require_scope(caller: Caller, scope: Scope) -> None:
    """Raise RequestError (`permission_denied`) where the caller lacks the scope."""
    if not caller.has_scope(scope):
        fields = {"scope": (f"needs {scope.value}",)}
        raise RequestError(Outcome.failure(Code.PERMISSION_DENIED, fields=fields))


def read_api_key(request: Request) -> str | None:
    """Return the key of `Authorization: Bearer` or `X-API-Key`; None where the two differ."""
    bearer = None
    # The WSGI environment is read directly: `request.headers` reads each name three times.
    scheme, _, token = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        bearer = token.strip()
    direct = request.environ.get("HTTP_X_API_KEY") or None
    if bearer is not None and direct is not None and bearer != direct:
        return None
    return bearer or direct


def warn_about_short_keys(keys: Iterable[KeySettings]) -> None:
    """Log one warning per API key that is short enough to be guessed."""
    for warning in describe_short_keys(keys):
        log.warning("%s", warning)
