"""gunicorn's gevent worker, with timeouts for every client and a stop that skips idle clients.

HTTP/1.1 only: gunicorn's HTTP/2 code has none of these timeouts.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

from gevent import GreenletExit, Timeout, get_hub, getcurrent, sleep
from gunicorn.config import Config
from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker

from adapter.codes import Code
from adapter.logs import log, log_event, log_exception
from adapter.results import Outcome, Result
from adapter.service import RESULT_ATTRIBUTE, describe_call, new_request_id, result_of
from adapter.strict_json import write_json
from adapter.web.context import choose_request_id
from adapter.web.extension import ExtensionState

READ_TIMEOUT: Final = 10
"""Seconds for the head of a connection's first request, and for each read of a body."""

BODY_TIMEOUT: Final = 30
"""Seconds for a whole request body, however steadily it arrives."""

LONG_BODY_TIMEOUT: Final = 300
"""Seconds of waiting for the CSV of a batch: 25 MiB at 0.7 Mbit/s."""

DNS_THREADS: Final = 1024
"""The most simultaneous DNS lookups: more than the calls in flight of a few accounts (256 each)."""

_LAST_SECONDS: Final = 2
"""Seconds of graceful_timeout that are left for the ledger and the connections."""

_FIRST_REQUEST_GRACE: Final = 1
"""Seconds for the first request of a connection that a stopping worker has just accepted."""

_MAX_JOINED: Final = 64 * 1024
"""The longest part of a body, in bytes, that is copied to be sent with the head."""

_ERROR_RESPONSE_TIMEOUT: Final = 2
"""Seconds to send an error response, and to read and drop the rest of the request."""

_APP_ERRORS: Final = tuple(
    getattr(errors, name) for name in ("InvalidResponseHeader", "InvalidResponseHeaderName")
)
"""gunicorn's exceptions for an invalid header in the app's response."""

_PARSE_ERRORS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (errors.LimitRequestLine, "the first line is too long"),
    (errors.LimitRequestHeaders, "the headers are too many or too long"),
    (errors.InvalidRequestLine, "the first line must be METHOD TARGET HTTP/1.1"),
    (errors.InvalidRequestMethod, "the method is unknown"),
    (errors.InvalidHTTPVersion, "the HTTP version is not supported; use HTTP/1.1"),
    (errors.InvalidHeaderName, "the name of a header is invalid"),
    (errors.InvalidHeader, "a header is invalid or repeated"),
    (errors.ObsoleteFolding, "a header is folded over several lines"),
    (errors.UnsupportedTransferCoding, "chunked is the only supported transfer coding"),
    (errors.ExpectationFailed, "100-continue is the only supported expectation"),
)
"""Our messages for gunicorn's parse errors, whose own texts may repeat parts of the request."""


class _RequestTimeout(Timeout):  # type: ignore[misc, unused-ignore]
    """The timeout of a wait for a request: READ_TIMEOUT for a first head, keepalive for the next.

    On exit, the socket gets READ_TIMEOUT for each read of the body and each write of the response.
    """

    def __init__(
        self, client: socket.socket, idle: dict[socket.socket, float], keepalive: int
    ) -> None:
        self._is_first = client.gettimeout() is None
        seconds = READ_TIMEOUT if self._is_first else keepalive
        # False: the timeout ends the `with` block without an exception; there is no request then.
        super().__init__(seconds, False)  # type: ignore[arg-type]
        self._client = client
        self._idle = idle

    def __enter__(self) -> _RequestTimeout:
        self._client.settimeout(None)
        grace = _FIRST_REQUEST_GRACE if self._is_first else 0
        self._idle[self._client] = time.monotonic() + grace
        super().__enter__()
        return self

    def __exit__(self, *what: Any) -> Any:  # type: ignore[override, unused-ignore]
        self._idle.pop(self._client, None)
        self._client.settimeout(READ_TIMEOUT)
        return super().__exit__(*what)


