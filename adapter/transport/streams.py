"""Byte streams with one deadline over all reads and writes: plain sockets, and TLS over a stream.

TLS goes through `SSLContext.wrap_bio` (https://docs.python.org/3/library/ssl.html), so that each
read and write of the socket below has the deadline, and so that TLS works within the TLS of a
proxy.
"""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from functools import cache
from typing import Final, Protocol

import certifi

from adapter.transport.errors import ConnectError, TlsHandshakeError

_READ_SIZE: Final = 32 * 1024
"""Bytes of one read below TLS: more than one record, which has at most 16 KiB and a little."""

_TLS_EOF_ERRORS: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""TLS errors of a closed connection: nothing was refused."""


class Stream(Protocol):
    """A connection to read from and write to until its `deadline`, in monotonic seconds."""

    deadline: float

    def read(self, max_bytes: int) -> bytes:
        """Return the bytes that are there, waiting for the first; empty at the end.

        Raises TimeoutError after the deadline, and OSError where the connection breaks.
        """

    def write(self, data: bytes) -> None:
        """Send all of the data. Raises as `read`."""

    def is_quiet(self) -> bool:
        """Whether the stream is open and has no unread data, without waiting."""

    def close(self) -> None:
        """Close the connection."""


class PlainStream:
    """A connected socket, with a deadline."""

    __slots__ = ("_socket", "deadline")

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket = connected
        self.deadline = deadline

    def read(self, max_bytes: int) -> bytes:
        """Return the bytes that are there, waiting for the first; empty at the end."""
        self._apply_deadline()
        return self._socket.recv(max_bytes)

    def write(self, data: bytes) -> None:
        """Send all of the data."""
        while data:
            self._apply_deadline()
            data = data[self._socket.send(data) :]

    def is_quiet(self) -> bool:
        """Whether the stream is open and has no unread data, without waiting."""
        self._socket.settimeout(0)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _apply_deadline(self) -> None:
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("deadline exceeded")
        self._socket.settimeout(remaining)


class TlsStream:
    """TLS over another stream, whose deadline it shares.

    Raises TlsHandshakeError where TLS is refused, and ConnectError where the connection is closed
    or its deadline passes in the handshake. The stream below is closed then.
    """

    __slots__ = ("_below", "_incoming", "_outgoing", "_tls")

    def __init__(self, below: Stream, host: str, ssl_context: ssl.SSLContext) -> None:
        self._below = below
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        try:
            self._tls = ssl_context.wrap_bio(
                self._incoming, self._outgoing, server_hostname=host.rstrip(".")
            )
            self._shake_hands()
        except _TLS_EOF_ERRORS as error:
            below.close()
            raise ConnectError("connection closed in the TLS handshake") from error
        except (ssl.SSLError, ValueError) as error:
            with suppress(OSError):
                self._flush()  # the alert with the reason
            below.close()
            raise TlsHandshakeError("TLS handshake refused") from error
        except OSError as error:
            below.close()
            raise ConnectError("connection lost in the TLS handshake") from error
        except BaseException:
            below.close()
            raise

    @property
    def deadline(self) -> float:
        """The deadline of the stream below."""
        return self._below.deadline

    @deadline.setter
    def deadline(self, value: float) -> None:
        self._below.deadline = value

    def read(self, max_bytes: int) -> bytes:
        """Return the decrypted bytes that are there, waiting for the first; empty at the end.

        Many servers close without a `close_notify`: that is an end too. Whether a response is
        complete is known from its framing.
        """
        if not self._incoming.pending and not self._tls.pending():
            self._receive()  # saves an SSLWantReadError
        while True:
            try:
                return self._tls.read(max_bytes)
            except ssl.SSLWantReadError:
                self._receive()
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return b""

    def write(self, data: bytes) -> None:
        """Send all of the data."""
        while data:
            try:
                data = data[self._tls.write(data) :]
            except ssl.SSLWantReadError:  # in a renegotiation
                self._receive()
        self._flush()

    def is_quiet(self) -> bool:
        """Whether the stream is open and has no unread data, decrypted or not, without waiting."""
        if self._tls.pending() or self._incoming.pending:
            return False
        return self._below.is_quiet()

    def close(self) -> None:
        """Close the connection, without a `close_notify`."""
        self._below.close()

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._receive()
        self._flush()

    def _receive(self) -> None:
        """Read from the stream below, after sending what TLS has to send."""
        self._flush()
        data = self._below.read(_READ_SIZE)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._below.write(self._outgoing.read())


@cache
def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return the context for a CA file: one for all accounts, since each is large."""
    return ssl.create_default_context(cafile=ca_file or certifi.where())
