"""One block/unblock API in front of any WhatsApp HTTP provider.

`connect()` gives the Python API, `ContactAdapter` the Flask extension, `create_app()` the whole
server. Authors of plugins use `adapter.plugin`, and `adapter.testing` in their tests.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from adapter.codes import Action, Applied, Code, Confirmation, Retry
from adapter.contacts import Contact, ContactError
from adapter.errors import ConfigurationError, ConfigurationProblem, PluginError, RequestError
from adapter.results import Command, ContactList, Outcome, OutcomeError, Result
from adapter.secret import Secret

if TYPE_CHECKING:
    from adapter.client import Client, connect
    from adapter.web.app import create_app
    from adapter.web.extension import ContactAdapter

__all__ = [
    "Action",
    "Applied",
    "Client",
    "Code",
    "Command",
    "ConfigurationError",
    "ConfigurationProblem",
    "Confirmation",
    "Contact",
    "ContactAdapter",
    "ContactError",
    "ContactList",
    "Outcome",
    "OutcomeError",
    "PluginError",
    "RequestError",
    "Result",
    "Retry",
    "Secret",
    "connect",
    "create_app",
]

# Imported on first use, so that importing `adapter` loads neither Flask nor requests.
_LAZY: Final = {
    "Client": "adapter.client",
    "ContactAdapter": "adapter.web.extension",
    "connect": "adapter.client",
    "create_app": "adapter.web.app",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'adapter' has no attribute {name!r}")
