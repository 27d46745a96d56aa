"""Canaries: one test per undocumented attribute of gunicorn and gevent that the server uses.

Each fails when a release removes the attribute or changes its meaning. The clients below are real
sockets; gunicorn's worker serves them in this process, on gevent's own sockets.
"""

from __future__ import annotations

import _socket
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import gevent
import pytest
from gevent import get_hub, getcurrent, socket
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.http import errors, message
from gunicorn.http2 import negotiation
from gunicorn.workers.base import Worker as BaseWorker
from gunicorn.workers.ggevent import GeventWorker
from support import TIMEOUT, call
from support.serving import ENVIRONMENT, parse_response, send_bytes, serve

from adapter.server import worker as worker_module
from adapter.server.worker import Worker

REQUEST = b"GET /path HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST_REQUEST = b"GET /path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class RecordingLog:
    """A logger of gunicorn that records the names of the methods called."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: self.called.append(name)


class App:
    """The part of gunicorn's application that a worker uses."""

    def wsgi(self) -> Any:
        def respond(_environ: Any, start: Any) -> list[bytes]:
            start("200 OK", [("Content-Length", "2")])
            return [b"ok"]

        return respond


def config(**settings: Any) -> Config:
    made = Config()
    for name, value in settings.items():
        made.set(name, value)
    return made


def make_worker(
    kind: type[GeventWorker] = Worker, sockets: list[Any] | None = None, **settings: Any
) -> Any:
    app: Any = App()
    log: Any = RecordingLog()
    made = kind(0, os.getppid(), sockets or [], app, 30, config(**settings), log)
    made.load_wsgi()
    _workers.append(made)
    return made


_workers: list[Any] = []


@pytest.fixture(autouse=True)
def _close_workers() -> Iterator[None]:
    yield
    while _workers:
        _workers.pop().tmp.close()


