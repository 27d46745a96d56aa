"""Check the classes of a plugin when it is loaded, so that a fault is found before any call."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from types import NoneType
from typing import Any, Final

from marshmallow import Schema

from adapter.codes import Confirmation
from adapter.contacts.forms import ContactForm
from adapter.dialect import Dialect
from adapter.errors import PluginError
from adapter.provider import Provider, SessionLocation
from adapter.route import PLACEHOLDER

ACCOUNT_KEYS: Final = frozenset(
    {"provider", "base_url", "aliases", "allow_insecure", "transport", "headers"}
)
"""The keys of an account that belong to the core; a provider's options cannot have these names."""

PROVIDER_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
"""How a provider may be called: lower-case words joined by dashes."""

_ATTRIBUTES: Final[tuple[tuple[str, Any, str], ...]] = (
    ("documentation", str, "a text"),
    ("base_url", (str, NoneType), "a text, or None"),
    ("session_location", SessionLocation, "a SessionLocation"),
    ("confirmation", Confirmation, "a Confirmation"),
    ("contact_forms", (tuple, list), "a tuple of ContactForm"),
    ("verified_on", (str, NoneType), "a text, or None"),
    ("header_templates", Mapping, "a mapping"),
)
"""The attributes of a provider that the core reads: name, type, and the type in words."""


def check_provider(provider: type[Provider]) -> None:
    """Raise PluginError for a provider class that cannot be used, with the attribute at fault."""
    name = provider.__name__
    _check_is_complete(provider)
    own = getattr(provider, "name", None)
    if not (isinstance(own, str) and PROVIDER_NAME.fullmatch(own)):
        raise PluginError(f"{name}.name must be lower-case words joined by dashes")
    if not (isinstance(getattr(provider, "title", None), str) and provider.title):
        raise PluginError(f"{name}.title must be a text for people")
    if not provider.actions():
        raise PluginError(f"{name}.routes must have at least one action")
    for attribute, kind, words in _ATTRIBUTES:
        if not isinstance(getattr(provider, attribute), kind):
            raise PluginError(f"{name}.{attribute} must be {words}")
    if not all(isinstance(each, ContactForm) for each in provider.contact_forms):
        raise PluginError(f"{name}.contact_forms must hold ContactForm only")
    if not (inspect.isclass(provider.Options) and issubclass(provider.Options, Schema)):
        raise PluginError(f"{name}.Options must be a marshmallow Schema")
    _check_options(provider)


def _check_options(provider: type[Provider]) -> None:
    """Check the names of the options, and those in the headers."""
    fields = provider.Options().fields
    options = {field.attribute or key for key, field in fields.items()}
    taken = sorted(ACCOUNT_KEYS & {field.data_key or key for key, field in fields.items()})
    if taken:
        raise PluginError(f"{provider.__name__}.Options has keys of the core: {', '.join(taken)}")
    for header, template in provider.header_templates.items():
        for option in PLACEHOLDER.findall(template):
            if option not in options:
                known = ", ".join(sorted(options)) or "none"
                raise PluginError(
                    f"{provider.__name__}.header_templates: {header} names the option {option}, "
                    f"which Options does not have; the options are: {known}"
                )


def check_dialect(dialect: type[Dialect]) -> None:
    """Raise PluginError for a dialect class that cannot be used, or whose provider cannot."""
    _check_is_complete(dialect)
    check_provider(dialect.provider)


def _check_is_complete(checked: type) -> None:
    missing = sorted(getattr(checked, "__abstractmethods__", ()))
    if missing:
        raise PluginError(f"{checked.__name__} lacks {', '.join(missing)}")
