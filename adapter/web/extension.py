"""The Flask extension: the contact API below a prefix of a host app, and its Python API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Flask, current_app, has_app_context
from werkzeug.routing import Map, Rule

from adapter.api_keys import ANONYMOUS
from adapter.batch_calls import Progress, Source
from adapter.client import Client, make_service
from adapter.codes import Action
from adapter.containment import contain
from adapter.errors import ConfigurationError, ConfigurationProblem
from adapter.logs import log
from adapter.results import Result
from adapter.service import Service
from adapter.settings.loader import load_settings
from adapter.settings.model import Settings
from adapter.settings.toml_file import read_toml
from adapter.web.auth import AnonymousAccess, Authenticator
from adapter.web.batch_views import BatchViews
from adapter.web.dialect_views import DialectViews
from adapter.web.plan_views import PlanViews
from adapter.web.views import ApiViews

if TYPE_CHECKING:
    from adapter.batches import Batch, Item

DEFAULT_PREFIX: Final = "/contact-adapter"
"""The default prefix of the HTTP API."""


class _Unset:
    """The type of UNSET."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()
"""The default of an argument for which None is a value of its own."""

CONFIG_KEY: Final = "CONTACT_ADAPTER"
"""The key of `app.config` with the configuration: a mapping, or the path of a TOML file."""

Config = Mapping[str, Any] | str | Path
"""A configuration: a mapping, or the path of a TOML file."""


@dataclass(frozen=True, slots=True)
class ExtensionState:
    """The entry of one instance in `app.extensions`. `prefix` is None without the HTTP API."""

    service: Service
    contacts: Client
    authenticator: Authenticator
    extension: ContactAdapter | None = None
    prefix: str | None = None