@contextmanager
def connection() -> Iterator[tuple[Any, Any, Any]]:
    """Give a listener, the server's side of a connection, and the client's side."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = socket.create_connection(listener.getsockname(), TIMEOUT)
        served, _ = listener.accept()
        with client, served:
            yield listener, served, client


def handle(worker: Any, *sent: bytes) -> bytes:
    """Let the worker handle one connection; return all bytes that the client receives."""
    with connection() as (listener, served, client):
        serving = gevent.spawn(worker.handle, listener, served, ("127.0.0.1", 1))
        for part in sent:
            client.sendall(part)
        received = b""
        with gevent.Timeout(TIMEOUT):
            while chunk := client.recv(65536):
                received += chunk
            serving.get()
    return received


# gunicorn's worker


def test_gunicorn_worker_handle_serves_one_connection_in_its_own_greenlet() -> None:
    greenlets = []

    class Recording(Worker):
        def handle_request(self, *request: Any) -> Any:
            greenlets.append((getcurrent(), len(self._clients)))
            return super().handle_request(*request)

    worker = make_worker(Recording)
    assert handle(worker, REQUEST, LAST_REQUEST).count(b"HTTP/1.1 200 OK") == 2
    assert len({greenlet for greenlet, _ in greenlets}) == 1
    assert greenlets[0][0] is not getcurrent()
    assert [clients for _, clients in greenlets] == [1, 1]
    assert worker._clients == {}


def test_gunicorn_worker_handle_request_is_called_for_each_request() -> None:
    requests = []

    class Recording(Worker):
        def handle_request(self, *request: Any) -> Any:
            requests.append(request[1].uri)
            return super().handle_request(*request)

    handle(make_worker(Recording), REQUEST, REQUEST, LAST_REQUEST)
    assert requests == ["/path"] * 3


def test_gunicorn_worker_handle_request_lets_other_greenlets_run_first() -> None:
    order: list[str] = []

    class Recording(GeventWorker):
        def handle_request(self, *_: Any) -> Any:
            order.append("request")

    class Ours(Worker, Recording):
        pass

    worker = make_worker(Ours)
    gevent.spawn(order.append, "other greenlet")
    worker.handle_request(None, None, None, None)
    assert order == ["other greenlet", "request"]


def test_gunicorn_worker_timeout_ctx_is_entered_before_each_request() -> None:
    timeouts = []

    class Recording(Worker):
        def timeout_ctx(self) -> Any:
            timeout = super().timeout_ctx()
            timeouts.append((timeout.seconds, timeout._client.gettimeout()))
            return timeout

    handle(make_worker(Recording, keepalive=7), REQUEST, LAST_REQUEST)
    # gunicorn's `handle` makes the socket blocking: that is how the first head is recognized.
    assert timeouts == [(worker_module.READ_TIMEOUT, None), (7, worker_module.READ_TIMEOUT)]


def test_gunicorn_worker_timeout_ctx_ends_the_connection_at_the_read_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_module, "READ_TIMEOUT", 0.05)
    assert handle(make_worker(), b"GET /path HTTP/1.1\r\n") == b""


@pytest.mark.slow
def test_gunicorn_worker_timeout_ctx_ends_an_idle_connection_at_the_keepalive_timeout() -> None:
    received = handle(make_worker(keepalive=1), REQUEST)
    assert received.count(b"HTTP/1.1 200 OK") == 1


@pytest.mark.slow
def test_gunicorn_worker_handle_error_is_called_with_the_parse_error() -> None:
    arguments = BaseWorker.handle_error.__code__.co_varnames[:5]
    assert arguments == ("self", "req", "client", "addr", "exc")
    seen = []

    class Recording(Worker):
        def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
            seen.append(type(exc))
            super().handle_error(req, client, addr, exc)

    status, _, _ = parse_response(handle(make_worker(Recording), b"GET / HTTP/9.9\r\n\r\n"))
    assert (status, seen) == (400, [errors.InvalidHTTPVersion])


@pytest.mark.parametrize(("grace", "status_line"), [(TIMEOUT, b"HTTP/1.1 200 OK"), (0, b"")])
def test_gunicorn_worker_that_stops_waits_for_the_first_request_of_a_new_connection(
    monkeypatch: pytest.MonkeyPatch, grace: float, status_line: bytes
) -> None:
    monkeypatch.setattr(worker_module, "_FIRST_REQUEST_GRACE", grace)
    worker = make_worker()
    with connection() as (listener, served, client):
        serving = gevent.spawn(worker.handle, listener, served, ("127.0.0.1", 1))
        while not worker._idle:
            gevent.sleep(0)
        worker.alive = False
        worker.notify()
        with gevent.Timeout(TIMEOUT):
            if grace:
                client.sendall(LAST_REQUEST)
            received = client.recv(65536)
            serving.get()
    assert received.partition(b"\r\n")[0] == status_line


def test_gunicorn_worker_load_wsgi_sets_the_attribute_wsgi_from_the_application() -> None:
    worker = make_worker(GeventWorker)
    assert list(worker.wsgi({}, lambda *_: None)) == [b"ok"]


def test_gunicorn_worker_log_is_the_attribute_that_its_code_logs_with() -> None:
    """With gunicorn's own `handle_error`, the parse error would be in the log."""

    class Loud(Worker):
        handle_error = GeventWorker.handle_error

    loud = make_worker(GeventWorker)
    handle(loud, b"GET / HTTP/9.9\r\n\r\n")
    assert loud.log.called == ["warning"]
    worker = make_worker(Loud)
    log = worker.log
    assert isinstance(log, RecordingLog)
    handle(worker, b"GET / HTTP/9.9\r\n\r\n", b"")
    assert log.called == []
    handle(worker, LAST_REQUEST)
    assert log.called == ["access"]


def test_gunicorn_log_lines_about_a_client_are_written_in_the_greenlet_of_its_connection() -> None:
    """The filter is by greenlet, so that it does not depend on gunicorn's texts."""
    greenlets = []

    class Log(RecordingLog):
        def warning(self, *_: Any, **__: Any) -> None:
            greenlets.append(getcurrent())

    worker = make_worker(GeventWorker)
    worker.log = Log()
    with connection() as (listener, served, client):
        serving = gevent.spawn(worker.handle, listener, served, ("127.0.0.1", 1))
        client.sendall(b"GET / HTTP/9.9\r\n\r\n")
        serving.join(TIMEOUT)
    assert greenlets == [serving]


@pytest.mark.slow
def test_gunicorn_worker_run_serves_its_sockets_with_handle_and_stops_when_not_alive() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = listener.getsockname()
        worker = make_worker(sockets=[listener])
        running = gevent.spawn(worker.run)
        with socket.create_connection(address, TIMEOUT) as client:
            client.sendall(LAST_REQUEST)
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
        worker.alive = False
        running.get(timeout=TIMEOUT)