class _BodyDeadline:
    """A request body (`wsgi.input`) with a deadline, BODY_TIMEOUT after the end of the head.

    A read beyond it raises TimeoutError; gunicorn then closes the connection.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._deadline = time.monotonic() + BODY_TIMEOUT
        self._is_long = False
        self._ended: float | None = None

    def allow_long_body(self) -> None:
        """From now on, count only the time in `read`, up to LONG_BODY_TIMEOUT.

        For a large body of a caller who is known, between whose reads the app stores rows.
        """
        self._is_long = True
        self._deadline = time.monotonic() + LONG_BODY_TIMEOUT

    def _timeout(self) -> Timeout:
        left = self._deadline - time.monotonic()
        return Timeout(max(0.001, left), TimeoutError("the request body timed out"))

    def read(self, size: int | None = None) -> bytes:
        """Return the next bytes, at most `size`."""
        if not self._is_long:
            with self._timeout():
                return self._stream.read(size)  # type: ignore[no-any-return]
        if self._ended is not None:
            self._deadline += time.monotonic() - self._ended
        try:
            with self._timeout():
                return self._stream.read(size)  # type: ignore[no-any-return]
        finally:
            self._ended = time.monotonic()

    def readline(self, size: int | None = None) -> bytes:
        """Return the next line, at most `size` bytes of it."""
        with self._timeout():
            return self._stream.readline(size)  # type: ignore[no-any-return]

    def readlines(self, size: int | None = None) -> list[bytes]:
        """Return the remaining lines."""
        with self._timeout():
            return self._stream.readlines(size)  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")


class _JoinedWrites:
    """The socket of a client for one response: head and first part of the body in one `send`.

    gunicorn writes them one by one, which costs a second system call and a second packet: 2 % of
    the processor time of a busy server, 6 % of one that is not. Everything else that is done with
    the socket comes after what was written.
    """

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._held: bytes | None = None

    def sendall(self, data: bytes) -> None:
        """Hold the first data back; send any other, after what is held."""
        if self._held is None:
            self._held = data
            return
        held, self._held = self._held, b""
        if held and len(data) > _MAX_JOINED:  # a copy would cost more than it saves
            self._client.sendall(held)
            held = b""
        self._client.sendall(held + data if held else data)

    def flush(self) -> None:
        """Send what is held, such as the head of a response without a body."""
        if self._held:
            held, self._held = self._held, b""
            self._client.sendall(held)

    def __getattr__(self, name: str) -> Any:
        self.flush()
        return getattr(self._client, name)


class _AccessLogOnly:
    """gunicorn's logger while a client is served: an access log, if any, and nothing else.

    gunicorn's other lines may repeat what the client sent: a path, a header, a part of a body.
    """

    def __init__(self, log: Any) -> None:
        self.access = log.access

    def debug(self, *_: object, **__: object) -> None:
        """Write nothing."""

    info = warning = error = critical = exception = log = debug


class Worker(GeventWorker):  # type: ignore[misc, unused-ignore]
    """A worker with one greenlet per connection, so that thousands of calls can wait."""

    def __init__(self, *args: Any, **rest: Any) -> None:
        self._app: Any = None
        self._states: list[ExtensionState] = []
        self._stopping_since: float | None = None
        self._clients: dict[Any, socket.socket] = {}
        self._idle: dict[socket.socket, float] = {}
        """The connections that wait for a request, each with the monotonic time from which a
        worker that stops may close it."""
        super().__init__(*args, **rest)
        self._disable_http2()
        self._choose_parser()

    def _disable_http2(self) -> None:
        """Serve HTTP/1.1 alone: gunicorn's HTTP/2 code never calls `timeout_ctx`."""
        if "h2" in self.cfg.http_protocols:
            log.warning("HTTP/2 is not supported; remove h2 from gunicorn's http_protocols")
        self.cfg.set("http_protocols", "h1")
        self.cfg.set("http2_cleartext", "off")

    def _choose_parser(self) -> None:
        """Use gunicorn's parser in Python, whose strictness is tested.

        By default gunicorn uses the parser of the package gunicorn_h1c where that is installed. It
        accepts requests that the other one refuses, such as one with two blanks after the method.
        """
        if self.cfg.http_parser == "fast":
            log.warning("gunicorn's fast parser is not supported; remove http_parser")
        self.cfg.set("http_parser", "python")

    @property
    def log(self) -> Any:
        """The logger of gunicorn; for the greenlet of a client, the access log only."""
        return self._client_log if getcurrent() in self._clients else self._log

    @log.setter
    def log(self, log: Any) -> None:
        self._log, self._client_log = log, _AccessLogOnly(log)

    def init_process(self) -> None:
        """Read the configuration once, then serve. Called in the process of the worker."""
        read_once(self.cfg)
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the app, and wrap it: a deadline for the body, and no exception but `Exception`."""
        super().load_wsgi()
        app = self._app = self.wsgi

        def serve(environ: Any, start: Any) -> Any:
            environ["wsgi.input"] = _BodyDeadline(environ["wsgi.input"])
            try:
                return app(environ, start)
            except Exception:
                raise
            except BaseException as error:
                if isinstance(error, GreenletExit) and not self.alive:
                    raise  # the worker stops, and graceful_timeout is over
                # gunicorn sends no response for some of these, such as SystemExit.
                raised = RuntimeError(f"the app raised {type(error).__name__}")
                failed = Outcome.failure(Code.INTERNAL_ERROR)
                facts = result_of(error) or Result(failed, request_id=choose_request_id(environ))
                setattr(raised, RESULT_ATTRIBUTE, facts)
                raise raised from error

        self.wsgi = serve

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        """Serve one connection until it is closed."""
        connection = getcurrent()
        self._clients[connection] = client
        try:
            super().handle(listener, client, addr)
        finally:
            del self._clients[connection]

    def handle_request(self, listener: Any, request: Any, client: Any, addr: Any) -> Any:
        """Serve one request, after the other greenlets that are ready to run.

        Without this, a client that pipelines requests would block all other clients.
        """
        sleep(0)
        joined = _JoinedWrites(client)
        try:
            return super().handle_request(listener, request, joined, addr)  # type: ignore[arg-type]
        finally:
            joined.flush()

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Send an envelope for a request that failed, in place of gunicorn's HTML page."""
        if isinstance(exc, GreenletExit):  # the worker stops, and graceful_timeout is over
            return
        code, fields = _code_of_error(exc)
        unparsed = Result(Outcome.failure(code, fields=fields), request_id=new_request_id())
        result = result_of(exc) or unparsed
        facts = describe_call(result)
        if code is Code.INTERNAL_ERROR:
            contact = result.command.contact if result.command else None
            log_exception("internal_error", exc, contact=contact, request_id=facts["request_id"])
        if result is unparsed:  # there was no call, so that no other facts are known
            facts = {"code": code.value, "request_id": result.request_id}
        log_event("request", level=logging.WARNING, status=code.http_status, **facts)
        with suppress(OSError):
            _send_error_response(client, code, result)

    def run(self) -> None:
        """Serve until the worker is stopped."""
        # DNS lookups run in threads, ten by default: with a name server that hangs, the lookups
        # of one account would block the calls of all others.
        get_hub().threadpool.maxsize = DNS_THREADS
        states = getattr(self._app, "extensions", {}).values()
        self._states = [state for state in states if isinstance(state, ExtensionState)]
        for state in self._states:
            ledger = state.contacts.service.ledger
            if ledger is not None:
                ledger.start()
            state.contacts.batches.start_worker()
        try:
            super().run()
        finally:
            self._close_services()

    def _close_services(self) -> None:
        """End the rows of batches, record what waits for the ledger, close all connections."""
        began = self._stopping_since or time.monotonic()
        end = began + self.cfg.graceful_timeout - _LAST_SECONDS
        for state in self._states:
            state.contacts.batches.stop_worker(max(0.0, end - time.monotonic()))
            state.service.close()

    def timeout_ctx(self) -> _RequestTimeout:  # type: ignore[override, unused-ignore]
        """Return the timeout of the wait for the next request of this greenlet's client."""
        return _RequestTimeout(self._clients[getcurrent()], self._idle, self.cfg.keepalive)

    def notify(self) -> None:
        """Send the heartbeat; during shutdown, close idle keep-alive connections."""
        super().notify()
        if not self.alive:
            now = time.monotonic()
            if self._stopping_since is None:
                self._stopping_since = now
                for state in self._states:
                    state.contacts.batches.begin_stop()
            for client in [each for each, closable in self._idle.items() if closable <= now]:
                with suppress(OSError):
                    # A request that has just arrived is still read, and gets its response.
                    # gevent's own `shutdown` would cancel the pending read.
                    client._sock.shutdown(socket.SHUT_RD)  # type: ignore[attr-defined]  # noqa: SLF001


