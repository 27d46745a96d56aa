"""The same conditions for all servers: variables, limits, certificates."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

import certifi
import trustme

_VARIABLES: Final = {
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("GUNICORN_CMD_ARGS", "WEB_CONCURRENCY", "PROMETHEUS_MULTIPROC_DIR", "CONTACT_ADAPTER_CONFIG"),
    "PYTHONPATH",
}


def clean_environment() -> None:
    """Remove variables that change some of the servers: proxies, certificates, worker counts.

    requests, and so the peers, read them; the adapter does not.
    """
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in _VARIABLES:
            del os.environ[name]


def allow_many_files() -> None:
    """Raise the limit of open files of this process and its children to the highest possible."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def certificates(folder: Path) -> tuple[Path, Path]:
    """Return the upstream's certificate with its key, and the file of trusted authorities.

    The file is the usual bundle with the run's own authority added: a client of a public provider
    loads all of it, and a client that loads it for each call has that cost in production too.
    """
    authority = trustme.CA()
    certificate, trusted = folder / "upstream.pem", folder / "trusted.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    trusted.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    return certificate, trusted
