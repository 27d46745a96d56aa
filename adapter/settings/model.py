"""The settings as plain, immutable data. Imports nothing above the domain."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from adapter.codes import Scope, Verify
from adapter.contacts import Contact
from adapter.secret import Secret
from adapter.urls import DEFAULT_PORTS

if TYPE_CHECKING:
    from adapter.dialect import Dialect
    from adapter.provider import Provider
    from adapter.registry import PluginRegistry

MAX_BODY: Final = 256 * 1024
"""Maximum size, in bytes, of a decoded response other than a list.

Every call may use as much without a reservation; longer lists count as long responses.
"""

EVERY_ORIGIN: Final = "*"
"""In `cors_origins`: allow the pages of every origin."""


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """Timeouts and limits for the calls of one account. Times are in seconds."""

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
    """The proxy for connections to a provider. `scheme` is a key of `PROXY_PORTS`."""

    scheme: str
    host: str
    port: int
    login: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def authorization(self) -> str | None:
        """The value of `Proxy-Authorization` for the login; None without a login."""
        if self.login is None:
            return None
        return "Basic " + b64encode(":".join(self.login).encode()).decode("ascii")


PROXY_PORTS: Final[Mapping[str, int]] = MappingProxyType(
    {**DEFAULT_PORTS, "socks5": 1080, "socks5h": 1080}
)
"""The schemes of proxies and their default ports. With `socks5h`, the proxy looks up names."""


@dataclass(frozen=True, slots=True)
class PaceSettings:
    """How fast the batches of one account run, in all processes together.

    `per_minute`: the most rows that begin in a minute; None means no limit. `max_in_flight`: the
    most requests at the same time, each of one row, or of many where the provider takes them.
    Single calls are not counted.
    """

    per_minute: int | None = None
    max_in_flight: int = 8


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """One WhatsApp account: its provider, the provider's address, and its validated options.

    `verify`: when changes are read back; None means the provider's default (`Account.verify`).
    `fallback`: the name of the account of another provider for the same WhatsApp account. `phone`:
    the account's own number, which is compared and never sent.
    """

    name: str
    provider: type[Provider]
    base_url: str | None
    options: Mapping[str, Any] = field(repr=False)
    aliases: tuple[str, ...]
    transport: TransportSettings
    headers: Mapping[str, str | Secret] = field(default_factory=dict, repr=False)
    verify: Verify | None = None
    pace: PaceSettings = PaceSettings()
    fallback: str | None = None
    phone: Contact | None = None


@dataclass(frozen=True, slots=True)
class KeySettings:
    """One API key. `accounts` are the names of the accounts that it may use, without `*`."""

    name: str
    secret: Secret
    scopes: frozenset[Scope]
    accounts: frozenset[str]
    default_account: str | None


@dataclass(frozen=True, slots=True)
class DialectSettings:
    """One served dialect: below `prefix`, and at the root of the host name `host`."""

    name: str
    dialect: type[Dialect]
    prefix: str
    host: str | None
    cors_origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Logging of the server and the command line. A host app configures its own logging."""

    level: str = "info"
    format: str = "text"


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """The ledger: the URL of its database, and its limits.

    `required`: a change that cannot be recorded is refused before anything is sent. `wait` is the
    maximum time, in seconds, that a call waits for the database. `keep_calls` is in seconds.
    `table_prefix` precedes the name of each table.
    """

    url: str | Secret
    required: bool = False
    wait: float = 0.25
    keep_calls: int = 180 * 24 * 3600
    table_prefix: str = "contact_adapter_"


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """The queue that wakes the workers of batches; without it, they run in this process."""

    url: str | Secret


@dataclass(frozen=True, slots=True)
class Settings:
    """A complete, validated configuration."""

    accounts: Mapping[str, AccountSettings]
    keys: tuple[KeySettings, ...]
    dialects: tuple[DialectSettings, ...]
    default_account: str | None
    default_region: str | None
    log: LogSettings
    registry: PluginRegistry = field(repr=False)
    ledger: LedgerSettings | None = None
    queue: QueueSettings | None = None
