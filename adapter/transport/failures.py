"""The outcome of each failure between this process and a provider.

The texts of the exceptions contain URLs, and at times tokens: they are never used.
"""

from __future__ import annotations

from typing import Final

import requests

from adapter.codes import Code, Retry
from adapter.results import Outcome
from adapter.transport.attempt import Attempt
from adapter.transport.errors import (
    BadResponseError,
    ConnectError,
    DeadlineError,
    ProxyError,
    ResourceShortageError,
    TlsHandshakeError,
)

_RESOURCE_SHORTAGE: Final = (
    "This process has no file descriptor, memory or local port left for a connection."
)

_CODES_BY_ERROR: Final[tuple[tuple[type[BaseException], Code], ...]] = (
    # A TLS error outside the handshake came after the request was sent, and proves nothing.
    (TlsHandshakeError, Code.PROVIDER_TLS_ERROR),
    (ConnectError, Code.PROVIDER_UNREACHABLE),
    (DeadlineError, Code.PROVIDER_TIMEOUT),
    (BadResponseError, Code.PROVIDER_BAD_RESPONSE),
)


def outcome_of_error(error: requests.RequestException, attempt: Attempt) -> Outcome:
    """Return the outcome of an exception that the provider's adapter raises.

    Sets the attempt's `health_unknown` where the cause is not the provider.
    """
    if isinstance(error, ProxyError):
        attempt.health_unknown = attempt.health_unknown or not error.unavailable
        return outcome_of_proxy_error(error)
    is_shortage = isinstance(error, ResourceShortageError)
    if is_shortage or (attempt.health_unknown and not attempt.sent):
        attempt.health_unknown = True
        return Outcome.failure(Code.OVERLOADED, retry_after=1, message=_RESOURCE_SHORTAGE)
    for error_type, code in _CODES_BY_ERROR:
        if isinstance(error, error_type):
            return Outcome.failure(code)
    return Outcome.failure(Code.PROVIDER_CONNECTION_LOST)


def outcome_of_proxy_error(error: ProxyError) -> Outcome:
    """Return the outcome of a proxy that did not connect.

    Where it, or the provider behind it, is unavailable now, a retry may succeed.
    """
    message = f"The configured proxy (transport.proxy) {error.reason}."
    retry = None if error.unavailable else Retry.AFTER_ACTION
    return Outcome.failure(Code.PROVIDER_UNREACHABLE, message=message, retry=retry)
