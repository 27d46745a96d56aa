"""Header fields of requests to providers: their grammar, and the reserved names."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

HEADER_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
"""A field name, as a regular expression: RFC 9110, section 5.1 (`token`)."""
HEADER_VALUE: Final = r"(?! )[\x20-\x7e]*(?<! )"
"""A field value, as a regular expression: visible ASCII and inner spaces."""


class HeaderOwner(Enum):
    """The part of the system that writes a reserved header."""

    TRANSPORT = "transport"
    """Framing and connection. A provider that writes one has a fault."""
    ADAPTER = "adapter"
    """Written by the adapter alone; a provider's value is dropped."""
    PROVIDER = "provider"
    """Written by the provider; otherwise by the adapter."""


RESERVED_HEADERS: Final[Mapping[str, HeaderOwner]] = MappingProxyType(
    {
        **dict.fromkeys(("host", "content-length", "transfer-encoding"), HeaderOwner.TRANSPORT),
        **dict.fromkeys(("connection", "keep-alive", "te", "trailer"), HeaderOwner.TRANSPORT),
        **dict.fromkeys(("upgrade", "expect", "content-encoding"), HeaderOwner.TRANSPORT),
        **dict.fromkeys(("x-request-id", "content-type"), HeaderOwner.ADAPTER),
        **dict.fromkeys(("accept", "accept-encoding", "user-agent"), HeaderOwner.PROVIDER),
    }
)
"""The headers that no account may set, in lower case, and the owner of each."""
