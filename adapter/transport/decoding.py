"""Decode response bodies with a Content-Encoding, which a server may send unrequested."""

from __future__ import annotations

import zlib
from typing import Final

MAX_RATIO: Final = 100
"""Highest ratio of decoded to encoded bytes beyond `UNCHECKED_BYTES`. JSON stays far below."""

UNCHECKED_BYTES: Final = 64 * 1024

_GZIP = 16 + zlib.MAX_WBITS
_ENCODINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}


class DecodingError(ValueError):
    """The body cannot be decoded: unknown encoding, corrupt, truncated, or a zip bomb."""


class BodyDecoder:
    """Decodes one body incrementally, and never more of it than requested.

    Raises DecodingError for an unknown encoding.
    """

    def __init__(self, encoding: str) -> None:
        if encoding not in _ENCODINGS:
            raise DecodingError("unknown encoding")
        self._wbits = _ENCODINGS[encoding]
        self._stream = zlib.decompressobj(self._wbits) if self._wbits == _GZIP else None
        self._prefix = b""
        self._encoded_bytes = self._decoded_bytes = 0

    def feed(self, data: bytes, max_bytes: int) -> bytes:
        """Return what the next data decodes to, at most `max_bytes`.

        Raises DecodingError. Output beyond `max_bytes` is lost: the caller stops there.
        """
        self._encoded_bytes += len(data)
        if self._stream is None:
            data = self._prefix = self._prefix + data
            if len(data) < 2:
                return b""
            self._stream = zlib.decompressobj(_deflate_wbits(data))
        decoded = bytearray()
        try:
            while data and len(decoded) < max_bytes:
                if self._stream.eof:
                    if self._wbits != _GZIP:
                        raise DecodingError("data after the end of the stream")
                    data = data.lstrip(b"\0")  # gzip allows zero padding between members
                    if not data:
                        break
                    self._stream = zlib.decompressobj(_GZIP)  # gzip allows several members
                decoded += self._stream.decompress(data, max_bytes - len(decoded))
                data = self._stream.unconsumed_tail or self._stream.unused_data
        except zlib.error:
            raise DecodingError("corrupt data") from None
        self._decoded_bytes += len(decoded)
        consumed = self._encoded_bytes - len(self._stream.unconsumed_tail)
        if self._decoded_bytes > max(UNCHECKED_BYTES, MAX_RATIO * consumed):
            raise DecodingError("the compression ratio is too high for JSON")
        return bytes(decoded)

    def finish(self) -> None:
        """Raise DecodingError where the stream is truncated."""
        if self._encoded_bytes and (self._stream is None or not self._stream.eof):
            raise DecodingError("truncated data")


def _deflate_wbits(start: bytes) -> int:
    """Return zlib's `wbits` for either kind of deflate that servers send: zlib format, or raw."""
    has_header = start[0] & 0x0F == 8 and (start[0] << 8 | start[1]) % 31 == 0  # RFC 1950, 2.2
    return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


def parse_content_encoding(value: str) -> str:
    """Return the one encoding in a `Content-Encoding` value; empty for none or `identity`."""
    names = {each.strip().lower() for each in value.split(",")} - {"identity", ""}
    return ", ".join(sorted(names))
