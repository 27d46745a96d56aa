"""The outcome of each failure between this process and a provider.

The texts of the exceptions contain URLs, and at times tokens: they are never used.
"""

from __future__ import annotations

import http.client
from typing import Final

import requests
import urllib3.exceptions

from adapter.codes import Code, Retry
from adapter.results import Outcome
from adapter.transport.attempt import Attempt
from adapter.transport.sockets import (
    RESOURCE_ERRNOS,
    ConnectError,
    ProxyError,
    ResourceShortageError,
    TlsHandshakeError,
)

NETWORK_ERRORS: Final = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,  # a parser below could not read the response
)

_RESOURCE_SHORTAGE: Final = (
    "This process has no file descriptor, memory or local port left for a connection."
)

_CODES_BY_ERROR: Final[tuple[tuple[tuple[type[BaseException], ...], Code], ...]] = (
    # A connect timeout is a timeout and a connection error too: failures to connect come first.
    # A TLS error outside the handshake came after the request was sent, and proves nothing.
    ((TlsHandshakeError,), Code.PROVIDER_TLS_ERROR),
    (
        (
            ConnectError,
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


def outcome_of_error(error: BaseException, attempt: Attempt) -> Outcome:
    """Return the outcome of an exception of the HTTP stack; the most specific cause decides.

    Sets the attempt's `health_unknown` where the cause is not the provider.
    """
    causes = _wrapped_errors(error)
    for cause in causes:
        if isinstance(cause, ProxyError):
            attempt.health_unknown = attempt.health_unknown or not cause.unavailable
            return outcome_of_proxy_error(cause)
        if isinstance(cause, OSError) and cause.errno in RESOURCE_ERRNOS:
            attempt.health_unknown = True
    is_shortage = any(isinstance(cause, ResourceShortageError) for cause in causes)
    if is_shortage or (attempt.health_unknown and not attempt.sent):
        attempt.health_unknown = True
        return Outcome.failure(Code.OVERLOADED, retry_after=1, message=_RESOURCE_SHORTAGE)
    for error_types, code in _CODES_BY_ERROR:
        if any(isinstance(cause, error_types) for cause in causes):
            return Outcome.failure(code)
    return Outcome.failure(Code.PROVIDER_CONNECTION_LOST)


def outcome_of_proxy_error(error: ProxyError) -> Outcome:
    """Return the outcome of a proxy that did not connect.

    Where it, or the provider behind it, is unavailable now, a retry may succeed.
    """
    message = f"The configured proxy (transport.proxy) {error.reason}."
    retry = None if error.unavailable else Retry.AFTER_ACTION
    return Outcome.failure(Code.PROVIDER_UNREACHABLE, message=message, retry=retry)


def _wrapped_errors(error: BaseException) -> list[BaseException]:
    """Return the exception and all that it wraps, in `args`, `__cause__` or `reason`."""
    found: list[BaseException] = []
    pending: list[object] = [error]
    while pending:
        candidate = pending.pop()
        if isinstance(candidate, BaseException) and candidate not in found:
            found.append(candidate)
            pending += [*candidate.args, candidate.__cause__, getattr(candidate, "reason", None)]
    return found
