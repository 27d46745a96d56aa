"""Parse the URL of a proxy."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from adapter.secret import Secret
from adapter.settings.model import PROXY_PORTS, Proxy
from adapter.urls import is_plain_url

_MAX_SOCKS_BYTES = 255
"""Most bytes of a user and of a password (RFC 1929, section 2)."""


def parse_proxy(given: str | Secret) -> Proxy:
    """Return the proxy of a URL; a URL with a login must be a Secret.

    Raises ValueError with what is wrong; its text never repeats the URL.
    """
    text = given.reveal() if isinstance(given, Secret) else given
    scheme, _, rest = text.partition("://")
    login, at, address = rest.removesuffix("/").rpartition("@")
    if at and not isinstance(given, Secret):
        raise ValueError('a login is a secret; give the whole URL as { env = "NAME" }')
    bare = f"http://{address}"
    if scheme.lower() not in PROXY_PORTS or "/" in address or not is_plain_url(bare):
        kinds = ", ".join(PROXY_PORTS)
        raise ValueError(f"must be a URL of a host, without a path; its scheme is one of: {kinds}")
    parts = urlsplit(bare)
    user, _, password = (unquote(part) for part in login.partition(":"))
    is_socks = scheme.lower().startswith("socks")
    # RFC 1929 needs both; for HTTP, an API key may be the user alone.
    if at and (not user or (is_socks and not password)):
        raise ValueError("must have a login of the form user:password, percent-encoded")
    if at and is_socks and max(len(part.encode()) for part in (user, password)) > _MAX_SOCKS_BYTES:
        raise ValueError(
            f"may have at most {_MAX_SOCKS_BYTES} bytes each of user and password, in UTF-8"
        )
    return Proxy(
        scheme.lower(),
        parts.hostname or "",
        parts.port or PROXY_PORTS[scheme.lower()],
        (user, password) if at else None,
    )
