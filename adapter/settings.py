"""Configuration: TOML or a mapping in, validated and frozen settings out, every fault at once."""

from __future__ import annotations

import difflib
import ipaddress
import re
import ssl
import tomllib
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import phonenumbers
from marshmallow import INCLUDE, Schema, ValidationError, fields, validate, validates_schema

from adapter.accounts import AccountNames
from adapter.attempt import MAX_BODY
from adapter.codes import Scope
from adapter.containment import contain
from adapter.cors import EVERY_ORIGIN
from adapter.errors import ConfigurationError, Problem
from adapter.files import MAX_CONFIG, FileError, read_file
from adapter.hosts import is_loopback
from adapter.logs import FORMATS, LEVELS
from adapter.loops import Mount, Upstream, find_loops
from adapter.names import NAME, holds_phone_number, show_key, show_name, show_unknown
from adapter.options import SecretField
from adapter.plugins import ACCOUNT_KEYS, Registry, load_plugins
from adapter.privacy import Secret
from adapter.provider import Dialect, LocalProvider, Provider

EVERY_ACCOUNT: Final = "*"

MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which the client of Prometheus is told where workers share numbers.

It stands here and not with the metrics, since it is needed before that client is imported.
"""

_RESERVED = ("/v1", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs")


def _require_no_phone_number(name: str) -> None:
    if holds_phone_number(name):
        raise ValidationError("looks like it holds a phone number, and names are logged")


_NAME = validate.And(
    validate.Regexp(
        rf"{NAME}\Z",
        error="must start with a letter or digit and hold only letters, digits and ._-",
    ),
    _require_no_phone_number,
)


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

_CHANGES_MEANING = re.compile(
    r"if-.*|range|content-range|idempotency-key|x-original-url|x-rewrite-url"
    r"|(x-)?http-method(-override)?|x-method-override"
)
"""Headers, in lower case, that make another request of each that carries them."""


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
    registry: Registry = field(repr=False)


class _Flag(fields.Boolean):
    """True or false, and not what merely looks like it."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class _Seconds(fields.Float):
    """A number, and not the text of one."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, (str, bool)):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class _TextOrSecret(SecretField):
    """A text, or one that is given by reference like a secret; it may have blanks inside then."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str):
            return value
        text = value.reveal() if isinstance(value, Secret) else self._resolve(value)
        if not re.fullmatch(r"[\x20-\x7e]+", text.strip()):
            raise ValidationError("the secret is empty, or not visible ASCII")
        return Secret(text.strip())


class _PluginsSchema(Schema):
    blocked = fields.List(fields.String(), load_default=list)


class _TransportSchema(Schema):
    _seconds = validate.Range(
        min=0, max=300, min_inclusive=False, error="must be above 0, up to 300"
    )
    connect_timeout = _Seconds(validate=_seconds)
    deadline = _Seconds(validate=_seconds)
    max_in_flight = fields.Integer(strict=True, validate=validate.Range(min=1, max=100_000))
    breaker_threshold = fields.Integer(strict=True, validate=validate.Range(min=0, max=1000))
    breaker_pause = _Seconds(validate=_seconds)
    ca_file = fields.String()
    proxy = _TextOrSecret()
    idle_timeout = _Seconds(validate=_seconds)
    list_deadline = _Seconds(validate=_seconds)
    list_max_bytes = fields.Integer(
        strict=True, validate=validate.Range(min=MAX_BODY, max=256 * 1024 * 1024)
    )
    list_max_pages = fields.Integer(strict=True, validate=validate.Range(min=1, max=100_000))
    max_long_responses = fields.Integer(strict=True, validate=validate.Range(min=1, max=100_000))


class _AccountSchema(Schema):
    class Meta:
        unknown = INCLUDE

    provider = fields.String(required=True)
    base_url = fields.Raw()
    aliases = fields.List(fields.String(validate=validate.Length(1, 128)), load_default=list)
    allow_insecure = _Flag(load_default=False)
    transport = fields.Nested(_TransportSchema, load_default=dict)
    headers = fields.Dict(keys=fields.String(), values=_TextOrSecret(), load_default=dict)


class _KeySchema(Schema):
    secret = SecretField(required=True)
    scopes = fields.List(
        fields.Enum(Scope, by_value=True), required=True, validate=validate.Length(1)
    )
    accounts = fields.List(fields.String(), required=True, validate=validate.Length(1))
    default_account = fields.String()