@pytest.mark.slow
def test_gunicorn_worker_notify_is_called_while_serving_and_while_stopping() -> None:
    calls = []

    class Recording(Worker):
        def notify(self) -> None:
            calls.append(self.alive)
            super().notify()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        worker = make_worker(Recording, sockets=[listener])
        running = gevent.spawn(worker.run)
        with socket.create_connection(listener.getsockname(), TIMEOUT) as idle:
            idle.sendall(REQUEST)
            assert idle.recv(65536).startswith(b"HTTP/1.1 200 OK")
            worker.alive = False
            running.get(timeout=TIMEOUT)  # graceful_timeout is 30 s: `notify` closes the idle one
            assert idle.recv(1) == b""
    assert calls[0] is True
    assert False in calls


def test_gunicorn_errors_are_parse_exceptions_or_os_errors() -> None:
    kinds = {
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, Exception)
    }
    assert issubclass(errors.NoMoreData, OSError)
    assert issubclass(errors.ConfigurationProblem, errors.ParseException)
    assert all(issubclass(each, (errors.ParseException, OSError)) for each in kinds)


@pytest.mark.parametrize("kind", [kind for kind, _ in worker_module._PARSE_ERRORS])
def test_gunicorn_errors_that_have_a_message_of_ours_are_parse_exceptions(
    kind: type[Exception],
) -> None:
    assert issubclass(kind, errors.ParseException)


@pytest.mark.slow
@pytest.mark.parametrize("kind", worker_module._APP_ERRORS)
def test_gunicorn_errors_of_response_headers_are_raised_for_the_app(kind: type[Exception]) -> None:
    name = "a b" if kind.__name__ == "InvalidResponseHeaderName" else "X"

    class BadApp(App):
        def wsgi(self) -> Any:
            def respond(_environ: Any, start: Any) -> list[bytes]:
                start("200 OK", [(name, "a\nb")])
                return [b""]

            return respond

    seen = []

    class Recording(Worker):
        def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
            seen.append(type(exc))
            super().handle_error(req, client, addr, exc)

    worker = make_worker(Recording)
    worker.app = BadApp()
    worker.load_wsgi()
    status, _, _ = parse_response(handle(worker, LAST_REQUEST))
    assert (status, seen) == (500, [kind])


APPS: dict[str, Callable[[Any, Any], Any]] = {}


