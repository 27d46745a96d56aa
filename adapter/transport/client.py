"""HTTP requests to one provider. Every network failure is returned as an Outcome."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Final
from urllib.parse import urlencode, urlsplit

import requests

from adapter.codes import Code
from adapter.errors import PluginError
from adapter.header_rules import HEADER_NAME, HEADER_VALUE, RESERVED_HEADERS, HeaderOwner
from adapter.http import NO_HEADERS, Headers, HttpRequest, HttpResponse
from adapter.results import Outcome
from adapter.secret import Secret
from adapter.settings.model import TransportSettings
from adapter.strict_json import Json, write_json
from adapter.transport.attempt import Attempt, SupersededError
from adapter.transport.errors import ProxyError, ResponseTooLargeError, UnusableResponseError
from adapter.transport.failures import outcome_of_error, outcome_of_proxy_error
from adapter.transport.forking import reset_in_child
from adapter.transport.intents import superseded_outcome
from adapter.transport.provider_adapter import ProviderAdapter
from adapter.transport.proxies import LOGIN_REFUSED
from adapter.transport.sockets import TimeLimit, no_time_limit

_ADAPTER_HEADERS: Final[Mapping[str, str]] = {
    "User-Agent": f"contact-adapter/{version('contact-adapter')}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}

_DEADLINE_PASSED: Final = "The deadline passed before the request was sent."

_METHOD = re.compile(r"[A-Z]+")
_HEADER_NAME = re.compile(HEADER_NAME)
_HEADER_VALUE = re.compile(HEADER_VALUE)
_TARGET = re.compile(
    r"/(?!/)"  # two slashes would start a host name
    r"(?!(?:[^?]*/)?(?:\.|%2[Ee]){1,2}(?:[/?]|\Z))"  # dot segments would leave the base path
    r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*"
    r"(?:\?[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*)?"
)


class Transport:
    """Sends requests of one account over pooled connections. Safe in threads and after a fork.

    `headers` are the account's fixed headers. `time_limit` ends a DNS lookup at its deadline; it
    may be set until the first request.
    """

    def __init__(
        self,
        base_url: str,
        settings: TransportSettings,
        headers: Mapping[str, str | Secret] = NO_HEADERS,
        time_limit: TimeLimit = no_time_limit,
    ) -> None:
        self._base_url = base_url
        parts = urlsplit(base_url)
        self._url_prefix = f"{parts.scheme}://{parts.netloc}{parts.path}"
        self._host = parts.netloc
        self._settings = settings
        self.time_limit = time_limit
        self._adapter: ProviderAdapter | None = None
        self._parent_adapter: ProviderAdapter | None = None
        account_headers = {
            name: value.reveal() if isinstance(value, Secret) else value
            for name, value in headers.items()
        }
        self._default_headers = Headers({**_ADAPTER_HEADERS, **account_headers})
        self._cached_headers = (NO_HEADERS, self._merge_headers(NO_HEADERS))
        reset_in_child(self)

    def send(
        self,
        request: HttpRequest,
        request_id: str,
        attempt: Attempt | None = None,
        keep_connection: Callable[[HttpResponse], bool] | None = None,
    ) -> HttpResponse | Outcome:
        """Send the request once; return the provider's response, or the failure.

        Without `attempt`, the configured deadline applies. `keep_connection` is called with the
        response, and returns whether its connection may serve another call.

        Raises PluginError for a request that cannot be sent.
        """
        if attempt is None:
            attempt = Attempt(time.monotonic() + self._settings.deadline)
        elif attempt.deadline <= time.monotonic():
            attempt.health_unknown = True
            if attempt.sent:
                return Outcome.failure(Code.PROVIDER_TIMEOUT)
            return Outcome.failure(Code.OVERLOADED, retry_after=1, message=_DEADLINE_PASSED)
        prepared = self._prepare(request, request_id)
        try:
            adapter = self._open_adapter()
            held = adapter.exchange(prepared, attempt)
        except SupersededError:
            return superseded_outcome()
        except ResponseTooLargeError as error:
            code = Code.PROVIDER_RESPONSE_TOO_LARGE
            return Outcome.failure(code, upstream_status=error.status)
        except UnusableResponseError as error:
            return Outcome.failure(Code.PROVIDER_BAD_RESPONSE, upstream_status=error.status)
        except requests.RequestException as error:
            return outcome_of_error(error, attempt)
        raw = held.raw
        response = HttpResponse(raw.status, raw.headers, raw.body)
        keep = keep_connection is None
        try:
            if keep_connection is not None:
                keep = keep_connection(response)
        finally:
            held.release(keep=keep)
        if adapter.is_forwarded and raw.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            attempt.health_unknown = True
            return outcome_of_proxy_error(ProxyError(LOGIN_REFUSED))
        return response

    def close(self) -> None:
        """Close the pooled connections. A later call opens new ones."""
        self._parent_adapter = None
        adapter, self._adapter = self._adapter, None
        if adapter is not None:
            adapter.close()

    def reset_after_fork(self) -> None:
        """Stop using the parent's connections; the next call closes the inherited descriptors."""
        if self._adapter is not None:
            self._parent_adapter, self._adapter = self._adapter, None

    def _open_adapter(self) -> ProviderAdapter:
        """Return the connections of this process.

        No lock is used, since a fork could leave it locked: of two first threads, one discards its
        own adapter after its call.
        """
        adapter = self._adapter
        if adapter is None:
            adapter = self._adapter = ProviderAdapter(
                self._base_url, self._settings, self.time_limit
            )
            # This closes the parent's connections here: descriptors only, without a TLS
            # close_notify, so that they stay open in the parent.
            self._parent_adapter = None
        return adapter

    def _prepare(self, request: HttpRequest, request_id: str) -> requests.PreparedRequest:
        """Return the request as requests prepares it, without its repeated validation."""
        target = request.path
        if request.query:
            target += "?" + urlencode(request.query)
        if not _HEADER_VALUE.fullmatch(request_id):
            raise ValueError("a request id must be visible ASCII")
        if not _METHOD.fullmatch(request.method):
            raise PluginError("the provider built an invalid HTTP method: use capital letters")
        if not _TARGET.fullmatch(target) or "?" in request.path:
            raise PluginError(
                "the provider built an invalid path: start it with one slash, percent-encode it, "
                "and use no dot segments; put the query into `query`"
            )
        cached, fields = self._cached_headers
        if request.headers is not cached:  # most providers build their headers once
            fields = self._merge_headers(request.headers)
            self._cached_headers = (request.headers, fields)
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = self._url_prefix + target
        prepared.headers = fields | {"X-Request-Id": request_id}  # type: ignore[assignment]
        if request.json is not None:
            prepared.body = self._encode_body(request.json)
            prepared.headers["Content-Type"] = "application/json"
        # Without a length, a body would be read as the connection's next request.
        if request.method != "GET" or prepared.body is not None:
            prepared.headers["Content-Length"] = str(len(prepared.body or b""))
        return prepared

    def _merge_headers(self, headers: Headers) -> dict[str, str]:
        """Return the headers of every request: the provider's, the account's and the adapter's."""
        own_headers = {}
        for name, value in headers.items():
            owner = RESERVED_HEADERS.get(name.lower())
            is_valid = _HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)
            if owner is HeaderOwner.TRANSPORT or not is_valid:
                raise PluginError(
                    "the provider built an invalid header, or one of framing and connection"
                )
            if owner is not HeaderOwner.ADAPTER:
                own_headers[name] = value
        return {"Host": self._host, **Headers({**self._default_headers, **own_headers})}

    @staticmethod
    def _encode_body(document: Json) -> bytes:
        try:
            return write_json(document)
        except (ValueError, TypeError):
            # Their texts contain the value: a phone number, at times a token.
            raise PluginError("the provider built a body that is not valid JSON") from None
