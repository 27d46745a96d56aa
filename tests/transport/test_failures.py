"""Failures between this process and a provider: connect, timeout, lost connection, TLS."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from support import free_port, wait_until
from support.certificates import Authority
from support.raw_server import Peer, RawServer, Script, http_response, once
from support.transports import POST, open_transport, send_failing, send_ok

from adapter import Applied, Code, Outcome
from adapter.transport.attempt import Attempt

SHORT: dict[str, Any] = {"deadline": 0.2, "connect_timeout": 0.2}
HEAD = b"HTTP/1.1 200 OK\r\n"
NO_CONTENT = once(http_response(204))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


# --- connect


def test_a_refused_connection_is_unreachable_and_not_applied() -> None:
    outcome = send_failing(f"http://127.0.0.1:{free_port()}")
    assert outcome.code is Code.PROVIDER_UNREACHABLE
    assert outcome.applied is Applied.NOT_APPLIED


@pytest.mark.parametrize(
    "host",
    [
        "no-such-host.invalid",
        pytest.param("a" * 64 + ".invalid", id="a label too long for DNS"),
        pytest.param("a..invalid", id="an empty label"),
    ],
)
def test_an_unknown_host_name_is_unreachable(host: str) -> None:
    assert send_failing(f"http://{host}").code is Code.PROVIDER_UNREACHABLE


def test_a_dns_lookup_that_outlasts_the_deadline_is_unreachable_and_not_applied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    getaddrinfo = socket.getaddrinfo
    attempt = Attempt(time.monotonic() + 0.1)

    def slow(*args: Any, **options: Any) -> Any:
        wait_until(lambda: time.monotonic() > attempt.deadline, "the deadline")
        return getaddrinfo(*args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with (
        RawServer(NO_CONTENT) as server,
        open_transport(f"http://localhost:{server.port}") as transport,
    ):
        outcome = transport.send(POST, "r-1", attempt)
        assert isinstance(outcome, Outcome)
        assert (outcome.code, outcome.applied) == (
            Code.PROVIDER_UNREACHABLE,
            Applied.NOT_APPLIED,
        )
        assert server.requests == []


# --- timeout and deadline


def test_a_timeout_without_a_response_is_unknown() -> None:
    with RawServer(Peer.stay_silent) as server:
        outcome = send_failing(server.address, **SHORT)
    assert outcome.code is Code.PROVIDER_TIMEOUT
    assert outcome.applied is Applied.UNKNOWN


def test_a_timeout_within_the_body() -> None:
    def stall(peer: Peer) -> None:
        peer.read_request()
        peer.write(HEAD + b"Content-Length: 10\r\n\r\n{")
        peer.stay_silent()

    with RawServer(stall) as server:
        outcome = send_failing(server.address, **SHORT)
    assert outcome.code is Code.PROVIDER_TIMEOUT


@pytest.mark.parametrize(
    ("sent", "code", "applied"),
    [
        pytest.param(False, Code.OVERLOADED, Applied.NOT_APPLIED, id="nothing was sent"),
        pytest.param(True, Code.PROVIDER_TIMEOUT, Applied.UNKNOWN, id="a page was requested"),
    ],
)
def test_after_the_deadline_nothing_is_sent_and_the_health_is_unknown(
    sent: bool, code: Code, applied: Applied
) -> None:
    with RawServer(NO_CONTENT) as server, open_transport(server.address) as transport:
        attempt = Attempt(time.monotonic())
        attempt.sent = sent
        outcome = transport.send(POST, "r-1", attempt)
        assert isinstance(outcome, Outcome)
        assert (outcome.code, outcome.applied) == (code, applied)
        assert attempt.health_unknown
        assert server.requests == []


# --- lost connection


def reset(peer: Peer) -> None:
    if peer.read_request():
        peer.reset()


def reset_in_the_body(peer: Peer) -> None:
    if peer.read_request():
        peer.write(HEAD + b"Content-Length: 100\r\n\r\n{")
        peer.reset()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(reset, id="reset before the response"),
        pytest.param(reset_in_the_body, id="reset within the response"),
        pytest.param(once(b""), id="closed before the response"),
        pytest.param(once(HEAD + b"Content-Length: 10\r\n\r\n{}"), id="body too short"),
        pytest.param(once(HEAD + b"Content-Length: 10\r\n\r\n"), id="body missing"),
        pytest.param(
            once(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}"), id="chunk too short"
        ),
    ],
)
def test_a_lost_connection_is_unknown(script: Script) -> None:
    with RawServer(script) as server:
        outcome = send_failing(server.address)
        assert server.request_count == 1
    assert outcome.code is Code.PROVIDER_CONNECTION_LOST
    assert outcome.applied is Applied.UNKNOWN


# --- TLS


def test_a_certificate_of_the_configured_authority_is_trusted(authority: Authority) -> None:
    with RawServer(NO_CONTENT, context=authority.server_context()) as server:
        send_ok(server.address, ca_file=str(authority.file))
        assert server.request_count == 1


def test_an_untrusted_certificate_is_refused_whatever_the_environment_names(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(authority.file))
    with RawServer(NO_CONTENT, context=authority.server_context()) as server:
        outcome = send_failing(server.address)
        assert server.requests == []
    assert outcome.code is Code.PROVIDER_TLS_ERROR
    assert outcome.applied is Applied.NOT_APPLIED


def test_a_certificate_of_another_host_is_refused(authority: Authority) -> None:
    with RawServer(NO_CONTENT, context=authority.server_context("other.example")) as server:
        outcome = send_failing(server.address, ca_file=str(authority.file))
        assert server.requests == []
    assert outcome.code is Code.PROVIDER_TLS_ERROR
    assert outcome.applied is Applied.NOT_APPLIED


def test_https_to_a_plain_port_is_a_tls_error() -> None:
    def respond_without_tls(peer: Peer) -> None:
        peer.read_some()
        peer.write(http_response(400))
        peer.read_some()

    with RawServer(respond_without_tls) as server:
        outcome = send_failing(f"https://127.0.0.1:{server.port}")
    assert outcome.code is Code.PROVIDER_TLS_ERROR
    assert outcome.applied is Applied.NOT_APPLIED


def test_a_corrupt_tls_record_after_the_request_is_unknown(authority: Authority) -> None:
    def corrupt(peer: Peer) -> None:
        peer.read_request()
        with peer.detach_from_tls() as plain:
            plain.sendall(b"not a TLS record" * 10)

    with RawServer(corrupt, context=authority.server_context()) as server:
        outcome = send_failing(server.address, ca_file=str(authority.file))
        assert server.request_count == 1
    assert outcome.applied is Applied.UNKNOWN


def test_the_certificates_of_two_authorities_are_kept_apart(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path)
    with RawServer(NO_CONTENT, context=other.server_context()) as server:
        outcome = send_failing(server.address, ca_file=str(authority.file))
        assert outcome.code is Code.PROVIDER_TLS_ERROR
        send_ok(server.address, ca_file=str(other.file))
