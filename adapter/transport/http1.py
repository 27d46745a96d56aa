"""Read one HTTP/1.1 response from a stream, with h11 (https://h11.readthedocs.io).

h11 parses heads, and the framing of bodies. Here are the limits that it leaves to its caller:
bytes, lines and fields of a head; and the difference between a truncated response, which is a lost
connection, and a malformed one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Protocol

import h11

from adapter.http import Headers
from adapter.settings.model import MAX_BODY
from adapter.transport.attempt import Attempt
from adapter.transport.decoding import BodyDecoder, DecodingError, parse_content_encoding
from adapter.transport.errors import (
    BadResponseError,
    ConnectionLostError,
    ResponseTooLargeError,
    UnusableResponseError,
)

MAX_OVERHEAD: Final = MAX_BODY
"""Most bytes of a response besides its body: interim responses, head, framing and trailers."""

_READ_SIZE = 16 * 1024
_MAX_LINE = 64 * 1024
_MAX_HEADERS = 100

_MAX_CONNECT_BYTES = 16 * 1024

_BLANK_LINE = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] [1-9][0-9]{2}(?: [^\r\n]*)?\r?\n")
_TOO_LONG: Final = 431
"""h11's `error_status_hint` of a line beyond `max_incomplete_event_size`."""


class Source(Protocol):
    """What a response is read from."""

    def read(self, max_bytes: int) -> bytes:
        """Return the next bytes, at most `max_bytes`; empty at the end."""


class RawResponse:
    """A final response with a complete and well-formed head, and its decoded body.

    `is_reusable`: its connection may serve another request.
    """

    __slots__ = ("body", "headers", "is_reusable", "status")

    def __init__(self, status: int, headers: Headers, body: bytes, *, is_reusable: bool) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.is_reusable = is_reusable


def read_response(source: Source, method: str, attempt: Attempt) -> RawResponse:
    """Return the response to a request of that method.

    Raises ConnectionLostError for a truncated response, BadResponseError for a malformed one,
    ResponseTooLargeError beyond the attempt's size limit, UnusableResponseError for a body that
    cannot be decoded, or that is empty without framing, and what `source` and the attempt raise.

    An error status has an empty body instead of an unusable one: the status decides. The body of a
    redirect is not read, since redirects are not followed.
    """
    return _ResponseReader(source, method, attempt).read()


def read_connect_status(source: Source) -> int:
    """Return the status of a proxy's final response to CONNECT, of which only the head is read.

    Raises ConnectionLostError for a truncated head, BadResponseError for a malformed one, and what
    `source` raises.
    """
    reader = _HeadReader(source, "CONNECT", _MAX_CONNECT_BYTES)
    status = reader.read_final_head().status_code
    if reader.unread:
        raise BadResponseError("the proxy sends data before it is asked to")
    return status


class _HeadReader:
    """Reads the heads of one response."""

    __slots__ = ("_bytes_left", "_parser", "_source", "unread")

    def __init__(self, source: Source, method: str, byte_limit: int) -> None:
        self._source = source
        self._parser = _parser_after_request(method)
        self._bytes_left = byte_limit
        self.unread = b""

    def read_final_head(self) -> h11.Response:
        """Return the first head that is not of an interim response."""
        while True:
            head = self._parse_head(self._read_head())
            if isinstance(head, h11.Response):
                return head

    def _read_head(self) -> bytes:
        """Return the bytes up to the next blank line.

        h11 gets complete heads only: it refuses some incomplete ones by their first byte, so that
        its result would depend on the sizes of the reads.
        """
        unread, searched = bytearray(self.unread), 0
        while (blank := _BLANK_LINE.search(unread, searched)) is None:
            _check_incomplete_head(unread)
            searched = max(len(unread) - 2, 0)
            data = self._receive()
            if not data:
                if lines := unread[: unread.rfind(b"\n") + 1]:
                    self._parse_head(bytes(lines) + b"\r\n")  # is the start malformed?
                raise ConnectionLostError("truncated head")
            unread += data
        head, self.unread = bytes(unread[: blank.end()]), bytes(unread[blank.end() :])
        return head

    def _parse_head(self, head: bytes) -> h11.Response | h11.InformationalResponse:
        """Return the head of an interim or a final response; raises BadResponseError."""
        if _STATUS_LINE.match(head) is None:
            raise BadResponseError("malformed status line")
        if head.count(b"\n") > _MAX_HEADERS + 2:
            raise BadResponseError("too many headers")
        if len(head) > _MAX_LINE and max(map(len, head.split(b"\n"))) > _MAX_LINE:
            raise BadResponseError("a line of the head is too long")
        self._parser.receive_data(head)
        try:
            event = self._parser.next_event()
        except h11.RemoteProtocolError as error:
            raise BadResponseError("malformed head") from error
        if not isinstance(event, (h11.Response, h11.InformationalResponse)):
            raise BadResponseError("malformed head")
        return event

    def _receive(self) -> bytes:
        """Return the next bytes of the source; empty at its end."""
        if self._bytes_left <= 0:
            raise BadResponseError("the response exceeds the byte limit")
        data = self._source.read(min(_READ_SIZE, self._bytes_left))
        self._bytes_left -= len(data)
        return data


