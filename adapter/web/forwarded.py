"""Headers that show that a proxy, a load balancer or a CDN forwarded the request."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_MAX_NAME_LENGTH: Final = 64

_PROXY_HEADERS = re.compile(
    r"HTTP_(?:"
    r"(?:.+_)?FORWARDED(?:_.+)?"  # RFC 7239, X-Forwarded-*, X-Vercel-Forwarded-For
    r"|(?:.+_)?VIA"  # RFC 9110
    # X-Real-IP, True-Client-IP, CF-Connecting-IP, CloudFront-Viewer-Address, X-Azure-SocketIP
    r"|(?:.+_)?(?:REAL|CLIENT|CONNECTING|CONNECTION|REMOTE|USER|PROXYUSER|SOCKET|VIEWER|EXTERNAL"
    r"|SOURCE|PEER|ORIGINATING)_?(?:IP|ADDR|ADDRESS)(?:_?V?[46])?"
    r"|X_ORIGINAL_.+|X_REWRITE_URL"  # IIS, Azure, ingress-nginx
    r"|(?:X_)?PROXY_.+|CDN_LOOP"  # RFC 8586
    r"|CF_.+|X_ENVOY_.+|X_AMZN_.+|X_AMZ_CF_ID|X_ARR_.+|X_AZURE_.+|X_VARNISH"
    r")"
)


def find_proxy_header(environ: Iterable[str]) -> str | None:
    """Return the name of a header that only proxies set, at most 64 characters; None without one.

    `environ` is a WSGI environment or its keys.
    """
    for name in environ:
        if _is_proxy_header(name):
            return name.removeprefix("HTTP_").replace("_", "-").title()[:_MAX_NAME_LENGTH]
    return None


@lru_cache(maxsize=512)
def _is_proxy_header(name: str) -> bool:
    return _PROXY_HEADERS.fullmatch(name) is not None
