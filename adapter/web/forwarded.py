"""Which headers show that a request was passed on by a proxy, a balancer or a CDN."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_MOST_SHOWN: Final = 64

_NAMES = re.compile(
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
    """Return the name of a header of the WSGI environment that a proxy wrote; None without one."""
    for name in environ:
        if _is_of_a_proxy(name):
            return name.removeprefix("HTTP_").replace("_", "-").title()[:_MOST_SHOWN]
    return None


@lru_cache(maxsize=512)
def _is_of_a_proxy(name: str) -> bool:
    return _NAMES.fullmatch(name) is not None
