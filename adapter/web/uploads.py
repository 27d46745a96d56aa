"""The body of a request as a file that is read in pieces, and is never held whole."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from werkzeug.exceptions import RequestEntityTooLarge

from adapter.codes import Code
from adapter.errors import RequestError
from adapter.request_fields import invalid_field
from adapter.results import Outcome
from adapter.web.context import RequestContext

ALLOW_LONG: Final = "allow_long_body"
"""The method of a server's `wsgi.input` for a body that is large, and read as rows are stored."""


class Upload:
    """The body of a request. `read` raises RequestError where it breaks off, or is too large.

    Raises RequestError at once for a compressed body, and for one whose length is too large.
    """

    def __init__(self, context: RequestContext, max_bytes: int) -> None:
        context.require_uncompressed()
        self._request = context.request
        self._limit = context.limit_body(max_bytes)
        self._length = self._request.content_length
        self._taken = 0
        self._copy: BytesIO | None = None
        if self._length is not None and self._length > self._limit:
            raise _too_large()
        allow = getattr(self._request.environ.get("wsgi.input"), ALLOW_LONG, None)
        if allow is not None:
            allow()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; none at the end of the body."""
        try:
            piece = self._read(size)
        except RequestEntityTooLarge:
            raise _too_large() from None
        except Exception:  # noqa: BLE001 - each server raises its own exception for a broken body
            raise _incomplete() from None
        self._taken += len(piece)
        if self._taken > self._limit:
            raise _too_large()
        if not piece and self._is_incomplete():
            raise _incomplete()
        return piece

    def _read(self, size: int) -> bytes:
        if self._copy is None:
            piece: bytes = self._request.stream.read(size)
            if piece or self._taken:
                return piece
            # A hook of the host app may have read the stream; Flask has a copy then.
            self._copy = BytesIO(self._request.get_data())
        return self._copy.read(size)

    def _is_incomplete(self) -> bool:
        """Whether a body that has ended lacks bytes, or was taken by the host app."""
        if self._length is not None:
            return self._taken < self._length
        return not self._taken and "HTTP_TRANSFER_ENCODING" in self._request.environ


def _too_large() -> RequestError:
    return RequestError(Outcome.failure(Code.PAYLOAD_TOO_LARGE))


def _incomplete() -> RequestError:
    return invalid_field("body", "could not be read to its end; send it again")
