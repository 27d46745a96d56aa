"""The Python API: `connect()` and `Client`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from adapter.api_keys import ANONYMOUS, Caller
from adapter.codes import Action
from adapter.errors import RequestError
from adapter.logs import log_event
from adapter.results import Command, Result
from adapter.service import Service, describe_call, new_request_id
from adapter.settings.loader import load_settings
from adapter.settings.toml_file import read_toml


class Client:
    """The block lists of a service. Every call returns a Result, also for an invalid contact."""

    def __init__(self, service: Service, caller: Caller) -> None:
        self.service = service
        self._caller = caller

    def block(
        self,
        number: str | None = None,
        *,
        jid: str | None = None,
        user_id: str | None = None,
        account: str | None = None,
    ) -> Result:
        """Block a contact, named by `number`, by `jid` or by `user_id`."""
        return self._perform(Action.BLOCK, account, number, jid, user_id)

    def unblock(
        self,
        number: str | None = None,
        *,
        jid: str | None = None,
        user_id: str | None = None,
        account: str | None = None,
    ) -> Result:
        """Unblock a contact, named by `number`, by `jid` or by `user_id`."""
        return self._perform(Action.UNBLOCK, account, number, jid, user_id)

    def blocked(self, *, account: str | None = None) -> Result:
        """Read the block list; its contacts are in `.contacts`."""
        return self._perform(Action.LIST, account)

    def _perform(self, action: Action, account: str | None, *ids: str | None) -> Result:
        chosen = None  # stays None for an unknown name, which may hold a secret or a number
        try:
            chosen = self.service.choose_account(self._caller, account)
            contact = None if action is Action.LIST else self.service.read_contact(*ids)
            result = self.service.perform(chosen, Command(action, contact))
        except RequestError as error:
            result = Result(error.outcome, account=chosen, request_id=new_request_id())
        log_event("call", **describe_call(result))
        return result

    def close(self) -> None:
        """Close all connections. A later call opens new ones."""
        self.service.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(config: str | Path | Mapping[str, Any]) -> Client:
    """Return a client for a configuration: a TOML file, or a mapping of the same structure.

    Raises ConfigurationError and PluginError as `load_settings` does.
    """
    mapping = config if isinstance(config, Mapping) else read_toml(Path(config))
    return Client(Service(load_settings(mapping)), ANONYMOUS)