def app_of(app: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    APPS[app.__name__] = app
    return app


@app_of
def with_a_length(_environ: Any, start: Any) -> Any:
    start("200 OK", [("Content-Length", "4")])
    return [b"", b"ab", b"cd"]


@app_of
def without_a_body(_environ: Any, start: Any) -> Any:
    start("204 No Content", [])
    return []


@app_of
def chunked(_environ: Any, start: Any) -> Any:
    start("200 OK", [])
    yield b"ab"
    yield b"cd" * 100_000


@app_of
def long_first_part(_environ: Any, start: Any) -> Any:
    start("200 OK", [("Content-Length", "200000")])
    return [b"x" * 200_000]


@app_of
def by_the_write_function(_environ: Any, start: Any) -> Any:
    write = start("200 OK", [("Content-Length", "4")])
    write(b"ab")
    write(b"cd")
    return []


@app_of
def a_file(environ: Any, start: Any) -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - gunicorn closes it
    file.write(b"content" * 1000)
    file.seek(0)
    start("200 OK", [("Content-Length", "7000")])
    return environ["wsgi.file_wrapper"](file)


@app_of
def early_hints(environ: Any, start: Any) -> Any:
    environ["wsgi.early_hints"]([("Link", "</style.css>; rel=preload")])
    start("200 OK", [("Content-Length", "2")])
    return [b"ok"]


@app_of
def breaking_off(_environ: Any, start: Any) -> Any:
    start("200 OK", [("Content-Length", "4")])
    yield b"ab"
    raise RuntimeError


@app_of
def breaking_off_after_the_head(_environ: Any, start: Any) -> Any:
    start("200 OK", [("Content-Length", "4")])
    yield b""
    raise RuntimeError


@pytest.mark.parametrize("request_line", ["GET / HTTP/1.1", "HEAD / HTTP/1.1", "GET / HTTP/1.0"])
@pytest.mark.parametrize("name", APPS)
def test_gunicorn_response_is_the_same_with_joined_writes(name: str, request_line: str) -> None:
    class TheApp(App):
        def wsgi(self) -> Any:
            return APPS[name]

    def bytes_of(kind: type[GeventWorker]) -> bytes:
        worker = make_worker(kind)
        worker.app = TheApp()
        worker.load_wsgi()
        head = f"{request_line}\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        return re.sub(rb"Date: [^\r]+", b"", handle(worker, head.encode()))

    assert bytes_of(Worker) == bytes_of(GeventWorker) != b""


def test_gunicorn_response_is_written_by_sendall_the_head_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[bytes] = []
    original = socket.socket.sendall

    def sendall(client: Any, data: Any, *rest: Any) -> Any:
        sent.append(bytes(data))
        return original(client, data, *rest)

    monkeypatch.setattr(socket.socket, "sendall", sendall)
    handle(make_worker(GeventWorker), LAST_REQUEST)
    request, head, body = sent
    assert (request, body) == (LAST_REQUEST, b"ok")
    sent.clear()
    handle(make_worker(), LAST_REQUEST)
    assert [len(each) for each in sent] == [len(LAST_REQUEST), len(head + body)]


class FakeSocket:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def sendall(self, data: bytes) -> None:
        self.calls.append(data)

    def shutdown(self, how: int) -> None:
        self.calls.append(how)


def test_gunicorn_socket_of_a_response_sends_in_order() -> None:
    client = FakeSocket()
    joined: Any = worker_module._JoinedWrites(client)  # type: ignore[arg-type]
    joined.sendall(b"head")
    assert client.calls == []
    joined.sendall(b"first")
    joined.sendall(b"second")
    joined.flush()
    assert client.calls == [b"headfirst", b"second"]


@pytest.mark.parametrize("then", [[b"x" * 65_537], [socket.SHUT_WR]])
def test_gunicorn_socket_of_a_response_sends_the_head_before_anything_else(then: list[Any]) -> None:
    client = FakeSocket()
    joined: Any = worker_module._JoinedWrites(client)  # type: ignore[arg-type]
    joined.sendall(b"head")
    for each in then:
        if isinstance(each, bytes):
            joined.sendall(each)
        else:
            joined.shutdown(each)
    joined.flush()
    assert client.calls == [b"head", *then]


# gunicorn's configuration


def test_gunicorn_configuration_read_once_has_the_same_values() -> None:
    cfg = config(workers=3, keepalive=7, forwarded_allow_ips="10.0.0.0/8,127.0.0.1")
    before = {name: getattr(cfg, name) for name in cfg.settings}
    networks = cfg.forwarded_allow_networks()
    worker_module.read_once(cfg)
    assert {name: getattr(cfg, name) for name in cfg.settings} == before
    assert cfg.forwarded_allow_networks() == networks
    with pytest.raises(AttributeError):
        cfg.no_such_setting  # noqa: B018


def test_gunicorn_configuration_read_once_is_looked_up_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookups: list[str] = []
    original = Config.__getattr__

    def record(cfg: Config, name: str) -> Any:
        lookups.append(name)
        return original(cfg, name)

    worker = make_worker()
    monkeypatch.setattr(Config, "__getattr__", record)
    handle(worker, LAST_REQUEST)
    assert len(lookups) > 20
    worker_module.read_once(worker.cfg)
    lookups.clear()
    assert handle(worker, LAST_REQUEST).startswith(b"HTTP/1.1 200 OK")
    assert [name for name in lookups if name in worker.cfg.settings] == []


def test_gunicorn_worker_init_process_is_called_in_the_worker_and_reads_the_configuration_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[Any] = []
    monkeypatch.setattr(GeventWorker, "init_process", lambda worker: read.append(vars(worker.cfg)))
    worker = make_worker(workers=3)
    assert "workers" not in vars(worker.cfg)  # the master makes the worker
    worker.init_process()
    assert read[0]["workers"] == 3
    assert "init_process" in Arbiter.spawn_worker.__code__.co_names


@pytest.mark.parametrize("setting", ["auto", "fast", "python"])
def test_gunicorn_parser_is_the_one_in_python_whatever_is_installed(
    setting: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    parsed: list[bytes] = []

    def parse_request(data: bytes, **_: Any) -> Any:
        parsed.append(data)
        raise RuntimeError

    package: Any = ModuleType("gunicorn_h1c")
    for name in (
        *("LimitRequestLine", "LimitRequestHeaders", "IncompleteError", "ParseError"),
        *("InvalidRequestMethod", "InvalidHTTPVersion", "InvalidHeaderName", "InvalidHeader"),
    ):
        setattr(package, name, type(name, (Exception,), {}))
    package.parse_request = parse_request
    monkeypatch.setitem(sys.modules, "gunicorn_h1c", package)
    monkeypatch.setattr(message, "_fast_parser_available", None)
    monkeypatch.setattr(message, "_fast_parser_module", None)
    worker = make_worker(http_parser=setting)
    assert worker.cfg.http_parser == "python"
    assert handle(worker, LAST_REQUEST).startswith(b"HTTP/1.1 200 OK")
    assert parsed == []
    warning = ["gunicorn's fast parser is not supported; remove http_parser"]
    assert caplog.messages == (warning if setting == "fast" else [])
    if setting == "auto":  # gunicorn's own worker would have used the package
        handle(make_worker(GeventWorker), LAST_REQUEST)
        assert parsed == [LAST_REQUEST]


# gunicorn and HTTP/2


@pytest.mark.parametrize("cleartext", ["prior-knowledge", "upgrade", "both", "off"])
def test_gunicorn_http2_is_disabled_by_the_worker_whatever_is_configured(
    cleartext: str, caplog: pytest.LogCaptureFixture
) -> None:
    peer = ("127.0.0.1", 1)
    settings: dict[str, Any] = {"http_protocols": "h2,h1", "http2_cleartext": cleartext}
    enabled = config(**settings)
    allowed = [negotiation.prior_knowledge_allowed, negotiation.upgrade_allowed]
    assert any(each(enabled, peer) for each in allowed) == (cleartext != "off")
    worker = make_worker(**settings)
    assert not any(each(worker.cfg, peer) for each in allowed)
    assert worker.cfg.http_protocols == ["h1"]  # also the list for TLS, in ALPN
    assert caplog.messages == [
        "HTTP/2 is not supported; remove h2 from gunicorn's http_protocols",
    ]


def test_gunicorn_http2_disabled_by_default_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert make_worker().cfg.http_protocols == ["h1"]
    assert caplog.messages == []


@pytest.mark.slow
def test_gunicorn_http2_cannot_be_enabled_for_the_server() -> None:
    env = {**ENVIRONMENT, "GUNICORN_CMD_ARGS": "--http-protocols=h2,h1 --http2-cleartext=both"}
    with serve(env=env) as served:
        preface = send_bytes(served.address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert parse_response(preface)[0] == 400
        upgrade = {"Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__", "Connection": "Upgrade"}
        assert call(served.address, "GET", "/livez", headers=upgrade).status == 200


# gevent


def test_gevent_socket_private_sock_shutdown_keeps_unread_data() -> None:
    with connection() as (_, served, client):
        assert isinstance(served._sock, _socket.socket)
        reading = gevent.spawn(lambda: [served.recv(65536), served.recv(65536)])
        gevent.sleep(0)  # it waits for data now
        client.sendall(REQUEST)
        served._sock.shutdown(socket.SHUT_RD)
        assert reading.get(timeout=TIMEOUT) == [REQUEST, b""]


def test_gevent_socket_private_sock_shutdown_ends_a_pending_read() -> None:
    with connection() as (_, served, _client):
        reading = gevent.spawn(served.recv, 1)
        gevent.sleep(0)
        served._sock.shutdown(socket.SHUT_RD)
        assert reading.get(timeout=TIMEOUT) == b""


def test_gevent_hub_threadpool_maxsize_is_the_number_of_simultaneous_dns_lookups() -> None:
    pool = get_hub().threadpool
    original = pool.maxsize
    many = original + 10
    together = threading.Barrier(many)
    pool.maxsize = many
    try:
        lookups = [pool.spawn(together.wait, TIMEOUT) for _ in range(many)]
        positions = [each.get(timeout=TIMEOUT) for each in lookups]
        assert len(positions) == many
        assert set(positions) == set(range(many))
    finally:
        pool.maxsize = original


def test_gevent_hub_threadpool_maxsize_is_set_by_the_worker() -> None:
    pool = get_hub().threadpool
    original = pool.maxsize
    worker = make_worker()
    worker.alive = False
    try:
        worker.run()
        assert pool.maxsize == worker_module.DNS_THREADS
    finally:
        pool.maxsize = original
