"""Do what a command says for an account, whoever asks: a view, a dialect, a shell, a task."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, Self

from adapter.codes import Action, Code
from adapter.contact import Contact
from adapter.errors import RequestError
from adapter.keys import ANYONE, Caller
from adapter.outcome import Command, Outcome, Result
from adapter.provider import LocalProvider, Provider, invalid_field, read_contact
from adapter.settings import AccountSettings, Settings, load_settings, read_toml
from adapter.transport import Transport
from adapter.wire import HttpRequest, HttpResponse

log = logging.getLogger("adapter")


def new_request_id() -> str:
    """Return an id for a call that came without one."""
    return secrets.token_hex(16)


class Account:
    """A configured account, ready to be called."""

    def __init__(self, settings: AccountSettings) -> None:
        self.name = settings.name
        self.aliases = settings.aliases
        self.provider: Provider = settings.provider(settings.options)
        self._transport: Transport | None = None
        self._send: Callable[[HttpRequest, str], HttpResponse | Outcome]
        if isinstance(self.provider, LocalProvider):
            answer = self.provider.answer
            self._send = lambda request, _: answer(request)
        else:
            self._transport = Transport(settings.base_url or "", settings.transport)
            self._send = self._transport.send
        self._free = BoundedSemaphore(settings.transport.max_in_flight)

    def call(self, command: Command, request_id: str) -> tuple[Outcome, int]:
        """Return what became of the command, and how many requests were sent for it."""
        if command.action not in self.provider.actions():
            return Outcome.failure(Code.OPERATION_NOT_SUPPORTED), 0
        try:
            request = self.provider.build_request(command)
        except RequestError as error:
            return error.outcome, 0
        if not self._free.acquire(blocking=False):
            return Outcome.failure(Code.OVERLOADED, retry_after=1), 0
        try:
            answer = self._send(request, request_id)
        finally:
            self._free.release()
        if isinstance(answer, Outcome):
            return answer, 1
        return self.provider.read_response(command, answer), 1

    def close(self) -> None:
        """Close the account's connections."""
        if self._transport is not None:
            self._transport.close()


class Service:
    """The accounts of one configuration. It knows no web framework and is safe in threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.accounts = {name: Account(each) for name, each in settings.accounts.items()}
        self._native = {
            alias: name for name, each in self.accounts.items() for alias in each.aliases
        }
        self._native.update({name: name for name in self.accounts})

    def perform(self, account: str, command: Command, *, request_id: str | None = None) -> Result:
        """Carry out the command for the account and return what became of it, with the facts.

        Raises RequestError (`account_not_found`) for a name that is not configured.
        """
        started = time.monotonic()
        request_id = request_id or new_request_id()
        target = self.accounts.get(account)
        if target is None:
            raise RequestError(Outcome.failure(Code.ACCOUNT_NOT_FOUND))
        outcome, attempts = target.call(command, request_id)
        log.debug(
            "call account=%s provider=%s action=%s code=%s attempts=%d request_id=%s",
            account,
            target.provider.name,
            command.action.value,
            outcome.code.value if outcome.code else "ok",
            attempts,
            request_id,
        )
        return Result(
            outcome,
            command,
            account,
            target.provider.name,
            attempts,
            round((time.monotonic() - started) * 1000),
            request_id,
        )

    def choose_account(
        self, caller: Caller, name: str | None = None, *, native: bool = False
    ) -> str:
        """Return the account that the caller means by `name`, or by naming none.

        With `native`, an alias is a name too. Raises RequestError (`account_not_found`) alike for
        an account that does not exist and for one that is not the caller's.
        """
        chosen = name
        if name is None:
            chosen = self._default_for(caller)
            if chosen is None:
                raise invalid_field("account", "is required, since there is no default account")
        elif native:
            chosen = self._native.get(name)
        if chosen is None or chosen not in self.accounts or not caller.may_use(chosen):
            raise RequestError(Outcome.failure(Code.ACCOUNT_NOT_FOUND))
        return chosen

    def accounts_of(self, caller: Caller) -> list[Account]:
        """Return the accounts that the caller may use."""
        return [each for name, each in self.accounts.items() if caller.may_use(name)]

    def read_contact(self, number: str | None = None, jid: str | None = None) -> Contact:
        """Return the contact, by the rules of the configuration.

        Raises RequestError where the texts name nobody who can be blocked.
        """
        return read_contact(number=number, jid=jid, default_region=self.settings.default_region)

    def close(self) -> None:
        """Close all connections. A later call opens new ones."""
        for account in self.accounts.values():
            account.close()

    def _default_for(self, caller: Caller) -> str | None:
        if caller.default_account is not None:
            return caller.default_account
        default = self.settings.default_account
        if default is not None and caller.may_use(default):
            return default
        mine = self.accounts_of(caller)
        return mine[0].name if len(mine) == 1 else None


class Contacts:
    """Block lists from Python. Every call returns a Result; a bad target is one too."""

    def __init__(self, service: Service, caller: Caller) -> None:
        self.service = service
        self._caller = caller

    def block(
        self, number: str | None = None, *, jid: str | None = None, account: str | None = None
    ) -> Result:
        """Block a contact, named by `number` or by `jid`."""
        return self._change(Action.BLOCK, number, jid, account)

    def unblock(
        self, number: str | None = None, *, jid: str | None = None, account: str | None = None
    ) -> Result:
        """Unblock a contact, named by `number` or by `jid`."""
        return self._change(Action.UNBLOCK, number, jid, account)

    def blocked(self, *, account: str | None = None) -> Result:
        """Read the block list; its contacts are in `.contacts`."""
        return self._perform(account, lambda: Command(Action.LIST))

    def _change(
        self, action: Action, number: str | None, jid: str | None, account: str | None
    ) -> Result:
        def command() -> Command:
            return Command(action, self.service.read_contact(number, jid))

        return self._perform(account, command)

    def _perform(self, account: str | None, command: Callable[[], Command]) -> Result:
        try:
            chosen = self.service.choose_account(self._caller, account)
            return self.service.perform(chosen, command())
        except RequestError as error:
            return Result(error.outcome, account=account, request_id=new_request_id())

    def close(self) -> None:
        """Close all connections. A later call opens new ones."""
        self.service.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(config: str | Path | Mapping[str, Any]) -> Contacts:
    """Return the block lists of a configuration: a TOML file, or a mapping of the same shape.

    Raises ConfigurationError and PluginError as `load_settings` does.
    """
    mapping = config if isinstance(config, Mapping) else read_toml(Path(config))
    return Contacts(Service(load_settings(mapping)), ANYONE)
