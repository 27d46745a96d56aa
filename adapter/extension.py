"""The Flask extension: block lists for an app that has other things to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Flask, current_app, has_app_context

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


Config = Mapping[str, Any] | str | Path
"""A configuration: a mapping, or the path of a TOML file."""


@dataclass(frozen=True, slots=True)
class State:
    """What one instance keeps in `app.extensions`."""

    service: Service
    contacts: Contacts
    guard: Guard


class ContactAdapter:
    """Adds the contact API to an app, and to its Python code: `contacts.block("+55 11 …")`.

    One object may serve many apps; what it knows of each is in that app's `extensions`, under
    `name`. Several of them live in one app under different names. Nothing else of an app is
    changed but its URL map.
    """

    def __init__(
        self,
        app: Flask | None = None,
        config: Config | None = None,
        *,
        url_prefix: str | None = "/contact-adapter",
        name: str = "contact_adapter",
    ) -> None:
        self._name = name
        self._in_use = False
        if app is not None:
            self.init_app(app, config, url_prefix=url_prefix)

    def init_app(
        self,
        app: Flask,
        config: Config | None = None,
        *,
        url_prefix: str | None = "/contact-adapter",
        name: str | None = None,
        access: Access = Access.KEYS_ONLY,
        own_address: str | None = None,
    ) -> None:
        """Add the API to the app, configured by `config` or by `app.config["CONTACT_ADAPTER"]`.

        The HTTP API is mounted below `url_prefix`; None mounts none, and leaves the Python API.
        `name` is the object's, given here in place of the constructor.

        Raises ConfigurationError and PluginError where the configuration cannot be used, and
        RuntimeError where the app already has an extension of this name, or the object another.
        """
        if name not in (None, self._name) and self._in_use:
            raise RuntimeError(f"this object goes by the name {self._name!r} in another app")
        self._name = name or self._name
        if self._name in app.extensions:
            raise RuntimeError(
                f"this app already has an extension named {self._name!r}; "
                'give the second one a name of its own: ContactAdapter(name="…")'
            )
        settings = load_settings(_read_config(app, config), own_address=own_address)
        service = Service(settings)
        guard = Guard(service, access)
        if url_prefix is not None:
            blueprint = self._blueprint(service, settings, guard)
            app.register_blueprint(blueprint, url_prefix=url_prefix or None)
        app.extensions[self._name] = State(service, Contacts(service, ANYONE), guard)
        self._in_use = True

    def of(self, app: Flask) -> Contacts:
        """Return the block lists of an app, for code that runs outside of its context.

        They work in any thread, in a task queue's worker and after a fork.
        """
        state: State | None = app.extensions.get(self._name)
        if state is None:
            raise RuntimeError(f"this app has no extension named {self._name!r}; call init_app")
        return state.contacts

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
        if not has_app_context():
            raise RuntimeError(
                "there is no application context here; push one (with app.app_context(): …), "
                "or use contacts.of(app)"
            )
        return self.of(current_app)

    def _blueprint(self, service: Service, settings: Settings, guard: Guard) -> Blueprint:
        blueprint = Blueprint(self._name, __name__)
        UnifiedApi(service, guard).add_to(blueprint)
        for mount in settings.dialects:
            NativeApi(mount.dialect(), service, guard).add_to(blueprint, mount.prefix)
        return blueprint


def _read_config(app: Flask, config: Config | None) -> Mapping[str, Any]:
    given = config if config is not None else app.config.get(CONFIG_KEY)
    if isinstance(given, Mapping):
        return given
    if isinstance(given, (str, Path)):
        return read_toml(Path(given))
    where = f'app.config["{CONFIG_KEY}"]'
    raise ConfigurationError(
        [Problem(where, "must be a mapping, or the path of a TOML file; it says which accounts")]
    )
