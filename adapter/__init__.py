"""One block/unblock API in front of any WhatsApp HTTP provider."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from adapter.codes import Action, Applied, Code, Confirmation, Retry
from adapter.contacts.contact import Contact, ContactError, NotAPersonError
from adapter.contacts.forms import ContactForm
from adapter.contacts.identity import Relation, identity_key, relation
from adapter.dialect import Dialect, DialectRequest, read_bearer
from adapter.error_rules import ErrorRule, Provenance
from adapter.errors import ConfigurationError, ConfigurationProblem, PluginError, RequestError
from adapter.evidence import bounded_wait, read_contacts, read_jid, says_failure
from adapter.hookspecs import hookimpl
from adapter.http import Headers, HttpRequest, HttpResponse, json_response
from adapter.options import SecretField, session_field
from adapter.privacy import Secret
from adapter.provider import LocalProvider, Provider, SessionLocation
from adapter.request_fields import (
    invalid_field,
    read_contact,
    read_number_or_jid,
    read_object,
    read_texts,
    require_number,
)
from adapter.results import Command, ContactList, Outcome, OutcomeError, Result
from adapter.route import Route
from adapter.strict_json import Json, StrictJsonError, read_json

if TYPE_CHECKING:
    from adapter.client import connect
    from adapter.web.app import create_app
    from adapter.web.extension import ContactAdapter

__all__ = [
    "Action",
    "Applied",
    "Code",
    "Command",
    "ConfigurationError",
    "ConfigurationProblem",
    "Confirmation",
    "Contact",
    "ContactAdapter",
    "ContactError",
    "ContactForm",
    "ContactList",
    "Dialect",
    "DialectRequest",
    "ErrorRule",
    "Headers",
    "HttpRequest",
    "HttpResponse",
    "Json",
    "LocalProvider",
    "NotAPersonError",
    "Outcome",
    "OutcomeError",
    "PluginError",
    "Provenance",
    "Provider",
    "Relation",
    "RequestError",
    "Result",
    "Retry",
    "Route",
    "Secret",
    "SecretField",
    "SessionLocation",
    "StrictJsonError",
    "bounded_wait",
    "connect",
    "create_app",
    "hookimpl",
    "identity_key",
    "invalid_field",
    "json_response",
    "read_bearer",
    "read_contact",
    "read_contacts",
    "read_jid",
    "read_json",
    "read_number_or_jid",
    "read_object",
    "read_texts",
    "relation",
    "require_number",
    "says_failure",
    "session_field",
]

# Imported on first use, so that providers, which import this package, load no Flask and requests.
_LAZY: Final = {
    "ContactAdapter": "adapter.web.extension",
    "connect": "adapter.client",
    "create_app": "adapter.web.app",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'adapter' has no attribute {name!r}")
