"""Parse the URL of a proxy."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from adapter.privacy import Secret
from adapter.settings.model import PROXY_PORTS, Proxy
from adapter.urls import is_plain_url


def read_proxy(given: str | Secret) -> Proxy:
    """Return the proxy that a URL names, or a URL with a login that is given as a secret.

    Raises ValueError with what is wrong, without the text itself.
    """
    text = given.reveal() if isinstance(given, Secret) else given
    scheme, _, rest = text.partition("://")
    login, at, address = rest.removesuffix("/").rpartition("@")
    if at and not isinstance(given, Secret):
        raise ValueError('a login is a secret; give the whole URL as { env = "NAME" }')
    bare = f"http://{address}"
    if scheme.lower() not in PROXY_PORTS or "/" in address or not is_plain_url(bare):
        kinds = ", ".join(PROXY_PORTS)
        raise ValueError(f"must be a URL of a host, without a path, of one of: {kinds}")
    parts = urlsplit(bare)
    user, _, password = (unquote(part) for part in login.partition(":"))
    needs_both = scheme.lower().startswith("socks")  # RFC 1929; a key for HTTP may stand alone
    if at and (not user or (needs_both and not password)):
        raise ValueError("the login must be user:password, percent-encoded")
    # RFC 1929, 2: each has a length of one byte.
    if at and needs_both and max(len(part.encode()) for part in (user, password)) > 255:
        raise ValueError("the user and the password may have 255 bytes each, in UTF-8")
    return Proxy(
        scheme.lower(),
        parts.hostname or "",
        parts.port or PROXY_PORTS[scheme.lower()],
        (user, password) if at else None,
    )
