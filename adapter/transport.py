"""The one place that talks to a network. It answers every request with a value and never guesses.

What may go wrong between us and a provider becomes an outcome here. The texts of the exceptions
underneath hold URLs and at times tokens; they are dropped on the spot.
"""

from __future__ import annotations

import http.client
import os
import threading
import time
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from typing import Final
from urllib.parse import urlencode

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from adapter.codes import Code
from adapter.errors import PluginError
from adapter.outcome import Outcome
from adapter.settings import TransportSettings
from adapter.wire import Headers, HttpRequest, HttpResponse, write_json

MAX_BODY: Final = 256 * 1024
"""Most bytes of an answer that are read. A longer answer is no answer."""

_CHUNK = 16 * 1024


class _Session(requests.Session):
    """A session that takes nothing from its surroundings and follows nothing."""

    def __init__(self, settings: TransportSettings) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.verify = settings.ca_file or True
        self.proxies = {"http": settings.proxy, "https": settings.proxy} if settings.proxy else {}
        pool = HTTPAdapter(pool_connections=1, pool_maxsize=settings.max_in_flight, max_retries=0)
        self.mount("https://", pool)
        self.mount("http://", pool)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Say that no answer is a redirect, so that its body is not read to follow it."""


class Transport:
    """Calls one account's provider over pooled connections. Safe in threads and after a fork."""

    def __init__(self, base_url: str, settings: TransportSettings) -> None:
        self._base_url = base_url
        self._settings = settings
        self._headers: Mapping[str, str] = {
            "User-Agent": f"contact-adapter/{version('contact-adapter')}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        self._lock = threading.Lock()
        self._session: _Session | None = None
        self._process = 0

    def send(self, request: HttpRequest, request_id: str) -> HttpResponse | Outcome:
        """Send the request once; return the provider's answer, or what kept it from coming."""
        ends = time.monotonic() + self._settings.deadline
        prepared = self._prepare(request, request_id)
        try:
            with self._open_session().send(
                prepared,
                stream=True,
                allow_redirects=False,
                timeout=(self._settings.connect_timeout, self._settings.deadline),
            ) as response:
                return _read(response, ends)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            return Outcome.failure(_code_of(error))

    def close(self) -> None:
        """Close the pooled connections. A later call opens new ones."""
        with self._lock:
            if self._session is not None and self._process == os.getpid():
                self._session.close()
            self._session = None

    def _open_session(self) -> _Session:
        """Return this process's session; connections are never shared across a fork."""
        session = self._session
        if session is not None and self._process == os.getpid():
            return session
        with self._lock:
            if self._session is None or self._process != os.getpid():
                self._session = _Session(self._settings)
                self._process = os.getpid()
            return self._session

    def _prepare(self, request: HttpRequest, request_id: str) -> requests.PreparedRequest:
        url = self._base_url + request.path
        if request.query:
            url += "?" + urlencode(request.query)
        headers = {**self._headers, **request.headers, "X-Request-Id": request_id}
        body = None
        if request.json is not None:
            body = write_json(request.json)
            headers["Content-Type"] = "application/json"
        prepared = requests.Request(request.method, url, headers=headers, data=body).prepare()
        if prepared.url != url:
            raise PluginError("the provider built a path that would not be sent as it is written")
        return prepared


def _read(response: requests.Response, ends: float) -> HttpResponse | Outcome:
    """Return the answer with its body, unless that is too long, encoded, or too late."""
    status, headers = response.status_code, Headers(response.headers)
    if 300 <= status <= 399:
        return HttpResponse(status, headers)
    bad = Outcome.failure(Code.PROVIDER_BAD_RESPONSE, upstream_status=status)
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        return bad
    body = bytearray()
    while chunk := response.raw.read(_CHUNK, decode_content=False):
        body += chunk
        if len(body) > MAX_BODY:
            return bad
        if time.monotonic() > ends:
            return Outcome.failure(Code.PROVIDER_TIMEOUT, upstream_status=status)
    return HttpResponse(status, headers, bytes(body))


def _code_of(error: BaseException) -> Code:
    """Return what an exception of the HTTP stack proves. The most specific cause decides."""
    causes = _causes(error)
    for kinds, code in _CODES:
        if any(isinstance(cause, kinds) for cause in causes):
            return code
    return Code.PROVIDER_CONNECTION_LOST


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
    (
        (
            requests.exceptions.ConnectTimeout,
            requests.exceptions.ProxyError,
            urllib3.exceptions.NewConnectionError,
            urllib3.exceptions.ConnectTimeoutError,
        ),
        Code.PROVIDER_UNREACHABLE,
    ),
    ((requests.exceptions.SSLError, urllib3.exceptions.SSLError), Code.PROVIDER_TLS_ERROR),
    ((requests.exceptions.Timeout, urllib3.exceptions.TimeoutError), Code.PROVIDER_TIMEOUT),
    (
        (http.client.RemoteDisconnected, http.client.IncompleteRead, ConnectionError),
        Code.PROVIDER_CONNECTION_LOST,
    ),
    ((http.client.HTTPException,), Code.PROVIDER_BAD_RESPONSE),
)
