"""Certificates for servers on loopback."""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path

import trustme


class Authority:
    """A certificate authority; a client that has its `file` trusts its certificates."""

    def __init__(self, folder: Path) -> None:
        self._issuer = trustme.CA()
        self.file = folder / "authority.pem"
        self._issuer.cert_pem.write_to_path(str(self.file))

    def server_context(
        self,
        host: str = "127.0.0.1",
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> ssl.SSLContext:
        """Return a server's context with a certificate for the host."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued = self._issuer.issue_cert(host, not_before=not_before, not_after=not_after)
        issued.configure_cert(context)
        return context
