"""Parse a plain, small response without h11, which takes most of a short call's time.

What is accepted here is a part of what h11 accepts, with the same result: a property test compares
the two over mutated responses. Everything else is left to h11, malformed responses included.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# The grammar of RFC 9112, 4 and 5, without folded lines and without bytes beyond ASCII. Blanks
# around a value are stripped later: an expression that matches them takes quadratic time.
_HEAD = re.compile(
    rb"HTTP/1\.1 ([245][0-9]{2})(?: [\t -~]*)?\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*\r\n){1,100})"
    rb"\r\n"
)
_LENGTH = re.compile(r"[0-9]{1,6}")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,4}")


class PlainHead(NamedTuple):
    """A head of HTTP/1.1 with one known framing and no encoding of the body.

    The body is `data[start:end]`; of chunks the end is unknown (None). `fields` are by lower-case
    name. `is_kept`: the server keeps the connection open.
    """

    status: int
    fields: dict[str, str]
    start: int
    end: int | None
    is_kept: bool

    def body_of(self, data: bytes) -> bytes | None:
        """Return the body where it is complete, and followed by nothing; otherwise None."""
        if self.end is None:
            return _join_chunks(data, self.start)
        return data[self.start :] if len(data) == self.end else None


def parse_plain_head(data: bytes) -> PlainHead | None:
    """Return the head with which the data begins; None where it is not plain, or not complete."""
    found = _HEAD.match(data)
    if found is None:
        return None
    fields: dict[str, str] = {}
    lines = found[2].decode("ascii").split("\r\n")
    for line in lines:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip(" \t")
    if len(fields) != len(lines) or "content-encoding" in fields or found[1] == b"204":
        return None  # a repeated field, or a body that needs more than its bytes
    del fields[""]  # what follows the last line
    start, end = found.end(), None
    length = fields.get("content-length")
    if "transfer-encoding" in fields:
        if length is not None or fields["transfer-encoding"] != "chunked":
            return None
    elif length is None or _LENGTH.fullmatch(length) is None:
        return None
    else:
        end = start + int(length)
    is_kept = "connection" not in fields or "close" not in fields["connection"].lower()
    return PlainHead(int(found[1]), fields, start, end, is_kept)


def _join_chunks(data: bytes, start: int) -> bytes | None:
    """Return the content of complete chunks without extensions and trailers; otherwise None."""
    parts: list[bytes] = []
    while True:
        size_end = data.find(b"\r\n", start)
        if _CHUNK_SIZE.fullmatch(data, start, size_end) is None:
            return None
        start, end = size_end + 2, size_end + 2 + int(data[start:size_end], 16)
        if start == end:
            return b"".join(parts) if data[start:] == b"\r\n" else None
        if data[end : end + 2] != b"\r\n":
            return None
        parts.append(data[start:end])
        start = end + 2