def read_once(cfg: Config) -> None:
    """Make each value of the configuration an attribute; a later `set` has no effect.

    gunicorn looks up 25 values per request, each by a call of `__getattr__` and of the setting:
    5 % of a request.
    """
    for name, setting in cfg.settings.items():
        vars(cfg)[name] = setting.get()


def _code_of_error(error: BaseException) -> tuple[Code, dict[str, tuple[str, ...]]]:
    """Return the code of an exception from gunicorn or the app, and the fields of the envelope."""
    if isinstance(error, errors.ConfigurationProblem):
        return Code.NOT_FOUND, {}  # the path does not begin with the environment's SCRIPT_NAME
    if isinstance(error, _APP_ERRORS):
        return Code.INTERNAL_ERROR, {}
    if isinstance(error, (errors.ParseException, OSError)):  # OSError: a failed TLS handshake
        messages = (message for kind, message in _PARSE_ERRORS if isinstance(error, kind))
        return Code.BAD_REQUEST, {"request": (next(messages, "this is not HTTP/1.1"),)}
    return Code.INTERNAL_ERROR, {}


def _send_error_response(client: socket.socket, code: Code, result: Result) -> None:
    """Send the envelope, then drain and close the connection.

    With unread data in the receive buffer, the kernel would answer a close with a reset, and the
    client would lose the response.
    """
    status, body = HTTPStatus(code.http_status), write_json(result.envelope())
    head = (
        f"HTTP/1.1 {status} {status.phrase}\r\nConnection: close\r\nCache-Control: no-store\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"X-Request-Id: {result.request_id}\r\n\r\n"
    )
    with Timeout(_ERROR_RESPONSE_TIMEOUT, False):  # type: ignore[arg-type]
        client.sendall(head.encode("ascii") + body)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass
