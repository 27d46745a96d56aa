"""Check the classes of a plugin when it is loaded, so that an error is found before any call.

Routes, error codes and error rules are checked when a class is created (`adapter.provider`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from datetime import date
from types import NoneType
from typing import Any, Final

from marshmallow import Schema

from adapter.codes import Action, Confirmation
from adapter.contacts import ContactForm
from adapter.dialect import Dialect
from adapter.errors import PluginError
from adapter.options import SecretField
from adapter.provider import Provider, SessionLocation
from adapter.route import PLACEHOLDER, check_header_template
from adapter.urls import is_plain_url

ACCOUNT_KEYS: Final = frozenset(
    {
        *("provider", "base_url", "aliases", "allow_insecure", "transport", "headers", "verify"),
        "pace",
        *("fallback", "phone"),
    }
)
"""The keys of an account that belong to the core; a provider's options cannot have these names."""

PROVIDER_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
"""The form of a provider's name: lower-case words joined by dashes."""

_ATTRIBUTES: Final[tuple[tuple[str, Any, str], ...]] = (
    ("documentation", str, "a text"),
    ("base_url", (str, NoneType), "a text, or None"),
    ("session_location", SessionLocation, "a SessionLocation"),
    ("confirmation", Confirmation, "a Confirmation"),
    ("contact_forms", (tuple, list), "a tuple of ContactForm"),
    ("verified_on", (str, NoneType), "a text, or None"),
    ("header_templates", Mapping, "a mapping"),
    ("max_lookup", int, "a number"),
    ("max_contacts", int, "a number"),
    ("max_blocked", (int, NoneType), "a number, or None"),
    ("blocks_only_recent", (int, NoneType), "a number of hours, or None"),
    ("status_words", Mapping, "a mapping"),
)
"""The attributes of a provider that the core reads: name, type, and the type in words."""


_METHODS: Final[Mapping[Action, tuple[str, ...]]] = {
    Action.LOOKUP: ("build_lookup", "parse_lookup"),
    Action.STATE: ("build_state", "parse_state"),
}
"""The methods that a provider needs for a read."""

_BATCH_METHODS: Final = ("build_batch_request", "split_response")
"""The methods that a provider needs for several contacts in one request."""


def check_provider(provider: type[Provider]) -> None:
    """Raise PluginError for a provider class that cannot be used; its text names the attribute."""
    name = provider.__name__
    _check_is_complete(provider)
    own = getattr(provider, "name", None)
    if not (isinstance(own, str) and PROVIDER_NAME.fullmatch(own)):
        raise PluginError(f'{name}.name must be lower-case words joined by dashes: "acme-chat"')
    if not (isinstance(getattr(provider, "title", None), str) and provider.title):
        raise PluginError(f'{name}.title must be a text: "Acme Chat"')
    if not all(isinstance(each, Action) for each in provider.actions()):
        raise PluginError(f"{name}.actions must return Actions; write routes in place of it")
    if not provider.actions():
        raise PluginError(
            f'{name}.routes must have an action; write {{"block": ("POST", "/contacts/block")}}'
        )
    for attribute, kind, words in _ATTRIBUTES:
        if not isinstance(getattr(provider, attribute), kind):
            raise PluginError(f"{name}.{attribute} must be {words}")
    for attribute in ("max_lookup", "max_contacts", "max_blocked", "blocks_only_recent"):
        number = getattr(provider, attribute)
        if number is not None and number < 1:
            raise PluginError(f"{name}.{attribute} must be at least 1")
    for route in provider.all_routes():
        _check_methods(provider, route.action, _METHODS.get(route.action, ()))
        if route.action is Action.STATUS and not provider.status_at:
            _check_methods(provider, route.action, ("parse_status",), "status_at, or ")
    if provider.max_contacts > 1:
        for method in _BATCH_METHODS:
            if getattr(provider, method) is getattr(Provider, method):
                raise PluginError(f"{name}.max_contacts is above 1, so it needs {method}")
    if provider.prefers_lid and ContactForm.LID not in provider.contact_forms:
        raise PluginError(f"{name}.prefers_lid needs ContactForm.LID in {name}.contact_forms")
    if provider.base_url is not None and not is_plain_url(provider.base_url):
        raise PluginError(
            f"{name}.base_url must be an http or https URL without a query or credentials: "
            '"https://api.acme.example", or None'
        )
    if not all(isinstance(each, ContactForm) for each in provider.contact_forms):
        raise PluginError(f"{name}.contact_forms must be a tuple of ContactForm")
    _check_date(f"{name}.verified_on", provider.verified_on)
    if not (inspect.isclass(provider.Options) and issubclass(provider.Options, Schema)):
        raise PluginError(f"{name}.Options must be a schema; write class Options(p.Options)")
    fields = provider.Options().fields
    taken = sorted(ACCOUNT_KEYS & {field.data_key or key for key, field in fields.items()})
    if taken:
        raise PluginError(
            f"{name}.Options has keys of the core: {', '.join(taken)}; rename the options"
        )
    options = {field.attribute or key: field for key, field in fields.items()}
    _check_headers(provider, options)
    _check_secrets_in_paths(provider, options)


def _check_methods(
    provider: type[Provider], action: Action, methods: tuple[str, ...], others: str = ""
) -> None:
    for method in methods:
        if getattr(provider, method) is getattr(Provider, method):
            raise PluginError(
                f"{provider.__name__}.routes has {action}, so it needs {others}{method}"
            )


def _check_date(where: str, text: str | None) -> None:
    try:
        is_date = text is None or date.fromisoformat(text).isoformat() == text
    except ValueError:
        is_date = False
    if not is_date:
        raise PluginError(f"{where} must be a date as YYYY-MM-DD, or None")


def _check_headers(provider: type[Provider], options: Mapping[str, Any]) -> None:
    where = f"{provider.__name__}.header_templates"
    for header, template in provider.header_templates.items():
        if not (isinstance(header, str) and isinstance(template, str)):
            raise PluginError(f"{where} must map texts to texts")
        check_header_template(where, header, template)
        for option in PLACEHOLDER.findall(template):
            if option not in options:
                known = ", ".join(sorted(options)) or "none"
                raise PluginError(
                    f"{where}: {header} has {{{option}}}, but Options has no {option}; "
                    f"the options are: {known}"
                )


def _check_secrets_in_paths(provider: type[Provider], options: Mapping[str, Any]) -> None:
    """Raise PluginError for a secret in a path whose field lacks `in_path`.

    A secret used in a path must be `SecretField(in_path=True)`, so that an unsafe value is refused
    at load.
    """
    for route in provider.all_routes():
        for name in route.names:
            option = options.get(name)
            if isinstance(option, SecretField) and not option.in_path:
                raise PluginError(
                    f"{provider.__name__}.routes: {route.action} has the secret {{{name}}} in its "
                    "path; write SecretField(in_path=True)"
                )


def check_dialect(dialect: type[Dialect]) -> None:
    """Raise PluginError for a dialect class that cannot be used, or whose provider cannot."""
    _check_is_complete(dialect)
    check_provider(dialect.provider)


def _check_is_complete(checked: type) -> None:
    missing = sorted(getattr(checked, "__abstractmethods__", ()))
    if missing:
        raise PluginError(f"{checked.__name__} lacks the methods: {', '.join(missing)}")