class ContactAdapter:
    """Adds the HTTP API to a Flask app, and the Python API: `contacts.block("+55 11 …")`.

    One object may serve several apps: the state of each is in `app.extensions`, under `name`. One
    app may have several objects, under different names. Nothing else of an app is changed but its
    URL map.

    Without any API key configured, every HTTP request is answered 401, unless
    `allow_unauthenticated` is set, for an app that authenticates callers itself.
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
        self._access = (
            AnonymousAccess.EVERYONE if allow_unauthenticated else AnonymousAccess.KEYS_ONLY
        )
        self._url_prefix = url_prefix
        self._name = name
        if app is not None:
            self.init_app(app)

    def init_app(
        self,
        app: Flask,
        config: Config | None = None,
        url_prefix: str | _Unset | None = UNSET,
        name: str | None = None,
    ) -> None:
        """Add the API to the app, configured by `config` or by `app.config["CONTACT_ADAPTER"]`.

        The HTTP API is mounted below `url_prefix`; with None there is only the Python API. An
        argument that is not given has the value that was given to the constructor.

        Raises ConfigurationError and PluginError where the configuration cannot be used, and
        RuntimeError where the app already has an extension of this name.
        """
        chosen = self._config if config is None else config
        prefix = self._url_prefix if isinstance(url_prefix, _Unset) else url_prefix
        settings = load_settings(_read_config(app, chosen))
        for mount in settings.dialects:
            if mount.host is not None:
                message = "only the standalone server serves a dialect by host; use prefix"
                raise ConfigurationError(
                    [ConfigurationProblem(f"dialects.{mount.name}.host", message)]
                )
        if settings.dialects and prefix is None:
            message = "needs the HTTP API; give a url_prefix other than None, or remove the table"
            raise ConfigurationError([ConfigurationProblem("dialects", message)])
        install(
            app,
            settings,
            url_prefix=prefix,
            name=name or self._name,
            access=self._access,
            extension=self,
        )

    def for_app(self, app: Flask) -> Client:
        """Return the client of an app, for code outside of an application context.

        It works in any thread, in the worker of a task queue, and after a fork.
        """
        for state in app.extensions.values():
            if isinstance(state, ExtensionState) and state.extension is self:
                return state.contacts
        raise RuntimeError(f"this app has no extension named {self._name!r}; call init_app")

    def block(
        self,
        number: str | None = None,
        *,
        jid: str | None = None,
        user_id: str | None = None,
        account: str | None = None,
        verify: bool | None = None,
        reason: str | None = None,
        ref: str | None = None,
        idempotency_key: str | None = None,
    ) -> Result:
        """Block a contact, named by `number`, by `jid` or by `user_id`.

        `verify`: whether the change is read back; None means as the account is configured.
        """
        return self._contacts.block(
            number,
            jid=jid,
            user_id=user_id,
            account=account,
            verify=verify,
            reason=reason,
            ref=ref,
            idempotency_key=idempotency_key,
        )

    def unblock(
        self,
        number: str | None = None,
        *,
        jid: str | None = None,
        user_id: str | None = None,
        account: str | None = None,
        verify: bool | None = None,
        reason: str | None = None,
        ref: str | None = None,
        idempotency_key: str | None = None,
    ) -> Result:
        """Unblock a contact, named by `number`, by `jid` or by `user_id`.

        `verify`: whether the change is read back; None means as the account is configured.
        """
        return self._contacts.unblock(
            number,
            jid=jid,
            user_id=user_id,
            account=account,
            verify=verify,
            reason=reason,
            ref=ref,
            idempotency_key=idempotency_key,
        )

    def blocked(
        self,
        *,
        account: str | None = None,
        source: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Result:
        """Read the block list: the result's `.contacts`. See `Client.blocked`."""
        return self._contacts.blocked(account=account, source=source, limit=limit, cursor=cursor)

    def history(
        self,
        *,
        account: str | None = None,
        number: str | None = None,
        jid: str | None = None,
        user_id: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        code: str | None = None,
        via: str | None = None,
        key: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Result:
        """Read the calls in the ledger: the result's `.calls`. See `Client.history`."""
        return self._contacts.history(
            account=account,
            number=number,
            jid=jid,
            user_id=user_id,
            since=since,
            until=until,
            code=code,
            via=via,
            key=key,
            limit=limit,
            cursor=cursor,
        )

    def status(self, *, account: str | None = None) -> Result:
        """Read whether the account's WhatsApp session is connected: the result's `.session`."""
        return self._contacts.status(account=account)

    def lookup(
        self, numbers: Iterable[str], *, account: str | None = None, candidates: bool = False
    ) -> Result:
        """Look up which of 1 to 100 numbers are on WhatsApp: the result's `.lookups`, in order.

        With `candidates`, also the other form of a Brazilian, Mexican or Argentinian number.
        """
        return self._contacts.lookup(numbers, account=account, candidates=candidates)

    def state(
        self,
        number: str | None = None,
        *,
        jid: str | None = None,
        user_id: str | None = None,
        account: str | None = None,
    ) -> Result:
        """Read whether a contact is blocked: the result's `.state`."""
        return self._contacts.state(number, jid=jid, user_id=user_id, account=account)

    def batch(
        self,
        source: Source,
        *,
        action: Action | str | None = None,
        account: str | None = None,
        verify: bool = False,
        start: bool = True,
        wait: bool = True,
        progress: Progress | None = None,
    ) -> Batch:
        """Block or unblock many contacts, and return the batch. See `Client.batch`."""
        return self._contacts.batch(
            source,
            action=action,
            account=account,
            verify=verify,
            start=start,
            wait=wait,
            progress=progress,
        )

    def batch_items(
        self, batch_id: int, *, status: str | Iterable[str] | None = None
    ) -> Iterator[Item]:
        """Yield the rows of a batch. See `Client.batch_items`."""
        return self._contacts.batch_items(batch_id, status=status)

    @property
    def _contacts(self) -> Client:
        if not has_app_context():
            raise RuntimeError(
                "there is no application context; push one (with app.app_context(): …), "
                "or use contacts.for_app(app)"
            )
        return self.for_app(current_app)


def install(
    app: Flask,
    settings: Settings,
    *,
    url_prefix: str | None,
    name: str,
    access: AnonymousAccess,
    extension: ContactAdapter | None = None,
) -> ExtensionState:
    """Add the API to the app; return its new entry in `app.extensions`.

    Raises RuntimeError where the app already has an extension of this name, and ValueError or
    LookupError where Flask does not accept the name or the prefix.
    """
    if name in app.extensions:
        raise RuntimeError(
            f"this app already has an extension named {name!r}; "
            'give this one another name: ContactAdapter(name="…")'
        )
    prefix = None if url_prefix is None else url_prefix.rstrip("/")
    for other in app.extensions.values():
        if not isinstance(other, ExtensionState):
            continue
        if extension is not None and other.extension is extension:
            raise RuntimeError(
                "this object already serves this app; make a second ContactAdapter object"
            )
        if prefix is not None and other.prefix == prefix:
            raise RuntimeError(
                f"another extension is already mounted at {prefix or '/'}; "
                'choose another prefix: ContactAdapter(url_prefix="…")'
            )
    service = make_service(settings)
    state = ExtensionState(
        service, Client(service, ANONYMOUS), Authenticator(service, access), extension, prefix
    )
    if url_prefix is not None:
        _mount_http_api(app, state, name, url_prefix)
    app.extensions[name] = state
    return state


def _mount_http_api(app: Flask, state: ExtensionState, name: str, url_prefix: str) -> None:
    service, authenticator = state.service, state.authenticator
    blueprint = Blueprint(name, __name__)
    # With host matching, a rule without a host never matches.
    host = "<contact_adapter_host>" if app.url_map.host_matching else None
    ApiViews(service, authenticator).add_to(blueprint, host)
    BatchViews(service, authenticator, state.contacts.batches).add_to(blueprint, host)
    PlanViews(service, authenticator, state.contacts.batches).add_to(blueprint, host)
    for mount in service.settings.dialects:
        views = DialectViews(contain(mount.dialect), service, authenticator, mount.cors_origins)
        views.add_to(blueprint, mount.prefix, host)
    if url_prefix:
        # An invalid prefix raises here, before the app is changed.
        Map([Rule(url_prefix)], converters=app.url_map.converters)
    app.register_blueprint(blueprint, url_prefix=url_prefix or None)
    if authenticator.refuses_all:
        log.warning(
            "no API key is configured, so every HTTP request will be answered 401; configure "
            "[keys], or set allow_unauthenticated where callers are authenticated elsewhere"
        )


def _read_config(app: Flask, config: Config | None) -> Mapping[str, Any]:
    given = config if config is not None else app.config.get(CONFIG_KEY)
    if isinstance(given, Mapping):
        return given
    if isinstance(given, (str, Path)):
        return read_toml(Path(given))
    where = f'app.config["{CONFIG_KEY}"]'
    raise ConfigurationError(
        [
            ConfigurationProblem(
                where, "must be the configuration: a mapping, or the path of a TOML file"
            )
        ]
    )
