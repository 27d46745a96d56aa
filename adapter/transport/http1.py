"""Read one HTTP/1.1 response, with h11 (https://h11.readthedocs.io).

h11 parses heads and the framing of bodies. Added here are the limits that it leaves to its caller,
and the difference between a truncated response, which is a lost connection, and a malformed one.
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
from adapter.transport.plain_response import parse_plain_head

MAX_OVERHEAD: Final = MAX_BODY
"""Most bytes of a response besides its body: interim responses, head, framing and trailers."""

_READ_SIZE = 16 * 1024
_MAX_LINE = 64 * 1024
_MAX_HEADERS = 100
_MAX_CONNECT_BYTES = 16 * 1024

_BLANK_LINE = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] [1-9][0-9]{2}(?: [^\r\n]*)?\r?\n")

_LINE_TOO_LONG: Final = 431
"""h11's `error_status_hint` of a line beyond `max_incomplete_event_size`."""


class Source(Protocol):
    """What a response is read from."""

    def read(self, max_bytes: int, /) -> bytes:
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
    limited = _LimitedSource(source, attempt.bytes_left + MAX_OVERHEAD)
    data = limited.receive()
    head = parse_plain_head(data) if method != "HEAD" else None
    if head is not None:
        if head.end is not None and head.end <= _READ_SIZE:
            while len(data) < head.end and (more := limited.receive()):
                data += more
        body = head.body_of(data)
        if body is not None and len(body) <= attempt.bytes_left:
            attempt.reserve_slot(len(body))
            attempt.bytes_left -= len(body)
            return RawResponse(head.status, Headers(head.fields), body, is_reusable=head.is_kept)
    return ResponseReader(limited, method, attempt, data).read()


def read_connect_status(source: Source) -> int:
    """Return the status of a proxy's final response to CONNECT, of which only the head is read.

    Raises ConnectionLostError for a truncated head, BadResponseError for a malformed one, and what
    `source` raises.
    """
    reader = _HeadReader(_LimitedSource(source, _MAX_CONNECT_BYTES), "CONNECT")
    status = reader.read_final_head().status_code
    if reader.unread:
        raise BadResponseError("the proxy sends data before the request")
    return status


class _LimitedSource:
    """A source of at most so many bytes."""

    __slots__ = ("_bytes_left", "_source")

    def __init__(self, source: Source, limit: int) -> None:
        self._source = source
        self._bytes_left = limit

    def receive(self) -> bytes:
        """Return the next bytes; empty at the end. Raises BadResponseError beyond the limit."""
        if self._bytes_left <= 0:
            raise BadResponseError("the response exceeds the byte limit")
        data = self._source.read(min(_READ_SIZE, self._bytes_left))
        self._bytes_left -= len(data)
        return data


class _HeadReader:
    """Reads the heads of one response, of which some bytes may have been received."""

    __slots__ = ("_parser", "_source", "unread")

    def __init__(self, source: _LimitedSource, method: str, received: bytes = b"") -> None:
        self._source = source
        self._parser = _parser_after_request(method)
        self.unread = received

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
            data = self._source.receive()
            if not data:
                if lines := unread[: unread.rfind(b"\n") + 1]:
                    self._parse_head(bytes(lines) + b"\r\n")  # BadResponseError if it is malformed
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


class ResponseReader(_HeadReader):
    """Reads one response by h11, of which some bytes may have been received."""

    __slots__ = ("_attempt",)

    def __init__(
        self, source: _LimitedSource, method: str, attempt: Attempt, received: bytes
    ) -> None:
        super().__init__(source, method, received)
        self._attempt = attempt

    def read(self) -> RawResponse:
        """Return the response; raises as `read_response`."""
        head = self.read_final_head()
        status, fields = head.status_code, _join_fields(head)
        headers = Headers(fields)
        length, is_chunked = fields.get("content-length"), "transfer-encoding" in fields
        options = fields.get("connection", "").lower()
        is_kept = "keep-alive" in options if head.http_version == b"1.0" else "close" not in options
        if 300 <= status <= 399:
            return RawResponse(status, headers, b"", is_reusable=False)
        if status == 204:
            # A body that it announces may still arrive, and would be read as the next response.
            is_announced = is_chunked or length not in (None, "0")
            is_reusable = is_kept and not is_announced and not self.unread
            return RawResponse(status, headers, b"", is_reusable=is_reusable)
        try:
            body = self._read_body(status, fields)
        except UnusableResponseError:
            if status < 400:
                raise
            return RawResponse(status, headers, b"", is_reusable=False)
        # With a length and chunks, servers on the way may disagree (RFC 9112, 6.3).
        has_one_framing = is_chunked != (length is not None)
        is_reusable = is_kept and has_one_framing and not self._parser.trailing_data[0]
        return RawResponse(status, headers, body, is_reusable=is_reusable)

    def _read_body(self, status: int, fields: dict[str, str]) -> bytes:
        """Return the decoded body."""
        attempt = self._attempt
        limit = attempt.bytes_left if status < 400 else min(attempt.bytes_left, MAX_BODY)
        encoding = parse_content_encoding(fields.get("content-encoding", ""))
        is_chunked = "transfer-encoding" in fields
        length = None if is_chunked or "content-length" not in fields else fields["content-length"]
        if length is not None and not encoding and int(length) > limit:
            raise ResponseTooLargeError(status)
        try:
            body = self._read_decoded(status, BodyDecoder(encoding) if encoding else None, limit)
        except DecodingError:
            raise UnusableResponseError(status) from None
        # An empty body may be evidence of a success, and must be known to be complete.
        if not body and length is None and not is_chunked:
            raise UnusableResponseError(status)
        attempt.bytes_left -= len(body)
        return bytes(body)

    def _read_decoded(self, status: int, decoder: BodyDecoder | None, limit: int) -> bytearray:
        if self.unread:
            self._parser.receive_data(self.unread)
        body = bytearray()
        while True:
            event = self._next_body_event()
            if event is h11.NEED_DATA:
                self._parser.receive_data(self._source.receive())
                continue
            if not isinstance(event, h11.Data):
                break
            data = bytes(event.data)
            body += data if decoder is None else decoder.feed(data, limit - len(body) + 1)
            if len(body) > limit:
                raise ResponseTooLargeError(status)
            self._attempt.reserve_slot(len(body))
        if decoder is not None:
            decoder.finish()
        return body

    def _next_body_event(self) -> object:
        """Return h11's next event.

        A malformed chunk size is often a truncated one: the connection counts as lost.
        """
        try:
            return self._parser.next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == _LINE_TOO_LONG:
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
    """Return a parser of the response to a request of that method, all that h11 needs of it."""
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_LINE)
    parser.send(_request_of(method))
    parser.send(h11.EndOfMessage())
    return parser


@lru_cache(maxsize=32)
def _request_of(method: str) -> h11.Request:
    return h11.Request(method=method, target="/", headers=[("Host", "host")])
