"""The Flask extension: block lists for an app that has other things to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Flask, current_app

from adapter.dialects import NativeApi
from adapter.errors import ConfigurationError, Problem
from adapter.faces import Access, Guard
from adapter.keys import ANYONE
from adapter.outcome import Result
from adapter.service import Contacts, Service
from adapter.settings import Settings, load_settings, read_toml
from adapter.views import UnifiedApi

CONFIG_KEY: Final = "CONTACT_ADAPTER"
"""The key of `app.config` that holds the configuration, a mapping or the path of a TOML file."""


@dataclass(frozen=True, slots=True)
class State:
    """What one instance keeps in `app.extensions`."""

    service: Service
    contacts: Contacts
    guard: Guard


class ContactAdapter:
    """Adds the contact API to an app, and to its Python code: `contacts.block("+55 11 …")`.

    `url_prefix` is where the HTTP API is mounted; None mounts none. Several instances live in one
    app under different names. Nothing of the app is changed but its `extensions` and its URL map.
    """

    def __init__(
        self,
        app: Flask | None = None,
        config: Mapping[str, Any] | str | Path | None = None,
        *,
        url_prefix: str | None = "/contact-adapter",
        name: str = "contact_adapter",
    ) -> None:
        self._name = name
        if app is not None:
            self.init_app(app, config, url_prefix=url_prefix)

    def init_app(
        self,
        app: Flask,
        config: Mapping[str, Any] | str | Path | None = None,
        *,
        url_prefix: str | None = "/contact-adapter",
        access: Access = Access.KEYS_ONLY,
        own_address: str | None = None,
    ) -> None:
        """Add the API to the app, configured by `config` or by `app.config["CONTACT_ADAPTER"]`.

        Raises ConfigurationError and PluginError where the configuration cannot be used, and
        RuntimeError where the app already has an instance of this name.
        """
        if self._name in app.extensions:
            raise RuntimeError(f"this app already has an extension named {self._name!r}")
        settings = load_settings(_read_config(app, config), own_address=own_address)
        service = Service(settings)
        guard = Guard(service, access)
        if url_prefix is not None:
            blueprint = self._blueprint(service, settings, guard)
            app.register_blueprint(blueprint, url_prefix=url_prefix or None)
        app.extensions[self._name] = State(service, Contacts(service, ANYONE), guard)

    def block(
        self, number: str | None = None, *, jid: str | None = None, account: str | None = None
    ) -> Result:
        """Block a contact, named by `number` or by `jid`."""
        return self._contacts.block(number, jid=jid, account=account)

    def unblock(
        self, number: str | None = None, *, jid: str | None = None, account: str | None = None
    ) -> Result:
        """Unblock a contact, named by `number` or by `jid`."""
        return self._contacts.unblock(number, jid=jid, account=account)

    def blocked(self, *, account: str | None = None) -> Result:
        """Read the block list; its contacts are in `.contacts`."""
        return self._contacts.blocked(account=account)

    @property
    def _contacts(self) -> Contacts:
        state: State | None = current_app.extensions.get(self._name)
        if state is None:
            raise RuntimeError(f"this app has no extension named {self._name!r}; call init_app")
        return state.contacts

    def _blueprint(self, service: Service, settings: Settings, guard: Guard) -> Blueprint:
        blueprint = Blueprint(self._name, __name__)
        UnifiedApi(service, guard).add_to(blueprint)
        for mount in settings.dialects:
            NativeApi(mount.dialect(), service, guard).add_to(blueprint, mount.prefix)
        return blueprint


def _read_config(app: Flask, config: Mapping[str, Any] | str | Path | None) -> Mapping[str, Any]:
    given = config if config is not None else app.config.get(CONFIG_KEY)
    if isinstance(given, Mapping):
        return given
    if isinstance(given, (str, Path)):
        return read_toml(Path(given))
    where = f'app.config["{CONFIG_KEY}"]'
    raise ConfigurationError(
        [Problem(where, "must be a mapping, or the path of a TOML file; it says which accounts")]
    )
