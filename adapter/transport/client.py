"""The one place that talks to a network. It answers every request with a value and never guesses.

What may go wrong between us and a provider becomes an outcome here. The texts of the exceptions
underneath hold URLs and at times tokens; they are dropped on the spot.
"""

from __future__ import annotations

import http.client
import os
import re
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Final
from urllib.parse import urlencode, urlsplit

import requests
import urllib3.exceptions

from adapter.codes import Code, Retry
from adapter.errors import PluginError
from adapter.header_rules import HEADER_NAME, HEADER_VALUE, RESERVED_HEADERS, HeaderOwner
from adapter.http import NO_HEADERS, Headers, HttpRequest, HttpResponse
from adapter.privacy import Secret
from adapter.results import Outcome
from adapter.settings.model import TransportSettings
from adapter.strict_json import Json, write_json
from adapter.transport.attempt import Attempt, OverruledError
from adapter.transport.http1 import ResponseTooLargeError, UnusableResponseError
from adapter.transport.intents import OVERRULED
from adapter.transport.pool import Deadline, ProviderAdapter
from adapter.transport.proxies import WRONG_LOGIN
from adapter.transport.sockets import (
    SHORTAGES,
    HandshakeError,
    NoConnectionError,
    ProxyRefusalError,
    ShortageError,
)

_HEADERS: Final[Mapping[str, str]] = {
    "User-Agent": f"contact-adapter/{version('contact-adapter')}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}

_METHOD = re.compile(r"[A-Z]+")
_NAME = re.compile(HEADER_NAME)
_VALUE = re.compile(HEADER_VALUE)
_TARGET = re.compile(
    r"/(?!/)"  # two slashes would begin the name of a host
    r"(?!(?:[^?]*/)?(?:\.|%2[Ee]){1,2}(?:[/?]|\Z))"  # dots would lead out of the folder
    r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*"
    r"(?:\?[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*)?"
)


class Transport:
    """Calls one account's provider over pooled connections. Safe in threads and after a fork."""

    def __init__(
        self,
        base_url: str,
        settings: TransportSettings,
        headers: Mapping[str, str | Secret] = NO_HEADERS,
    ) -> None:
        self._base_url = base_url
        parts = urlsplit(base_url)
        self._base_path = parts.path
        self._host = parts.netloc
        self._settings = settings
        self._opened: tuple[int, ProviderAdapter] | None = None
        own = {
            name: value.reveal() if isinstance(value, Secret) else value
            for name, value in headers.items()
        }
        self._always = Headers({**_HEADERS, **own})
        self._known = (NO_HEADERS, self._complete(NO_HEADERS))

    def send(
        self,
        request: HttpRequest,
        request_id: str,
        attempt: Attempt | None = None,
        judge: Callable[[HttpResponse], bool] | None = None,
    ) -> HttpResponse | Outcome:
        """Send the request once; return the provider's answer, or what kept it from coming.

        It is a part of `attempt`, or else of one of its own with the configured deadline. `judge`
        is shown the response and says whether its connection may serve another call.
        """
        if attempt is None:
            attempt = Attempt(time.monotonic() + self._settings.deadline)
        elif attempt.ends <= time.monotonic():
            attempt.inconclusive = True
            if attempt.sent:
                return Outcome.failure(Code.PROVIDER_TIMEOUT)
            detail = "The time of the call was over before anything was sent."
            return Outcome.failure(Code.OVERLOADED, retry_after=1, detail=detail)
        prepared = self._prepare(request, request_id)
        deadline = Deadline(attempt, self._settings.connect_timeout)
        try:
            wire = self._open_wire()
            answer = wire.call(prepared, deadline)
        except OverruledError:
            return Outcome.failure(Code.PROVIDER_CONFLICT, detail=OVERRULED, advice=Retry.NEVER)
        except ResponseTooLargeError as unusable:
            code = Code.PROVIDER_RESPONSE_TOO_LARGE
            return Outcome.failure(code, upstream_status=unusable.status)
        except UnusableResponseError as unusable:
            return Outcome.failure(Code.PROVIDER_BAD_RESPONSE, upstream_status=unusable.status)
        except _NETWORK_ERRORS as error:
            return _explain(error, attempt)
        response = HttpResponse(answer.status, answer.fields, answer.body)
        keep = judge is None
        try:
            if judge is not None:
                keep = judge(response)
        finally:
            wire.release(answer, keep=keep)
        if wire.is_forwarded and answer.status == http.HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            attempt.inconclusive = True
            return _refused_by_proxy(WRONG_LOGIN)
        return response

    def close(self) -> None:
        """Close the pooled connections. A later call opens new ones."""
        opened, self._opened = self._opened, None
        if opened is not None and opened[0] == os.getpid():
            opened[1].close()

    def _open_wire(self) -> ProviderAdapter:
        """Return this process's connections; they are never shared across a fork.

        There is no lock that a fork could leave held: of two threads that come first, one throws
        its own away.
        """
        opened, process = self._opened, os.getpid()
        if opened is None or opened[0] != process:
            opened = self._opened = (process, ProviderAdapter(self._base_url, self._settings))
        return opened[1]

    def _prepare(self, request: HttpRequest, request_id: str) -> requests.PreparedRequest:
        """Return the request as requests prepares it, without its looking at what we know."""
        target = request.path
        if request.query:
            target += "?" + urlencode(request.query)
        if not _VALUE.fullmatch(request_id):
            raise ValueError("a request id must be visible ASCII")
        if not _METHOD.fullmatch(request.method):
            raise PluginError("the provider built a method that HTTP cannot carry")
        if not _TARGET.fullmatch(target) or "?" in request.path:
            raise PluginError("the provider built a path that would not be sent as it is written")
        known, fields = self._known
        if request.headers is not known:  # most providers make their headers once
            fields = self._complete(request.headers)
            self._known = (request.headers, fields)
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = self._base_path + target  # the rest of the address is the wire's
        prepared.headers = fields | {"X-Request-Id": request_id}  # type: ignore[assignment]
        if request.json is not None:
            prepared.body = self._write(request.json)
            prepared.headers["Content-Type"] = "application/json"
        # A body without its length would be taken for the next request of the connection.
        if request.method != "GET" or prepared.body is not None:
            prepared.headers["Content-Length"] = str(len(prepared.body or b""))
        return prepared

    def _complete(self, headers: Headers) -> dict[str, str]:
        """Return the provider's headers with those that every request carries."""
        others = {}
        for name, value in headers.items():
            owner = RESERVED_HEADERS.get(name.lower())
            sound = _NAME.fullmatch(name) and _VALUE.fullmatch(value)
            if owner is HeaderOwner.TRANSPORT or not sound:
                raise PluginError("the provider built a header that HTTP cannot carry")
            if owner is not HeaderOwner.ADAPTER:
                others[name] = value
        return {"Host": self._host, **Headers({**self._always, **others})}

    @staticmethod
    def _write(document: Json) -> bytes:
        try:
            return write_json(document)
        except (ValueError, TypeError):
            # Their texts hold what could not be sent: a number, at times a token.
            raise PluginError("the provider built a body that JSON cannot say") from None


_NETWORK_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,  # what a parser below says of an answer that it cannot make sense of
)