_ORIGIN = validate.Regexp(
    # A browser leaves the port out where it is the scheme's own, and so it is never met.
    r"^(\*|(?!http://.*:80\Z)(?!https://.*:443\Z)"
    r"[a-z][a-z0-9+.-]*://([a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?)\Z",
    error='must be an origin as browsers write it, such as "https://app.example": '
    'lower case, no path, no default port; or "*" alone',
)


_MOUNT: Final = r"(?:/[A-Za-z0-9._~-]+)+"


def is_mount(path: str) -> bool:
    """Whether the app, or a part of it, can be served below this path."""
    return bool(re.fullmatch(_MOUNT, path)) and not {".", ".."} & set(path.split("/"))


class _DialectSchema(Schema):
    prefix = fields.String(
        validate=validate.Regexp(
            rf"^{_MOUNT}\Z", error="must be a path such as /legacy, without a last slash"
        )
    )
    host = fields.String(
        validate=validate.Regexp(
            r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?\Z", error="must be a lower-case host name, no port"
        )
    )
    cors_origins = fields.List(fields.String(validate=_ORIGIN))

    @validates_schema
    def _check_origins(self, data: Mapping[str, Any], **_: Any) -> None:
        origins = data.get("cors_origins") or []
        if EVERY_ORIGIN in origins and len(origins) > 1:
            message = f'"{EVERY_ORIGIN}" means all of them; name no other'
            raise ValidationError(message, "cors_origins")


class _LogSchema(Schema):
    level = fields.String(validate=validate.OneOf(LEVELS))
    format = fields.String(validate=validate.OneOf(FORMATS))


class _TopSchema(Schema):
    default_account = fields.String()
    default_region = fields.String(
        validate=validate.OneOf(
            sorted(phonenumbers.SUPPORTED_REGIONS), error='must be a region code such as "BR"'
        )
    )
    accounts = fields.Dict(keys=fields.String(validate=_NAME), required=True)
    keys = fields.Dict(keys=fields.String(validate=_NAME), load_default=dict)
    dialects = fields.Dict(load_default=dict)
    plugins = fields.Nested(_PluginsSchema, load_default=dict)
    transport = fields.Nested(_TransportSchema, load_default=dict)
    log = fields.Nested(_LogSchema, load_default=dict)


def read_toml(path: Path) -> dict[str, Any]:
    """Return what the file says; the files that it names are found from its own folder.

    Raises ConfigurationError where it cannot be read or is no TOML.
    """
    try:
        text = read_file(path, MAX_CONFIG).decode("utf-8")
        return _anchored(tomllib.loads(text), path.parent)
    except FileError as error:
        raise ConfigurationError([Problem(str(path), f"cannot be read: {error}")]) from None
    except UnicodeDecodeError as error:
        message = f"is no TOML: it is not text in UTF-8 (byte {error.start})"
        raise ConfigurationError([Problem(str(path), message)]) from None
    except ValueError as error:  # TOMLDecodeError; a number of thousands of digits
        message = f"is no TOML: {_explain_toml(str(error))}"
        raise ConfigurationError([Problem(str(path), message)]) from None
    except RecursionError:
        raise ConfigurationError([Problem(str(path), "is nested too deep")]) from None


def _explain_toml(text: str) -> str:
    """Return what is wrong, and where, without what stands there: it may be a secret."""
    twice = text.startswith(("Cannot ", "Duplicate "))
    what = "a key or table stands there twice" if twice else "what stands there cannot be read"
    place = re.search(r"\(at (line [0-9]+, column [0-9]+|end of document)\)\Z", text)
    return f"{what} ({place[1] if place else 'somewhere'})"


