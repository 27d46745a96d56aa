"""gunicorn's gevent worker, with bounds for every client and a stop that waits for nobody idle."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

from gevent import GreenletExit, Timeout, get_hub, getcurrent, sleep
from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker

from adapter.codes import Code
from adapter.logs import log_event, log_exception
from adapter.results import Outcome, Result
from adapter.service import RESULT_ATTRIBUTE, describe_call, new_request_id, result_of
from adapter.strict_json import write_json
from adapter.web.context import choose_request_id

READ_TIMEOUT: Final = 10
"""Seconds for the head of a connection's first request, and for a pause within any body."""

BODY_TIME: Final = 30
"""Seconds for the whole of a body, however steadily it arrives."""

DNS_THREADS: Final = 1024
"""Most names that are looked up at a time: more than a few accounts may wait for (256 each)."""

_REFUSAL_TIME: Final = 2
"""Seconds to send a refused client its answer, and to read and drop what it still sends."""

_OURS: Final = tuple(
    getattr(errors, name) for name in ("InvalidResponseHeader", "InvalidResponseHeaderName")
)
"""What gunicorn raises for a header that the app wrote."""

_WRONG: Final[tuple[tuple[type[Exception], str], ...]] = (
    (errors.LimitRequestLine, "the first line is too long"),
    (errors.LimitRequestHeaders, "the headers are too many or too long"),
    (errors.InvalidRequestLine, "the first line is not METHOD TARGET HTTP/1.1"),
    (errors.InvalidRequestMethod, "the method is not known"),
    (errors.InvalidHTTPVersion, "the version of HTTP is not known; use HTTP/1.1"),
    (errors.InvalidHeaderName, "a header's name is not valid"),
    (errors.InvalidHeader, "a header is not valid, or stands twice"),
    (errors.ObsoleteFolding, "a header is folded over several lines"),
    (errors.UnsupportedTransferCoding, "only the transfer coding chunked is known"),
    (errors.ExpectationFailed, "only the expectation 100-continue is known"),
)
"""What is said of a request that cannot be read, by gunicorn's exception. Its text is not used."""


class _Wait(Timeout):  # type: ignore[misc, unused-ignore]
    """Bounds the wait for a request: the whole of a first head, and the pause before a next.

    From then on, each read of the body, and each write of the answer, has `READ_TIMEOUT`.
    """

    def __init__(self, client: socket.socket, idle: set[socket.socket], keepalive: int) -> None:
        first = client.gettimeout() is None
        # False: it only ends the block, after which there is no request.
        super().__init__(READ_TIMEOUT if first else keepalive, False)  # type: ignore[arg-type]
        self._client = client
        self._idle = idle

    def __enter__(self) -> _Wait:
        self._client.settimeout(None)
        self._idle.add(self._client)
        super().__enter__()
        return self

    def __exit__(self, *what: Any) -> Any:  # type: ignore[override, unused-ignore]
        self._idle.discard(self._client)
        self._client.settimeout(READ_TIMEOUT)
        return super().__exit__(*what)