def _explain(error: BaseException, attempt: Attempt) -> Outcome:
    """Return what an exception of the HTTP stack proves. The most specific cause decides."""
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, ProxyRefusalError):
            attempt.inconclusive = attempt.inconclusive or not cause.absent
            return _refused_by_proxy(cause.why, absent=cause.absent)
        if isinstance(cause, OSError) and cause.errno in SHORTAGES:
            attempt.inconclusive = True
    short = any(isinstance(cause, ShortageError) for cause in causes)
    if short or (attempt.inconclusive and not attempt.sent):
        attempt.inconclusive = True
        detail = "This process has no descriptor, memory or port left for a connection."
        return Outcome.failure(Code.OVERLOADED, retry_after=1, detail=detail)
    for kinds, code in _CODES:
        if any(isinstance(cause, kinds) for cause in causes):
            return Outcome.failure(code)
    return Outcome.failure(Code.PROVIDER_CONNECTION_LOST)


def _refused_by_proxy(why: str, *, absent: bool = False) -> Outcome:
    """Return what it is where the proxy let nothing through; `why` says what it did.

    Where it, or what is behind it, is absent now, it may be there after a delay.
    """
    detail = f"The proxy of the configuration (transport.proxy) {why}."
    advice = None if absent else Retry.AFTER_ACTION
    return Outcome.failure(Code.PROVIDER_UNREACHABLE, detail=detail, advice=advice)


def _causes(error: BaseException) -> list[BaseException]:
    """Return the exception with all that it wraps; the layers keep theirs in different places."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        candidate = waiting.pop()
        if isinstance(candidate, BaseException) and candidate not in found:
            found.append(candidate)
            waiting += [*candidate.args, candidate.__cause__, getattr(candidate, "reason", None)]
    return found


_CODES: Final[tuple[tuple[tuple[type[BaseException], ...], Code], ...]] = (
    # A connect timeout is a timeout and a connection error too: what failed to begin comes first.
    # A TLS error that is not of the handshake came after the request left, and proves nothing.
    ((HandshakeError,), Code.PROVIDER_TLS_ERROR),
    (
        (
            NoConnectionError,
            urllib3.exceptions.LocationValueError,
            requests.exceptions.InvalidURL,
        ),
        Code.PROVIDER_UNREACHABLE,
    ),
    (
        (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError),
        Code.PROVIDER_TIMEOUT,
    ),
    (
        (http.client.RemoteDisconnected, http.client.IncompleteRead, ConnectionError),
        Code.PROVIDER_CONNECTION_LOST,
    ),
    ((http.client.HTTPException, ValueError), Code.PROVIDER_BAD_RESPONSE),
)
