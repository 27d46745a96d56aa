"""Unpack a response that came packed although it was asked to come as it is."""

from __future__ import annotations

import zlib
from typing import Final

MAX_RATIO: Final = 100
"""Most bytes that a packed byte may become, beyond `FREE_BYTES` of them. JSON stays far below."""

FREE_BYTES: Final = 64 * 1024

_GZIP = 16 + zlib.MAX_WBITS
_ENCODINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}


class PackedError(ValueError):
    """The bytes cannot be unpacked: another encoding, garbage, a cut, or a bomb."""


class Unpacker:
    """Unpacks one body piece by piece, and never more of it than is asked for."""

    def __init__(self, encoding: str) -> None:
        if encoding not in _ENCODINGS:
            raise PackedError("an encoding that is not known")
        self._bits = _ENCODINGS[encoding]
        self._stream = zlib.decompressobj(self._bits) if self._bits == _GZIP else None
        self._began = b""
        self._taken = self._given = 0

    def feed(self, part: bytes, most: int) -> bytes:
        """Return what the next part unpacks to, at most `most` bytes.

        Raises PackedError. What is beyond `most` is lost: whoever asks stops there.
        """
        self._taken += len(part)
        if self._stream is None:
            part = self._began = self._began + part
            if len(part) < 2:
                return b""
            self._stream = zlib.decompressobj(_deflate_bits(part))
        found = bytearray()
        try:
            while part and len(found) < most:
                if self._stream.eof:
                    if self._bits != _GZIP:
                        raise PackedError("something stands behind its end")
                    part = part.lstrip(b"\0")  # gzip may be padded, as tape drives want it
                    if not part:
                        break
                    self._stream = zlib.decompressobj(_GZIP)  # gzip may have several members
                found += self._stream.decompress(part, most - len(found))
                part = self._stream.unconsumed_tail or self._stream.unused_data
        except zlib.error:
            raise PackedError("it is garbled") from None
        self._given += len(found)
        used = self._taken - len(self._stream.unconsumed_tail)
        if self._given > max(FREE_BYTES, MAX_RATIO * used):
            raise PackedError("it unpacks to more than any JSON would")
        return bytes(found)

    def finish(self) -> None:
        """Raise PackedError where the end has not come, though the bytes are over."""
        if self._taken and (self._stream is None or not self._stream.eof):
            raise PackedError("it ends too early")


def _deflate_bits(start: bytes) -> int:
    """Return zlib's word for the two things that servers call deflate: with a header, or raw."""
    with_header = start[0] & 0x0F == 8 and (start[0] << 8 | start[1]) % 31 == 0  # RFC 1950, 2.2
    return zlib.MAX_WBITS if with_header else -zlib.MAX_WBITS


def read_encoding(field: str) -> str:
    """Return the one encoding that a `Content-Encoding` names; empty where it names none."""
    named = {each.strip().lower() for each in field.split(",")} - {"identity", ""}
    return ", ".join(sorted(named))
