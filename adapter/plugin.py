"""The names for authors of plugins: `from adapter import plugin as p`.

Nothing here uses a network or a web framework. `SecretField` alone reads files and the environment.
"""

from __future__ import annotations

from adapter.codes import Action, Applied, Code, Confirmation, Retry
from adapter.contacts import (
    Contact,
    ContactError,
    ContactForm,
    NotAPersonError,
    Relation,
    identity_key,
    relation,
)
from adapter.dialect import Dialect, DialectRequest, read_bearer
from adapter.error_rules import ErrorRule
from adapter.errors import PluginError, RequestError
from adapter.evidence import (
    bounded_wait,
    find_values,
    read_contacts,
    read_jid,
    read_lookup,
    read_lookup_by_keys,
    read_number,
    read_person,
    says_failure,
    without,
)
from adapter.hookspecs import Registry, hookimpl
from adapter.http import Headers, HttpRequest, HttpResponse, json_response
from adapter.options import Options, SecretField, session_field
from adapter.provider import LocalProvider, Provider, SessionLocation
from adapter.readings import BlockState, Lookup, Session, SessionState, Unverified
from adapter.request_fields import (
    invalid_field,
    read_contact,
    read_native_numbers,
    read_number_or_jid,
    read_object,
    read_texts,
    require_number,
)
from adapter.results import Command, ContactList, Outcome
from adapter.secret import Secret
from adapter.strict_json import Json, StrictJsonError, read_json

__all__ = [
    "Action",
    "Applied",
    "BlockState",
    "Code",
    "Command",
    "Confirmation",
    "Contact",
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
    "Lookup",
    "NotAPersonError",
    "Options",
    "Outcome",
    "PluginError",
    "Provider",
    "Registry",
    "Relation",
    "RequestError",
    "Retry",
    "Secret",
    "SecretField",
    "Session",
    "SessionLocation",
    "SessionState",
    "StrictJsonError",
    "Unverified",
    "bounded_wait",
    "find_values",
    "hookimpl",
    "identity_key",
    "invalid_field",
    "json_response",
    "read_bearer",
    "read_contact",
    "read_contacts",
    "read_jid",
    "read_json",
    "read_lookup",
    "read_lookup_by_keys",
    "read_native_numbers",
    "read_number",
    "read_number_or_jid",
    "read_object",
    "read_person",
    "read_texts",
    "relation",
    "require_number",
    "says_failure",
    "session_field",
    "without",
]
