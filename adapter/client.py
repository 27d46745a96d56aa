"""The Python API: `connect()` and `Client`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from adapter.api_keys import ANONYMOUS, Caller
from adapter.codes import Action
from adapter.errors import RequestError
from adapter.logs import log_event
from adapter.request_fields import invalid_field
from adapter.results import Command, Result
from adapter.service import Service, describe_call, new_request_id
from adapter.settings.loader import load_settings
from adapter.settings.toml_file import read_toml


class Client:
    """The changes and reads of a service's accounts.

    Every call returns a Result, also for an invalid contact.
    """

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
        verify: bool | None = None,
    ) -> Result:
        """Block a contact, named by `number`, by `jid` or by `user_id`.

        `verify`: whether the change is read back; None means as the account is configured.
        """
        return self._change(Action.BLOCK, account, verify, number, jid, user_id)

    def unblock(
        self,
        number: str | None = None,
        *,
        jid: str | None = None,
        user_id: str | None = None,
        account: str | None = None,
        verify: bool | None = None,
    ) -> Result:
        """Unblock a contact, named by `number`, by `jid` or by `user_id`.

        `verify`: whether the change is read back; None means as the account is configured.
        """
        return self._change(Action.UNBLOCK, account, verify, number, jid, user_id)

    def blocked(self, *, account: str | None = None) -> Result:
        """Read the block list; its contacts are in `.contacts`."""
        return self._perform(account, lambda: Command(Action.LIST))

    def status(self, *, account: str | None = None) -> Result:
        """Read whether the account's WhatsApp session is connected; it is in `.session`."""
        return self._perform(account, lambda: Command(Action.STATUS))

    def lookup(
        self, numbers: Iterable[str], *, account: str | None = None, candidates: bool = False
    ) -> Result:
        """Look up which of 1 to 100 numbers are on WhatsApp; in their order, in `.lookups`.

        With `candidates`, also the other form of a Brazilian, Mexican or Argentinian number.
        """

        def make_command() -> Command:
            _require_flag("candidates", candidates)
            contacts = self.service.read_numbers(numbers)
            return Command(Action.LOOKUP, contacts=contacts, candidates=candidates)

        return self._perform(account, make_command)

    def state(
        self,
        number: str | None = None,
        *,
        jid: str | None = None,
        user_id: str | None = None,
        account: str | None = None,
    ) -> Result:
        """Read whether a contact is blocked; it is in `.state`."""

        def make_command() -> Command:
            return Command(Action.STATE, self.service.read_contact(number, jid, user_id))

        return self._perform(account, make_command)

    def _change(
        self, action: Action, account: str | None, verify: bool | None, *ids: str | None
    ) -> Result:
        def make_command() -> Command:
            if verify is not None:
                _require_flag("verify", verify)
            return Command(action, self.service.read_contact(*ids), verify=verify)

        return self._perform(account, make_command)

    def _perform(self, account: str | None, make_command: Callable[[], Command]) -> Result:
        chosen = None  # stays None for an unknown name, which may hold a secret or a number
        try:
            chosen = self.service.choose_account(self._caller, account)
            result = self.service.perform(chosen, make_command())
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


def _require_flag(name: str, value: object) -> None:
    """Raise RequestError for anything but a boolean: "false" would count as true."""
    if not isinstance(value, bool):
        raise invalid_field(name, "must be True or False")


def connect(config: str | Path | Mapping[str, Any]) -> Client:
    """Return a client for a configuration: a TOML file, or a mapping of the same structure.

    Raises ConfigurationError and PluginError as `load_settings` does.
    """
    mapping = config if isinstance(config, Mapping) else read_toml(Path(config))
    return Client(Service(load_settings(mapping)), ANONYMOUS)