def _anchored(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the table with the relative paths under `file` and `ca_file` made absolute."""
    for key, value in table.items():
        if isinstance(value, dict):
            _anchored(value, folder)
        elif isinstance(value, str) and (key == "ca_file" or (key == "file" and len(table) == 1)):
            table[key] = str(folder.absolute() / value)
    return table


def load_settings(mapping: Mapping[str, Any], *, own_address: str | None = None) -> Settings:
    """Return the settings that the mapping describes, with the plugins that they need.

    `own_address` is where this very server will listen; a `base_url` of `{ self = "/path" }`
    stands for a path on it.

    Raises ConfigurationError with every fault that was found, and PluginError for a plugin that is
    selected and broken, or for a selected name that several third-party plugins bring.
    """
    return _Loader(mapping, own_address).load()


class _Loader:
    """One reading of one mapping. It collects problems and goes on as far as it can."""

    def __init__(self, mapping: Mapping[str, Any], own_address: str | None) -> None:
        self._mapping = mapping
        self._own_address = own_address
        self._problems: list[Problem] = []
        self._ca_files: dict[str, bool] = {}
        self._schemas: dict[type[Schema], Schema] = {}

    def load(self) -> Settings:
        top = self._validate(_TopSchema, self._mapping, "")
        plugins = top.get("plugins")
        registry = load_plugins((plugins or {}).get("blocked", ()))
        transport = top.get("transport") or {}
        accounts = {
            name: account
            for name, raw in _tables(self._mapping.get("accounts"))
            if (account := self._account(name, raw, registry, transport)) is not None
        }
        names = {name for name, _ in _tables(self._mapping.get("accounts"))}
        if self._mapping.get("accounts") == {}:
            self._fault("accounts", "is empty; configure at least one account")
        self._check_aliases(accounts.values(), names)
        keys = [self._key(name, raw, names) for name, raw in _tables(self._mapping.get("keys"))]
        self._check_secrets(key for key in keys if key is not None)
        dialects = self._dialects(top.get("dialects") or {}, registry)
        default = top.get("default_account") or (next(iter(names)) if len(names) == 1 else None)
        self._require_account("default_account", default, names)
        if not self._problems:
            self._check_loops(accounts, [key for key in keys if key is not None], dialects, default)
        if self._problems:
            raise ConfigurationError(self._problems)
        return Settings(
            accounts=MappingProxyType(accounts),
            keys=tuple(key for key in keys if key is not None),
            dialects=tuple(dialects),
            default_account=default,
            default_region=top.get("default_region"),
            log=LogSettings(**(top.get("log") or {})),
            registry=registry,
        )

    def _fault(self, path: str, message: str) -> None:
        problem = Problem(path, message)
        if path.startswith("transport.") and problem in self._problems:
            return  # it is found again with each account that inherits it
        self._problems.append(problem)

    def _validate(
        self, kind: type[Schema], raw: Any, path: str, beside: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Return what of `raw` is valid; the rest becomes problems.

        `beside` are the keys that are known in the same table and read elsewhere.
        """
        schema = self._schemas.get(kind)  # made once for a thousand accounts
        if schema is None:
            schema = self._schemas[kind] = contain(kind)  # a plugin's, or ours
        if not isinstance(raw, Mapping):
            self._fault(path, "must be a table")
            return {}
        try:
            return dict(contain(schema.load, raw))
        except ValidationError as error:
            self._problems.extend(_problems(error.messages, path, schema, beside=beside))
            valid = error.valid_data
            return dict(valid) if isinstance(valid, Mapping) else {}

    def _account(
        self, name: str, raw: Any, registry: Registry, defaults: Mapping[str, Any]
    ) -> AccountSettings | None:
        path = f"accounts.{show_name(name)}"
        account = self._validate(_AccountSchema, raw, path)
        if "provider" not in account:
            return None
        registered = registry.find_provider(account["provider"])
        if registered is None:
            known = sorted(registry.providers)
            self._fault(
                f"{path}.provider",
                f"no such provider{_hint(account['provider'], known)}; "
                f"installed are: {', '.join(known) or 'none'}",
            )
            return None
        provider = registered.part
        given = {key: value for key, value in account.items() if key not in ACCOUNT_KEYS}
        options = self._validate(provider.Options, given, path, ACCOUNT_KEYS)
        return AccountSettings(
            name=name,
            provider=provider,
            base_url=self._base_url(f"{path}.base_url", provider, account),
            options=MappingProxyType(options),
            aliases=tuple(account["aliases"]) if "aliases" in account else (),
            transport=self._transport(defaults, account.get("transport") or {}, path),
            headers=self._headers(f"{path}.headers", provider, account.get("headers") or {}),
        )

    def _transport(
        self, defaults: Mapping[str, Any], own: Mapping[str, Any], account: str
    ) -> TransportSettings:
        settings = TransportSettings(**{**defaults, **own})
        if settings.ca_file is not None and not self._is_ca_file(settings.ca_file):
            path = f"{account}.transport" if "ca_file" in own else "transport"
            self._fault(f"{path}.ca_file", "is no file of PEM certificates that can be read")
        if settings.proxy is not None:
            path = f"{account}.transport" if "proxy" in own else "transport"
            try:
                proxy = read_proxy(settings.proxy)
            except ValueError as error:
                self._fault(f"{path}.proxy", str(error))
            else:
                if proxy.scheme.startswith("socks") and find_spec("socks") is None:
                    message = "SOCKS needs an extra; run: pip install 'contact-adapter[socks]'"
                    self._fault(f"{path}.proxy", message)
        return settings

    def _headers(
        self, path: str, provider: type[Provider], given: Mapping[str, str | Secret]
    ) -> Mapping[str, str | Secret]:
        """Return the account's own headers; what we or the provider write is not theirs to say."""
        if given and issubclass(provider, LocalProvider):
            self._fault(path, "this provider sends no requests; remove the table")
        providers = {name.lower() for name in provider.header_templates}
        found: set[str] = set()
        for name, value in given.items():
            where, lower = f"{path}.{show_key(name)}", name.lower()
            text = value.reveal() if isinstance(value, Secret) else value
            if not re.fullmatch(HEADER_NAME, name):
                self._fault(path, "one of the names is none that HTTP knows")
            elif lower in found:
                self._fault(where, "stands there twice; case does not count")
            elif lower in OUR_HEADERS or lower.startswith("proxy-"):
                self._fault(where, "is written by the adapter itself; remove it")
            elif _CHANGES_MEANING.fullmatch(lower):
                self._fault(where, "would change what the requests ask for; remove it")
            elif lower in providers:
                self._fault(where, f"is written by the provider {provider.name}; remove it")
            elif not re.fullmatch(HEADER_VALUE, text):
                self._fault(where, "must be visible ASCII, without blanks around it")
            found.add(lower)
        return MappingProxyType(dict(given))

    def _is_ca_file(self, path: str) -> bool:
        """Whether certificates can be read from it; many accounts may share one, read once."""
        if path not in self._ca_files:
            try:
                read_file(path, MAX_CONFIG)  # OpenSSL would wait for a FIFO, and read without end
                ssl.create_default_context(cafile=path)
            except (FileError, OSError):
                self._ca_files[path] = False
            else:
                self._ca_files[path] = True
        return self._ca_files[path]

    def _base_url(
        self, path: str, provider: type[Provider], account: Mapping[str, Any]
    ) -> str | None:
        given = account.get("base_url", provider.base_url)
        if issubclass(provider, LocalProvider):
            if "base_url" in account:
                self._fault(path, "this provider needs no address; remove the key")
            return None
        match given:
            case None:
                self._fault(path, "is required: this provider has no address of its own")
                return None
            case {"self": str(own)} if (
                len(given) == 1 and own.startswith("/") and is_plain_url(f"http://self{own}")
            ):
                if self._own_address is None:
                    self._fault(
                        path,
                        "{ self = … } needs `contact-adapter serve`, or create_app(own_address=…)",
                    )
                    return None
                return self._own_address + own.rstrip("/")
            case str() if is_plain_url(given):
                pass
            case _:
                self._fault(
                    path,
                    "must be an http or https URL without user, query or fragment, "
                    'or { self = "/path" } for a path of this server',
                )
                return None
        parts = urlsplit(given)
        if (
            parts.scheme == "http"
            and not is_loopback(parts.hostname or "")
            and not account.get("allow_insecure")
        ):
            self._fault(
                path,
                "plain http would show the credential to the network; "
                "use https, or set allow_insecure = true on this account",
            )
        return given.rstrip("/")

    def _check_aliases(self, accounts: Iterable[AccountSettings], names: set[str]) -> None:
        owner: dict[str, str] = {}
        for account in accounts:
            for alias in account.aliases:
                taken = alias if alias in names else owner.get(alias)
                if taken is not None and taken != account.name:
                    self._fault(
                        f"accounts.{show_name(account.name)}.aliases",
                        f"one of them also means {show_name(taken)}",
                    )
                owner[alias] = account.name

    def _key(self, name: str, raw: Any, accounts: set[str]) -> KeySettings | None:
        path = f"keys.{show_name(name)}"
        before = len(self._problems)
        key = self._validate(_KeySchema, raw, path)
        listed = key.get("accounts") or []
        every = EVERY_ACCOUNT in listed
        allowed = accounts if every else set(listed)
        if every and len(listed) > 1:
            self._fault(f"{path}.accounts", f'"{EVERY_ACCOUNT}" means all of them; name no other')
        if Scope.METRICS in key.get("scopes", ()) and not every:
            self._fault(
                f"{path}.scopes",
                f'"metrics" shows every account; accounts must be ["{EVERY_ACCOUNT}"]',
            )
        for account in sorted(allowed):
            self._require_account(f"{path}.accounts", account, accounts)
        default = key.get("default_account")
        self._require_account(f"{path}.default_account", default, accounts)
        if default is not None and default not in allowed:
            self._fault(f"{path}.default_account", "is not among the accounts of this key")
        if len(self._problems) > before:
            return None
        return KeySettings(
            name, key["secret"], frozenset(key["scopes"]), frozenset(allowed), default
        )

    def _check_secrets(self, keys: Iterable[KeySettings]) -> None:
        owner: dict[Secret, str] = {}
        for key in keys:
            if owner.setdefault(key.secret, key.name) != key.name:
                self._fault(
                    f"keys.{show_name(key.name)}.secret",
                    f"is also the secret of {show_name(owner[key.secret])}",
                )

    def _check_loops(
        self,
        accounts: Mapping[str, AccountSettings],
        keys: Sequence[KeySettings],
        dialects: Sequence[DialectSettings],
        default: str | None,
    ) -> None:
        """Refuse accounts whose requests would come back to them through our own dialects."""
        names = name_accounts(accounts, default)

        def choose(credential: str | None, session: str | None) -> str | None:
            allowed, own = None, None
            if keys:
                key = next((key for key in keys if key.secret == Secret(credential or "")), None)
                if key is None:
                    return None
                allowed, own = key.accounts, key.default_account
            named = session if session is not None else names.default_for(allowed, own)
            return None if named is None else names.find(named, allowed, native=True)

        upstreams = {
            name: Upstream(each.provider, each.options, each.base_url)
            for name, each in accounts.items()
        }
        mounts = [Mount(contain(each.dialect), each.prefix, each.host) for each in dialects]
        for loop in find_loops(upstreams, mounts, choose, self._own_address):
            calls = " → ".join(show_name(name) for name in (*loop, loop[0]))
            self._fault(
                f"accounts.{show_name(loop[0])}.base_url",
                f"its calls come back to it through the dialects of this server, which is at "
                f"{self._own_address}: {calls}; give one of them the address of a provider",
            )

    def _dialects(self, raw: Mapping[str, Any], registry: Registry) -> list[DialectSettings]:
        enabled = raw.get("enabled", [])
        if not isinstance(enabled, list) or not all(isinstance(name, str) for name in enabled):
            self._fault("dialects.enabled", "must be a list of names")
            enabled = []
        for name, _ in _tables(raw):
            if name != "enabled" and name not in enabled:
                self._fault(
                    f"dialects.{show_unknown(name)}",
                    'is configured, but not enabled; add it to "enabled"',
                )
        mounted: dict[str, str] = {}
        found = []
        for name in dict.fromkeys(enabled):
            registered = registry.find_dialect(name)
            if registered is None:
                known = sorted(registry.dialects)
                self._fault(
                    "dialects.enabled",
                    f"one of them is no dialect{_hint(name, known)}; "
                    f"installed are: {', '.join(known) or 'none'}",
                )
                continue
            table = self._validate(_DialectSchema, raw.get(name, {}), f"dialects.{name}")
            settings = DialectSettings(
                name,
                registered.part,
                table.get("prefix", f"/dialects/{name}"),
                table.get("host"),
                tuple(table.get("cors_origins", ())),
            )
            self._check_mount(settings, mounted)
            found.append(settings)
        return found

    def _check_mount(self, settings: DialectSettings, mounted: dict[str, str]) -> None:
        for place in (settings.prefix, settings.host):
            if place is not None and mounted.setdefault(place, settings.name) != settings.name:
                self._fault(
                    f"dialects.{settings.name}", f"is mounted where {mounted[place]} already is"
                )
        for other, owner in mounted.items():
            if owner != settings.name and _is_below(settings.prefix, other):
                self._fault(f"dialects.{settings.name}.prefix", f"overlaps with that of {owner}")
        if any(f"{settings.prefix}/".startswith(f"{path}/") for path in _RESERVED):
            self._fault(f"dialects.{settings.name}.prefix", "belongs to the unified API")

    def _require_account(self, path: str, name: str | None, names: set[str]) -> None:
        if name is not None and name not in names:
            shown = {show_name(each) for each in names}
            known = ", ".join(sorted(shown)) or "none"
            self._fault(path, f"no such account{_hint(name, shown)}; configured are: {known}")


def name_accounts(accounts: Mapping[str, AccountSettings], default: str | None) -> AccountNames:
    """Return how the accounts are named, by their names and by their aliases."""
    return AccountNames({name: each.aliases for name, each in accounts.items()}, default)


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
    # PySocks writes a length above 127 as two bytes.
    if at and needs_both and max(len(part.encode()) for part in (user, password)) > 127:
        raise ValueError("the user and the password may have 127 bytes each, in UTF-8")
    return Proxy(
        scheme.lower(),
        parts.hostname or "",
        parts.port or PROXY_PORTS[scheme.lower()],
        (user, password) if at else None,
    )


def is_plain_url(text: str) -> bool:
    """Whether the text is an http or https URL of a host and a plain path, and nothing more."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return bool(
        parts.scheme in ("http", "https")
        and _is_host(parts.hostname or "")
        and re.fullmatch(r"[\x21-\x7e]+", text)
        and "@" not in parts.netloc
        and not set("?#\\%") & set(text)
        and not {".", ".."} & set(parts.path.split("/"))
        and re.fullmatch(r"[A-Za-z0-9._~!$&'()*+,;=:@/-]*", parts.path)
        and port != 0
    )


def _is_host(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return bool(re.fullmatch(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?\.?", text)) and ".." not in text


def _is_below(one: str, other: str) -> bool:
    """Whether one of two different paths lies below the other."""
    return one != other and (one.startswith(other + "/") or other.startswith(one + "/"))


def _tables(raw: Any) -> list[tuple[str, Any]]:
    return [(str(name), value) for name, value in raw.items()] if isinstance(raw, Mapping) else []


def _hint(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


_WORDS = {
    "Missing data for required field.": "is required",
    "Not a valid string.": "must be text",
    "Not a valid boolean.": "must be true or false",
    "Not a valid number.": "must be a number",
    "Not a valid integer.": "must be a whole number",
    "Not a valid list.": "must be a list",
    "Not a valid mapping type.": "must be a table",
    "Invalid input type.": "must be a table",
}


def _problems(
    messages: Any,
    path: str,
    schema: Schema | None,
    tables: bool = False,
    beside: Iterable[str] = (),
) -> list[Problem]:
    """Flatten marshmallow's tree of messages into lines that each name one key.

    With `tables`, the keys are names of accounts or of API keys. Those in `beside` are known too.
    """
    if isinstance(messages, Mapping):
        names = sorted({*schema.fields, *beside}) if schema is not None else []
        found = []
        for key, below in messages.items():
            about_all = key == "_schema" or (schema is None and key in ("key", "value"))
            known = schema.fields.get(str(key)) if schema else None
            show = show_name if tables else show_key
            shown = str(key) if known or isinstance(key, int) else show(str(key))
            if schema is not None and known is None:
                shown = show_unknown(str(key), names)
            here = path if about_all else f"{path}.{shown}".lstrip(".")
            if below == ["Unknown field."] and schema is not None:
                hint = _hint(str(key), names)
                keys = ", ".join(names) or "none"
                found.append(Problem(here, f"unknown key{hint}; known here are: {keys}"))
                continue
            nested = known.schema if isinstance(known, fields.Nested) else None
            named = isinstance(schema, _TopSchema)  # accounts and keys
            found.extend(_problems(below, here, nested, named))  # type: ignore[arg-type, unused-ignore]
        return found
    texts = messages if isinstance(messages, list) else [messages]
    return [Problem(path, _WORDS.get(str(text), str(text))) for text in texts]
