"""The Flask extension: block lists for an app that has other things to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Flask, current_app, has_app_context
from werkzeug.routing import Rule

from adapter.auth import ANYONE
from adapter.client import Contacts
from adapter.containment import contain
from adapter.errors import ConfigurationError, Problem
from adapter.results import Result
from adapter.service import Service
from adapter.settings.loader import load_settings
from adapter.settings.model import Settings
from adapter.settings.toml_file import read_toml
from adapter.web.auth import Access, Guard
from adapter.web.dialect_views import NativeApi
from adapter.web.views import UnifiedApi

DEFAULT_PREFIX: Final = "/contact-adapter"
"""Where the HTTP API of an app is mounted that said nothing else."""

_AS_MADE: Final = "as the object was made"

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
    owner: object = None
    prefix: str | None = None


class ContactAdapter:
    """Adds the contact API to an app, and to its Python code: `contacts.block("+55 11 …")`.

    One object may serve many apps; what it knows of each is in that app's `extensions`, under
    `name`. Several of them live in one app under different names. Nothing else of an app is
    changed but its URL map.

    Without any API key configured, every call over HTTP is answered 401, unless the app lets in
    whom it likes by itself (`allow_unauthenticated`).
    """

    def __init__(
        self,
        app: Flask | None = None,
        config: Config | None = None,
        *,
        url_prefix: str | None = DEFAULT_PREFIX,
        name: str = "contact_adapter",
        allow_unauthenticated: bool = False,
    ) -> None:
        self._config = config
        self._access = Access.EVERYONE if allow_unauthenticated else Access.KEYS_ONLY
        self._url_prefix = url_prefix
        self._name = name
        if app is not None:
            self.init_app(app)

    def init_app(
        self,
        app: Flask,
        config: Config | None = None,
        url_prefix: str | None = _AS_MADE,
        name: str | None = None,
    ) -> None:
        """Add the API to the app, configured by `config` or by `app.config["CONTACT_ADAPTER"]`.

        The HTTP API is mounted below `url_prefix`; None mounts none, and leaves the Python API.
        What is not given here is as the object was made.

        Raises ConfigurationError and PluginError where the configuration cannot be used, and
        RuntimeError where the app already has an extension of this name.
        """
        chosen = self._config if config is None else config
        prefix = self._url_prefix if url_prefix is _AS_MADE else url_prefix
        settings = load_settings(_read_config(app, chosen))
        for mount in settings.dialects:
            if mount.host is not None:
                message = "a host name of its own is for the standalone server; use prefix"
                raise ConfigurationError([Problem(f"dialects.{mount.name}.host", message)])
        install(
            app,
            settings,
            url_prefix=prefix,
            name=name or self._name,
            access=self._access,
            owner=self,
        )

    def of(self, app: Flask) -> Contacts:
        """Return the block lists of an app, for code that runs outside of its context.

        They work in any thread, in a task queue's worker and after a fork.
        """
        for state in app.extensions.values():
            if isinstance(state, State) and state.owner is self:
                return state.contacts
        raise RuntimeError(f"this app has no extension named {self._name!r}; call init_app")

    def block(
        self,
        number: str | None = None,
        *,
        jid: str | None = None,
        user_id: str | None = None,
        account: str | None = None,
    ) -> Result:
        """Block a contact, named by `number`, by `jid` or by `user_id`."""
        return self._contacts.block(number, jid=jid, user_id=user_id, account=account)

    def unblock(
        self,
        number: str | None = None,
        *,
        jid: str | None = None,
        user_id: str | None = None,
        account: str | None = None,
    ) -> Result:
        """Unblock a contact, named by `number`, by `jid` or by `user_id`."""
        return self._contacts.unblock(number, jid=jid, user_id=user_id, account=account)

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


def install(
    app: Flask,
    settings: Settings,
    *,
    url_prefix: str | None,
    name: str,
    access: Access,
    owner: object = None,
) -> State:
    """Add the API to the app and return what was put into its `extensions`.

    Raises RuntimeError where the app already has an extension of this name, and ValueError or
    LookupError where Flask cannot take the name or the prefix.
    """
    if name in app.extensions:
        raise RuntimeError(
            f"this app already has an extension named {name!r}; "
            'give the second one a name of its own: ContactAdapter(name="…")'
        )
    prefix = None if url_prefix is None else url_prefix.rstrip("/")
    for other in app.extensions.values():
        if isinstance(other, State) and owner is not None and other.owner is owner:
            raise RuntimeError("this object already serves this app; make a second object")
        if isinstance(other, State) and prefix is not None and other.prefix == prefix:
            raise RuntimeError("another one is mounted there; give this one a url_prefix")
    service = Service(settings)
    state = State(service, Contacts(service, ANYONE), Guard(service, access), owner, prefix)
    if url_prefix is not None:
        blueprint = Blueprint(name, __name__)
        # Where rules are matched by host, one without a host is never found.
        host = "<contact_adapter_host>" if app.url_map.host_matching else None
        UnifiedApi(service, state.guard).add_to(blueprint, host)
        for mount in settings.dialects:
            native = NativeApi(contain(mount.dialect), service, state.guard, mount.cors_origins)
            native.add_to(blueprint, mount.prefix, host)
        if url_prefix:
            Rule(url_prefix).bind(app.url_map)  # raises while the app is still as it was
        app.register_blueprint(blueprint, url_prefix=url_prefix or None)
    app.extensions[name] = state
    return state


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
