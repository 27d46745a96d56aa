"""Faults of a server: the script that it runs, and the code that each must become."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping

from adapter import Code
from support.faults import BAD, LOST, MISADDRESSED, SHORT_DEADLINE, TIMEOUT, TOO_LARGE, ServerFault
from support.raw_server import Peer, always, http_response, once

WUTS_OK = {"success": True, "data": {"blocked": True}}
WUTS_ERROR = {
    "success": False,
    "error": "text with 404 and 429",
    "timestamp": "2026-06-15T12:00:00Z",
}


def _no_response(peer: Peer) -> None:
    peer.read_request()
    peer.stay_silent()


def _header_drip(peer: Peer) -> None:
    peer.read_request()
    peer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    peer.write_repeatedly(b"z")


def _negative_chunk(peer: Peer) -> None:
    if peer.read_request():
        peer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n")
        peer.stay_silent()


def _body_drip(peer: Peer) -> None:
    peer.read_request()
    peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    peer.write_repeatedly(b" ")


def _endless_continue(peer: Peer) -> None:
    peer.read_request()
    peer.write_repeatedly(b"HTTP/1.1 100 Continue\r\n\r\n")


def _reset(peer: Peer) -> None:
    if peer.read_request():
        peer.reset()


def _close(peer: Peer) -> None:
    peer.read_request()


def _reset_in_body(peer: Peer) -> None:
    if peer.read_request():
        peer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"success": true')
        peer.reset()


def _early_hints(peer: Peer) -> None:
    while peer.read_request():
        peer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" + peer.good)


def _close_while_idle(peer: Peer) -> None:
    if peer.read_request():
        peer.write(peer.good)


def _close_while_sending(peer: Peer) -> None:
    if peer.number > 1:
        always(peer.good)(peer)
    elif peer.read_request():
        peer.write(peer.good)
        peer.read_request()


def _no_response_once_idle(peer: Peer) -> None:
    if peer.read_request():
        peer.write(peer.good)
        if peer.read_request():
            peer.stay_silent()


_UNKNOWN_ENCODING = (
    b"HTTP/1.1 403 X\r\nContent-Encoding: br\r\nContent-Length: 5\r\n\r\n\x0b\x02\x80{}"
)


def _gzipped(peer: Peer) -> None:
    head, _, body = peer.good.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    if body:
        body = gzip.compress(body)
        lines.append(b"Content-Encoding: gzip")
    if b" 204 " not in lines[0]:
        lines.append(b"Content-Length: %d" % len(body))
    always(b"\r\n".join((*lines, b"", body)))(peer)


def _set_cookie(peer: Peer) -> None:
    cookie = b"\r\nSet-Cookie: session=canary; Path=/\r\n"
    always(peer.good.replace(b"\r\n", cookie, 1))(peer)


def _endless_body(peer: Peer) -> None:
    if peer.read_request():
        size = 300 * 1024 * 1024
        peer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // 65536):
            peer.write(b" " * 65536)


def _gzip_bomb(peer: Peer) -> None:
    if peer.read_request():
        bomb = gzip.compress(b" " * 10_000_000)
        peer.write(http_response(200, bomb, "Content-Encoding: gzip\r\n"))


def _no_length(peer: Peer) -> None:
    if peer.read_request():
        peer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(64):
            peer.write(b" " * 65536)


OTHER_JID = "14155552671@s.whatsapp.net"

_INVALID_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot-hex\r\n{}\r\n0\r\n\r\n"
_TWO_LENGTHS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\n" + b'{"success": true}'
)
_HTML = "<!doctype html><title>502</title><h1>404 Not Found, 429 Too Many</h1>"


def _status(status: int, code: Code | Mapping[str, Code | None], attempts: int = 1) -> ServerFault:
    return ServerFault(
        f"{status}, an HTML page",
        always(http_response(status, _HTML, kind="text/html")),
        code,
        attempts,
    )


def _rate_limited(name: str, header: str, attempts: int) -> ServerFault:
    raw = http_response(429, {}, f"Retry-After: {header}\r\n")
    code = Code.PROVIDER_RATE_LIMITED
    return ServerFault(f"429, Retry-After {name}", always(raw), code, attempts)


SERVER_FAULTS = (
    ServerFault("no response", _no_response, TIMEOUT, deadline=SHORT_DEADLINE, needs_deadline=True),
    ServerFault(
        "a header, byte by byte, without end",
        _header_drip,
        TIMEOUT,
        deadline=SHORT_DEADLINE,
        needs_deadline=True,
    ),
    ServerFault(
        "a body, byte by byte, without end",
        _body_drip,
        TIMEOUT,
        deadline=SHORT_DEADLINE,
        needs_deadline=True,
    ),
    ServerFault(
        "100 Continue without end",
        _endless_continue,
        TIMEOUT,
        deadline=SHORT_DEADLINE,
        needs_deadline=True,
    ),
    ServerFault("reset before the response", _reset, LOST, 2),
    ServerFault("close before the response", _close, LOST, 2),
    ServerFault("a status line only", once(b"HTTP/1.1 201 Created\r\n"), LOST, 2),
    ServerFault("half a status line", once(b"HTTP/1.1 20"), LOST, 2),
    ServerFault("a truncated head", once(b"HTTP/1.1 204 No Content\r\nX-Half: o"), LOST, 2),
    ServerFault("an empty 201 without framing", once(b"HTTP/1.1 201 Created\r\n\r\n"), BAD),
    ServerFault(
        "an empty 201 with an invalid Content-Length",
        once(b"HTTP/1.1 201 Created\r\nContent-Length: -5\r\n\r\n"),
        BAD,
    ),
    ServerFault("an invalid header", once(b"HTTP/1.1 204 No Content\r\nno header\r\n\r\n"), BAD),
    ServerFault("103 Early Hints before the response", _early_hints, None, calls=2),
    ServerFault("101 Switching Protocols", once(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), BAD),
    ServerFault("an idle connection, closed", _close_while_idle, None, calls=2, closes=True),
    ServerFault("an idle connection, closed while sending", _close_while_sending, None, 2, calls=2),
    ServerFault(
        "an idle connection without a response",
        _no_response_once_idle,
        TIMEOUT,
        calls=2,
        deadline=SHORT_DEADLINE,
        needs_deadline=True,
    ),
    ServerFault("a cookie, then a second call", _set_cookie, None, calls=2),
    ServerFault("reset within the body", _reset_in_body, LOST, 2),
    ServerFault(
        "body shorter than Content-Length",
        once(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"),
        LOST,
        2,
    ),
    ServerFault("an invalid chunk size", once(_INVALID_CHUNK), LOST, 2),
    ServerFault(
        "a negative chunk size, and no more", _negative_chunk, LOST, 2, needs_deadline=True
    ),
    ServerFault("two Content-Lengths", always(_TWO_LENGTHS), BAD),
    ServerFault(
        "truncated JSON", always(http_response(200, '{"success": true, "data": {"blo')), BAD
    ),
    ServerFault("HTML with 200", always(http_response(200, _HTML, kind="text/html")), BAD),
    ServerFault(
        "wrong content type, right JSON",
        always(http_response(200, WUTS_OK, kind="text/plain")),
        {"wuts": None, "wappfy": None, "*": BAD},
    ),
    ServerFault("an array", always(http_response(200, [1, 2])), BAD),
    ServerFault("a scalar", always(http_response(200, "true")), BAD),
    ServerFault("null", always(http_response(200, "null")), BAD),
    ServerFault("an empty 200", always(http_response(200)), BAD),
    ServerFault(
        "duplicate keys",
        always(http_response(200, '{"success":false,"success":true,"data":{"blocked":true}}')),
        BAD,
    ),
    ServerFault(
        "NaN",
        always(http_response(200, '{"success":true,"data":{"blocked":true,"count":NaN}}')),
        BAD,
    ),
    ServerFault("deep nesting", always(http_response(200, "[" * 100_000)), BAD),
    ServerFault(
        "a huge integer",
        always(
            http_response(200, '{"success":true,"data":{"blocked":true,"count":%s}}' % ("9" * 5000))
        ),
        BAD,
    ),
    ServerFault(
        "a byte order mark",
        always(http_response(200, b"\xef\xbb\xbf" + json.dumps(WUTS_OK).encode())),
        {"session-gateway": BAD, "*": None},
    ),
    ServerFault("UTF-16", always(http_response(200, json.dumps(WUTS_OK).encode("utf-16"))), BAD),
    ServerFault("gzip although identity was requested", _gzipped, None, calls=2),
    ServerFault("gzip bomb", _gzip_bomb, BAD),
    ServerFault("300 MB body", _endless_body, TOO_LARGE),
    ServerFault("4 MB body without a length", _no_length, TOO_LARGE),
    ServerFault("an invalid status line", once(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), BAD),
    ServerFault("a status of six digits", once(b"HTTP/1.1 999999 What\r\n\r\n"), BAD),
    ServerFault(
        "200 headers",
        once(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"\r\n"),
        BAD,
    ),
    ServerFault(
        "a header of 100 kB", once(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"), BAD
    ),
    ServerFault(
        "204 with a body",
        once(b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}"),
        {"session-gateway": None, "*": BAD},
    ),
    ServerFault(
        "200 with success: false",
        always(http_response(200, WUTS_ERROR)),
        {"session-gateway": BAD, "*": Code.PROVIDER_ERROR},
    ),
    ServerFault(
        "200 with success and an error",
        always(http_response(200, {**WUTS_OK, "error": "x"})),
        BAD,
    ),
    ServerFault(
        "400 with the requested state",
        always(http_response(400, {**WUTS_ERROR, "data": {"blocked": True}})),
        BAD,
    ),
    ServerFault(
        "the state of another contact",
        always(http_response(200, {"success": True, "data": {"blocked": True, "jid": OTHER_JID}})),
        {"wappfy": None, "*": BAD},
    ),
    ServerFault(
        "another state than requested",
        always(http_response(200, {"success": True, "data": {"blocked": False}})),
        {"wappfy": None, "*": BAD},
    ),
    *(_status(status, MISADDRESSED) for status in (400, 401, 402, 403, 404)),
    ServerFault("403, an empty body", always(http_response(403)), MISADDRESSED),
    ServerFault("403, an unknown encoding", always(_UNKNOWN_ENCODING), MISADDRESSED),
    ServerFault("403 of 300 kB", always(http_response(403, b"x" * 300_000)), MISADDRESSED),
    ServerFault(
        "503 of 300 kB", always(http_response(503, b"x" * 300_000)), Code.PROVIDER_UNAVAILABLE, 2
    ),
    ServerFault(
        "404, JSON of another server",
        always(http_response(404, {"detail": "Not Found"})),
        MISADDRESSED,
    ),
    ServerFault(
        '404, the server\'s own "no such route"',
        always(http_response(404, {"message": "Cannot POST /x", "error": "x", "statusCode": 404})),
        MISADDRESSED,
    ),
    ServerFault(
        "404 in the envelope of WUTS",
        always(http_response(404, WUTS_ERROR)),
        {"wuts": Code.SESSION_NOT_FOUND, "*": MISADDRESSED},
    ),
    ServerFault(
        "404 with the gateway's code",
        always(
            http_response(404, {"error": {"code": "not_found", "message": "no", "details": {}}})
        ),
        {"session-gateway": Code.SESSION_NOT_FOUND, "*": MISADDRESSED},
    ),
    _status(405, MISADDRESSED),
    _status(408, TIMEOUT),
    *(_status(status, MISADDRESSED) for status in (409, 410, 413, 418, 422, 426, 431, 451, 499)),
    _rate_limited("0", "0", 2),
    _rate_limited("1", "1", 2),
    _rate_limited("3", "3", 1),
    _rate_limited("3600", "3600", 1),
    _rate_limited("a day", "86400", 1),
    _rate_limited("a date", "Wed, 21 Oct 2037 07:28:00 GMT", 1),
    _rate_limited("junk", "soon", 1),
    _status(500, Code.PROVIDER_ERROR),
    _status(501, MISADDRESSED),
    ServerFault(
        "501 with the gateway's code",
        always(
            http_response(
                501, {"error": {"code": "not_implemented", "message": "x", "details": {}}}
            )
        ),
        {"session-gateway": Code.SESSION_NOT_CONNECTED, "*": MISADDRESSED},
    ),
    _status(502, Code.PROVIDER_ERROR, 2),
    _status(503, Code.PROVIDER_UNAVAILABLE, 2),
    ServerFault(
        "503 with DEVICE_NOT_READY",
        always(
            http_response(503, {"success": False, "error": "x", "error_code": "DEVICE_NOT_READY"})
        ),
        {"wuts": Code.SESSION_NOT_CONNECTED, "*": Code.PROVIDER_UNAVAILABLE},
        {"wuts": 1, "*": 2},
    ),
    _status(504, TIMEOUT),
)