class _ResponseReader(_HeadReader):
    """Reads one response with its body."""

    __slots__ = ("_attempt",)

    def __init__(self, source: Source, method: str, attempt: Attempt) -> None:
        super().__init__(source, method, attempt.bytes_left + MAX_OVERHEAD)
        self._attempt = attempt

    def read(self) -> RawResponse:
        """Return the response."""
        head = self.read_final_head()
        status = head.status_code
        fields = _join_fields(head)
        length, options = fields.get("content-length"), fields.get("connection", "").lower()
        is_chunked = "transfer-encoding" in fields
        is_kept = "keep-alive" in options if head.http_version == b"1.0" else "close" not in options
        headers = Headers(fields)
        if 300 <= status <= 399:
            return RawResponse(status, headers, b"", is_reusable=False)
        if status == 204:
            # A body that it announces may still arrive, and would be read as the next response.
            is_announced = is_chunked or length not in (None, "0")
            is_reusable = is_kept and not is_announced and not self.unread
            return RawResponse(status, headers, b"", is_reusable=is_reusable)
        try:
            body = self._read_whole_body(status, fields)
        except UnusableResponseError:
            if status < 400:
                raise
            return RawResponse(status, headers, b"", is_reusable=False)
        # With both a length and chunks a proxy on the way may disagree (RFC 9112, 6.3).
        has_one_framing = is_chunked != (length is not None)
        is_reusable = is_kept and has_one_framing and not self._parser.trailing_data[0]
        return RawResponse(status, headers, body, is_reusable=is_reusable)

    def _read_whole_body(self, status: int, fields: dict[str, str]) -> bytes:
        # An empty body may be evidence of a success, and must be known to be complete.
        has_framing = "content-length" in fields or "transfer-encoding" in fields
        encoding = parse_content_encoding(fields.get("content-encoding", ""))
        try:
            decoder = BodyDecoder(encoding) if encoding else None
            body = self._read_decoded(status, fields, decoder)
        except DecodingError:
            raise UnusableResponseError(status) from None
        if not body and not has_framing:
            raise UnusableResponseError(status)
        self._attempt.bytes_left -= len(body)
        return bytes(body)

    def _read_decoded(
        self, status: int, fields: dict[str, str], decoder: BodyDecoder | None
    ) -> bytearray:
        attempt = self._attempt
        limit = attempt.bytes_left if status < 400 else min(attempt.bytes_left, MAX_BODY)
        is_chunked = "transfer-encoding" in fields
        if decoder is None and not is_chunked and int(fields.get("content-length", 0)) > limit:
            raise ResponseTooLargeError(status)
        if self.unread:
            self._parser.receive_data(self.unread)
        body = bytearray()
        while True:
            event = self._next_body_event()
            if event is h11.NEED_DATA:
                self._parser.receive_data(self._receive())
            elif isinstance(event, h11.Data):
                data = bytes(event.data)
                body += data if decoder is None else decoder.feed(data, limit - len(body) + 1)
                if len(body) > limit:
                    raise ResponseTooLargeError(status)
                attempt.reserve_slot(len(body))
            else:
                break
        if decoder is not None:
            decoder.finish()
        return body

    def _next_body_event(self) -> object:
        """Return h11's next event.

        A chunk size that is malformed is often one that was cut off: the connection counts as lost.
        """
        try:
            return self._parser.next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == _TOO_LONG:
                raise BadResponseError("a line of the body's framing is too long") from error
            raise ConnectionLostError("truncated body") from error


def _check_incomplete_head(start: bytearray) -> None:
    """Raise BadResponseError where no continuation makes it a valid head.

    A server of another protocol may send its greeting, and wait.
    """
    if b"\n" in start and _STATUS_LINE.match(start) is None:
        raise BadResponseError("malformed status line")
    if len(start) - (start.rfind(b"\n") + 1) > _MAX_LINE:
        raise BadResponseError("a line of the head is too long")


def _join_fields(head: h11.Response) -> dict[str, str]:
    """Return the fields of a head by lower-case name; repeated fields are joined."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _parser_after_request(method: str) -> h11.Connection:
    """Return a parser of the response to a request of that method, of which h11 needs no more."""
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_LINE)
    parser.send(_request_of(method))
    parser.send(h11.EndOfMessage())
    return parser


@lru_cache(maxsize=32)
def _request_of(method: str) -> h11.Request:
    return h11.Request(method=method, target="/", headers=[("Host", "host")])
