"""What must be the same for everybody: the environment, the limits, the certificates."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

import certifi
import trustme

_MEDDLING: Final = {
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("GUNICORN_CMD_ARGS", "WEB_CONCURRENCY", "PROMETHEUS_MULTIPROC_DIR", "CONTACT_ADAPTER_CONFIG"),
    "PYTHONPATH",
}


def clean_environment() -> None:
    """Forget what a machine may tell one side and not the other: proxies, trust, numbers.

    The peers obey such variables, as requests does; ours does not.
    """
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in _MEDDLING:
            del os.environ[name]


def allow_many_files() -> None:
    """Let this process, and all that it starts, open as many files as the machine allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def certificates(folder: Path) -> tuple[Path, Path]:
    """Return a certificate for the upstream with its key, and the file that everybody trusts.

    That is the usual bundle with the run's own authority added: a client of a public provider reads
    all of it, and one that reads it for every call pays for that, as it does in real life.
    """
    authority = trustme.CA()
    certificate, trusted = folder / "upstream.pem", folder / "trusted.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    trusted.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    return certificate, trusted