class _Body:
    """A request's body (`wsgi.input`), of which nothing is read after `BODY_TIME`.

    A read that takes longer raises TimeoutError, after which gunicorn closes the connection.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._ends = time.monotonic() + BODY_TIME

    def _bounded(self) -> Timeout:
        left = self._ends - time.monotonic()
        return Timeout(max(0.001, left), TimeoutError("the body took too long"))

    def read(self, size: int | None = None) -> bytes:
        """Return the next bytes, at most `size`."""
        with self._bounded():
            return self._stream.read(size)  # type: ignore[no-any-return]

    def readline(self, size: int | None = None) -> bytes:
        """Return the next line, at most `size` bytes of it."""
        with self._bounded():
            return self._stream.readline(size)  # type: ignore[no-any-return]

    def readlines(self, size: int | None = None) -> list[bytes]:
        """Return all lines that are left."""
        with self._bounded():
            return self._stream.readlines(size)  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")


class _Quiet:
    """The log of gunicorn while a connection is served: silent, but for an access log.

    Its lines there may hold what the client sent: a path, a header, a part of a body.
    """

    def __init__(self, log: Any) -> None:
        self.access = log.access

    def debug(self, *_: object, **__: object) -> None:
        """Write nothing."""

    info = warning = error = critical = exception = log = debug


class Worker(GeventWorker):  # type: ignore[misc, unused-ignore]
    """A worker whose connections are greenlets: thousands of calls can wait."""

    def __init__(self, *args: Any, **rest: Any) -> None:
        self._clients: dict[Any, socket.socket] = {}
        self._idle: set[socket.socket] = set()
        super().__init__(*args, **rest)

    @property
    def log(self) -> Any:
        """The log for gunicorn's lines: none of those that it writes while serving a client."""
        return self._quiet if getcurrent() in self._clients else self._log

    @log.setter
    def log(self, log: Any) -> None:
        self._log, self._quiet = log, _Quiet(log)

    def load_wsgi(self) -> None:
        """Load the app, and bound the time in which it can read a body."""
        super().load_wsgi()
        app = self.wsgi

        def serve(environ: Any, start: Any) -> Any:
            environ["wsgi.input"] = _Body(environ["wsgi.input"])
            try:
                return app(environ, start)
            except Exception:
                raise
            except BaseException as error:
                if isinstance(error, GreenletExit) and not self.alive:
                    raise  # the worker stops, and has waited long enough
                # gunicorn would leave the caller of some of them without an answer.
                raised = RuntimeError(f"the app raised {type(error).__name__}")
                failed = Outcome.failure(Code.INTERNAL_ERROR)
                facts = result_of(error) or Result(failed, request_id=choose_request_id(environ))
                setattr(raised, RESULT_ATTRIBUTE, facts)
                raise raised from error

        self.wsgi = serve

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        """Serve one connection until it ends."""
        connection = getcurrent()
        self._clients[connection] = client
        try:
            super().handle(listener, client, addr)
        finally:
            del self._clients[connection]

    def handle_request(self, *request: Any) -> Any:
        """Answer one request, after whatever else is due.

        One client that sends requests without waiting would else never give its turn away.
        """
        sleep(0)
        return super().handle_request(*request)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Answer a request that could not be read or served, in place of gunicorn's HTML page."""
        if isinstance(exc, GreenletExit):  # the worker stops, and has waited long enough
            return
        fields = {}
        if isinstance(exc, errors.ConfigurationProblem):
            code = Code.NOT_FOUND  # the path does not begin with the environment's SCRIPT_NAME
        elif isinstance(exc, _OURS):
            code = Code.INTERNAL_ERROR
        elif isinstance(
            exc, (errors.ParseException, OSError)
        ):  # OSError: no TLS where it should be
            code = Code.BAD_REQUEST
            words = (words for kind, words in _WRONG if isinstance(exc, kind))
            fields = {"request": (next(words, "it is not HTTP"),)}
        else:
            code = Code.INTERNAL_ERROR
        refused = Result(Outcome.failure(code, fields=fields), request_id=new_request_id())
        result = result_of(exc) or refused
        facts = describe_call(result)
        if code is Code.INTERNAL_ERROR:
            contact = result.command.contact if result.command else None
            log_exception("internal_error", exc, contact=contact, request_id=facts["request_id"])
        if result is refused:  # nothing is known of a call
            facts = {"code": code.value, "request_id": result.request_id}
        log_event("request", level=logging.WARNING, status=code.http_status, **facts)
        with suppress(OSError):
            _refuse(client, code, result)

    def run(self) -> None:
        """Serve until the worker is told to stop."""
        # Names are looked up in threads, and by default in ten: a name server that hangs would
        # hold the calls of all accounts.
        get_hub().threadpool.maxsize = DNS_THREADS
        super().run()

    def timeout_ctx(self) -> _Wait:  # type: ignore[override, unused-ignore]
        """Return the bounds of the wait for a request."""
        return _Wait(self._clients[getcurrent()], self._idle, self.cfg.keepalive)

    def notify(self) -> None:
        """Say that the worker lives; once it is to stop, let go of whoever asks for nothing."""
        super().notify()
        if not self.alive:
            for client in self._idle:
                with suppress(OSError):
                    # Whatever has arrived is still read: a request that has just come is answered.
                    # gevent's own method would break the wait off, and so that read.
                    client._sock.shutdown(socket.SHUT_RD)  # type: ignore[attr-defined]  # noqa: SLF001


def _refuse(client: socket.socket, code: Code, result: Result) -> None:
    """Send the envelope and end the connection, so that the client gets to read it.

    What a client has sent and nobody has read would make the kernel throw the answer away.
    """
    status, body = HTTPStatus(code.http_status), write_json(result.envelope())
    head = (
        f"HTTP/1.1 {status} {status.phrase}\r\nConnection: close\r\nCache-Control: no-store\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"X-Request-Id: {result.request_id}\r\n\r\n"
    )
    with Timeout(_REFUSAL_TIME, False):  # type: ignore[arg-type]
        client.sendall(head.encode("ascii") + body)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass
