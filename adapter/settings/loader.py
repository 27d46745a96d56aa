"""Configuration: TOML or a mapping in, validated and frozen settings out, every fault at once."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError

from adapter.codes import Scope
from adapter.containment import contain
from adapter.errors import ConfigurationError, ConfigurationProblem
from adapter.files import MAX_CONFIG, FileError, read_file
from adapter.header_rules import HEADER_NAME, HEADER_VALUE, OUR_HEADERS
from adapter.names import show_key, show_name, show_unknown
from adapter.privacy import Secret
from adapter.provider import LocalProvider, Provider
from adapter.registry import ACCOUNT_KEYS, Registry, load_plugins
from adapter.settings.account_names import AccountNames
from adapter.settings.loops import Mount, Upstream, find_loops
from adapter.settings.model import (
    AccountSettings,
    DialectSettings,
    KeySettings,
    LogSettings,
    Settings,
    TransportSettings,
)
from adapter.settings.problems import hint, read_problems
from adapter.settings.proxy import read_proxy
from adapter.settings.schema import AccountSchema, DialectSchema, KeySchema, TopSchema
from adapter.urls import is_loopback, is_plain_url

EVERY_ACCOUNT: Final = "*"

_RESERVED = ("/v1", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs")

_CHANGES_MEANING = re.compile(
    r"if-.*|range|content-range|idempotency-key|x-original-url|x-rewrite-url"
    r"|(x-)?http-method(-override)?|x-method-override"
)
"""Headers, in lower case, that make another request of each that carries them."""


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
        self._problems: list[ConfigurationProblem] = []
        self._ca_files: dict[str, bool] = {}
        self._schemas: dict[type[Schema], Schema] = {}

    def load(self) -> Settings:
        top = self._validate(TopSchema, self._mapping, "")
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
        problem = ConfigurationProblem(path, message)
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
            self._problems.extend(read_problems(error.messages, path, schema, beside=beside))
            valid = error.valid_data
            return dict(valid) if isinstance(valid, Mapping) else {}

    def _account(
        self, name: str, raw: Any, registry: Registry, defaults: Mapping[str, Any]
    ) -> AccountSettings | None:
        path = f"accounts.{show_name(name)}"
        account = self._validate(AccountSchema, raw, path)
        if "provider" not in account:
            return None
        registered = registry.find_provider(account["provider"])
        if registered is None:
            known = sorted(registry.providers)
            self._fault(
                f"{path}.provider",
                f"no such provider{hint(account['provider'], known)}; "
                f"installed are: {', '.join(known) or 'none'}",
            )
            return None
        provider = registered.cls
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
                if proxy.scheme.startswith("socks") and find_spec("socksio") is None:
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
        key = self._validate(KeySchema, raw, path)
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
                    f"one of them is no dialect{hint(name, known)}; "
                    f"installed are: {', '.join(known) or 'none'}",
                )
                continue
            table = self._validate(DialectSchema, raw.get(name, {}), f"dialects.{name}")
            settings = DialectSettings(
                name,
                registered.cls,
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
            self._fault(path, f"no such account{hint(name, shown)}; configured are: {known}")


def name_accounts(accounts: Mapping[str, AccountSettings], default: str | None) -> AccountNames:
    """Return how the accounts are named, by their names and by their aliases."""
    return AccountNames({name: each.aliases for name, each in accounts.items()}, default)


def _is_below(one: str, other: str) -> bool:
    """Whether one of two different paths lies below the other."""
    return one != other and (one.startswith(other + "/") or other.startswith(one + "/"))


def _tables(raw: Any) -> list[tuple[str, Any]]:
    return [(str(name), value) for name, value in raw.items()] if isinstance(raw, Mapping) else []
