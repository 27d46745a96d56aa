"""The settings as plain, frozen data. Imports nothing above the domain."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from adapter.codes import Scope
from adapter.privacy import Secret

if TYPE_CHECKING:
    from adapter.dialect import Dialect
    from adapter.provider import Provider
    from adapter.registry import PluginRegistry

MAX_BODY: Final = 256 * 1024
"""Most bytes of a response that is no list, unpacked; and those that any call may have freely."""


EVERY_ORIGIN: Final = "*"
"""In `cors_origins`: the pages of every origin."""

MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which the client of Prometheus is told where workers share numbers.

It stands here and not with the metrics, since it is needed before that client is imported.
"""


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """How one account's provider is called. Times are in seconds."""

    connect_timeout: float = 3.0
    deadline: float = 15.0
    max_in_flight: int = 256
    breaker_threshold: int = 5
    breaker_pause: float = 30.0
    ca_file: str | None = None
    proxy: str | Secret | None = None
    idle_timeout: float = 30.0
    list_deadline: float = 60.0
    list_max_bytes: int = 16 * 1024 * 1024
    list_max_pages: int = 1000
    max_long_responses: int = 4


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where connections are made through. `scheme` is one of `PROXY_PORTS`."""

    scheme: str
    host: str
    port: int
    login: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def authorization(self) -> str | None:
        """The login as HTTP's `Proxy-Authorization`; None without one."""
        if self.login is None:
            return None
        return "Basic " + b64encode(":".join(self.login).encode()).decode("ascii")


PROXY_PORTS: Final[Mapping[str, int]] = MappingProxyType(
    {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
)
"""The kinds of proxies, and their ports where none is given. `socks5h` looks names up itself."""


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """One WhatsApp account: its provider, where that is, and the provider's validated options."""

    name: str
    provider: type[Provider]
    base_url: str | None
    options: Mapping[str, Any] = field(repr=False)
    aliases: tuple[str, ...]
    transport: TransportSettings
    headers: Mapping[str, str | Secret] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class KeySettings:
    """One API key. `accounts` holds the names that it may use, all of them resolved."""

    name: str
    secret: Secret
    scopes: frozenset[Scope]
    accounts: frozenset[str]
    default_account: str | None


@dataclass(frozen=True, slots=True)
class DialectSettings:
    """One dialect that is served: under `prefix`, or at the root of the host name `host`."""

    name: str
    dialect: type[Dialect]
    prefix: str
    host: str | None
    cors_origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How a process of ours logs. A host app's logging is its own."""

    level: str = "info"
    format: str = "text"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was configured, checked."""

    accounts: Mapping[str, AccountSettings]
    keys: tuple[KeySettings, ...]
    dialects: tuple[DialectSettings, ...]
    default_account: str | None
    default_region: str | None
    log: LogSettings
    registry: PluginRegistry = field(repr=False)
