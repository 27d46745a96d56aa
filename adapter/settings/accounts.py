"""Load the accounts: the tables `[accounts.<name>]`, with the options of their providers."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from adapter.codes import Verify
from adapter.config_names import display_name
from adapter.containment import contain
from adapter.files import MAX_CONFIG, FileError, read_file
from adapter.plugin_checks import ACCOUNT_KEYS
from adapter.provider import LocalProvider, Provider
from adapter.registry import PluginRegistry
from adapter.settings.headers import check_headers
from adapter.settings.model import AccountSettings, PaceSettings, TransportSettings
from adapter.settings.proxy import parse_proxy
from adapter.settings.schema import AccountSchema
from adapter.settings.validation import Validator, hint
from adapter.urls import is_loopback, is_plain_url


class AccountLoader:
    """Loads the accounts of one configuration, and reports what is wrong with them.

    `transport` is the common `[transport]` table, `own_address` the address of this server.
    """

    def __init__(
        self,
        validator: Validator,
        registry: PluginRegistry,
        transport: Mapping[str, Any],
        own_address: str | None,
    ) -> None:
        self._validator = validator
        self._registry = registry
        self._transport = transport
        self._own_address = own_address
        self._ca_files: dict[str, bool] = {}

    def load(self, name: str, raw: Any) -> AccountSettings | None:
        """Return the account; None if it names no installed provider.

        Raises PluginError as `PluginRegistry.find_provider` does.
        """
        path = f"accounts.{display_name(name)}"
        account = self._validator.validate(AccountSchema, raw, path)
        if "provider" not in account:
            return None
        registered = self._registry.find_provider(account["provider"])
        if registered is None:
            message = _describe_unknown(account["provider"], self._registry)
            self._validator.report(f"{path}.provider", message)
            return None
        provider = registered.cls
        given = {key: value for key, value in account.items() if key not in ACCOUNT_KEYS}
        options = self._validator.validate(provider.Options, given, path, ACCOUNT_KEYS)
        base_url = self._load_base_url(f"{path}.base_url", provider, account)
        transport = self._load_transport(account.get("transport") or {}, path)
        headers = account.get("headers") or {}
        check_headers(self._validator, f"{path}.headers", provider, headers)
        return AccountSettings(
            name=name,
            provider=provider,
            base_url=base_url,
            options=MappingProxyType(options),
            aliases=tuple(account["aliases"]) if "aliases" in account else (),
            transport=transport,
            headers=MappingProxyType(dict(headers)),
            verify=account.get("verify"),
            pace=PaceSettings(**(account.get("pace") or {})),
            fallback=account.get("fallback"),
            phone=account.get("phone"),
        )

    def _load_transport(self, own: Mapping[str, Any], account: str) -> TransportSettings:
        """Return the common settings with the account's `own` ones in place of them."""
        settings = TransportSettings(**{**self._transport, **own})
        if settings.ca_file is not None and not self._is_ca_file(settings.ca_file):
            path = f"{account}.transport" if "ca_file" in own else "transport"
            message = "cannot be read as PEM certificates; name a file of such certificates"
            self._validator.report(f"{path}.ca_file", message)
        if settings.proxy is not None:
            path = f"{account}.transport" if "proxy" in own else "transport"
            try:
                proxy = parse_proxy(settings.proxy)
            except ValueError as error:
                self._validator.report(f"{path}.proxy", str(error))
            else:
                if proxy.scheme.startswith("socks") and find_spec("socksio") is None:
                    message = "SOCKS needs an extra; run: pip install 'contact-adapter[socks]'"
                    self._validator.report(f"{path}.proxy", message)
        return settings

    def _is_ca_file(self, path: str) -> bool:
        """Whether the file holds certificates. It is read once, however many accounts share it."""
        if path not in self._ca_files:
            try:
                read_file(path, MAX_CONFIG)  # OpenSSL would block on a FIFO, and read without end
                ssl.create_default_context(cafile=path)
            except (FileError, OSError):
                self._ca_files[path] = False
            else:
                self._ca_files[path] = True
        return self._ca_files[path]

    def _load_base_url(
        self, path: str, provider: type[Provider], account: Mapping[str, Any]
    ) -> str | None:
        given = account.get("base_url", provider.base_url)
        if issubclass(provider, LocalProvider):
            if "base_url" in account:
                self._validator.report(path, "this provider has no address; remove the key")
            return None
        match given:
            case None:
                self._validator.report(path, "is required: this provider has no default address")
                return None
            case {"self": str(own)} if (
                len(given) == 1 and own.startswith("/") and is_plain_url(f"http://self{own}")
            ):
                if self._own_address is None:
                    self._validator.report(
                        path,
                        "{ self = … } needs `contact-adapter serve`, or create_app(own_address=…)",
                    )
                    return None
                return self._own_address + own.rstrip("/")
            case str() if is_plain_url(given):
                pass
            case _:
                self._validator.report(
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
            self._validator.report(
                path,
                "plain http sends the credential unencrypted; "
                "use https, or set allow_insecure = true on this account",
            )
        return given.rstrip("/")


def _describe_unknown(name: str, registry: PluginRegistry) -> str:
    """Return the message for a provider that cannot be selected."""
    blocked = registry.find_blocked(name)
    if blocked is not None:
        return (
            f"no such provider: the plugin {blocked} is blocked; remove it from [plugins] blocked"
        )
    known = sorted(registry.providers)
    shown = ", ".join(known) or "none"
    return f"no such provider{hint(name, known)}; installed are: {shown}"


def describe_long_timeouts(accounts: Iterable[AccountSettings]) -> Iterator[str]:
    """Yield a warning for each `connect_timeout` that the deadline of the call precedes."""
    owners: dict[tuple[float, float], list[str]] = {}
    for account in accounts:
        times = (account.transport.connect_timeout, account.transport.deadline)
        if times[0] > times[1]:
            owners.setdefault(times, []).append(display_name(account.name))
    for (timeout, deadline), names in owners.items():
        yield (
            f"connect_timeout ({timeout:g}) is above deadline ({deadline:g}) and has no effect; "
            f"lower it, or raise deadline (accounts: {', '.join(names)})"
        )


def describe_missing_reads(accounts: Iterable[AccountSettings]) -> Iterator[str]:
    """Yield a note for each provider without a read whose accounts have `verify = "always"`."""
    owners: dict[str, list[str]] = {}
    for account in accounts:
        if account.verify is Verify.ALWAYS and not contain(account.provider.can_read_back):
            owners.setdefault(account.provider.name, []).append(display_name(account.name))
    for provider, names in owners.items():
        yield (
            f'verify = "always" has no effect: {provider} has no read of a block list or a '
            f"contact; remove it (accounts: {', '.join(names)})"
        )


def check_aliases(
    validator: Validator, accounts: Iterable[AccountSettings], names: set[str]
) -> None:
    """Report an alias that is also the name or an alias of another account."""
    owners: dict[str, str] = {}
    for account in accounts:
        for alias in account.aliases:
            owner = alias if alias in names else owners.get(alias)
            if owner is not None and owner != account.name:
                validator.report(
                    f"accounts.{display_name(account.name)}.aliases",
                    f"has a name or alias of the account {display_name(owner)}; remove it",
                )
            owners[alias] = account.name
