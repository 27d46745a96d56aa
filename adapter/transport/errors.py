"""The failures of a request, as subclasses of requests' exceptions.

Their texts name no URL, header or body.
"""

from __future__ import annotations

import errno
from typing import Final

import requests

RESOURCE_ERRNOS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""Error numbers of a process or machine without free memory or file descriptors."""


class ConnectError(requests.exceptions.ConnectionError):
    """No connection was established; nothing was sent."""


class ResourceShortageError(ConnectError):
    """This process or machine has no file descriptor, memory or port left for a connection."""


class TlsHandshakeError(ConnectError, requests.exceptions.SSLError):
    """TLS was refused while connecting; nothing was sent."""


class ProxyError(ConnectError, requests.exceptions.ProxyError):
    """The proxy did not connect. `reason` is for operators, and contains no secret.

    `unavailable`: the proxy, or the provider behind it, is unavailable now. Any other refusal
    stays until the configuration or the proxy is changed.
    """

    def __init__(self, reason: str, *, unavailable: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.unavailable = unavailable


class ConnectionLostError(requests.exceptions.ConnectionError):
    """The connection ended, or broke, before the response was complete."""


class DeadlineError(requests.exceptions.Timeout):
    """The deadline passed before the response was complete."""


class BadResponseError(requests.exceptions.RequestException):
    """The bytes received are not an HTTP/1.1 response, or too many of them."""


class UnusableResponseError(BadResponseError):
    """A response was received and cannot be used; `status` is its status."""

    def __init__(self, status: int) -> None:
        super().__init__("unusable response")
        self.status = status


class ResponseTooLargeError(UnusableResponseError):
    """The response exceeds the size limit."""
