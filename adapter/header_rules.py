"""Header fields of requests to providers: their grammar, and the reserved names."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

HEADER_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
HEADER_VALUE: Final = r"(?! )[\x20-\x7e]*(?<! )"
"""What HTTP can carry in the head of a request."""


class HeaderOwner(Enum):
    """Who writes a header of a request that no account may set."""

    WIRE = "wire"
    """Framing and the connection: a provider that writes it is a fault."""
    ADAPTER = "adapter"
    """Written by the adapter alone: that of a provider is left out."""
    PROVIDER = "provider"
    """Written by the provider, or else by the adapter."""


OUR_HEADERS: Final[Mapping[str, HeaderOwner]] = MappingProxyType(
    {
        **dict.fromkeys(("host", "content-length", "transfer-encoding"), HeaderOwner.WIRE),
        **dict.fromkeys(("connection", "keep-alive", "te", "trailer"), HeaderOwner.WIRE),
        **dict.fromkeys(("upgrade", "expect", "content-encoding"), HeaderOwner.WIRE),
        **dict.fromkeys(("x-request-id", "content-type"), HeaderOwner.ADAPTER),
        **dict.fromkeys(("accept", "accept-encoding", "user-agent"), HeaderOwner.PROVIDER),
    }
)
"""The headers that no account may set, and who writes each."""
