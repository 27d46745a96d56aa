"""Do what a command says for an account, whoever asks: a view, a dialect, a shell, a task."""

from __future__ import annotations

import logging
import math
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol, Self

from adapter.codes import Action, Code
from adapter.contact import Contact
from adapter.errors import RequestError
from adapter.keys import ANYONE, Caller
from adapter.logs import write_line
from adapter.outcome import Command, Outcome, Result
from adapter.provider import LocalProvider, Provider, invalid_field, read_contact
from adapter.resilience import Resilience, Verdict
from adapter.settings import AccountSettings, Settings, load_settings, read_toml
from adapter.transport import Transport
from adapter.wire import HttpRequest, HttpResponse

MAX_PAGES: Final = 100
"""Most pages of a list that are read. A longer list is an error, and never a shorter one."""


def new_request_id() -> str:
    """Return an id for a call that came without one."""
    return secrets.token_hex(16)


class Account:
    """A configured account, ready to be called."""

    def __init__(self, settings: AccountSettings) -> None:
        self.name = settings.name
        self.aliases = settings.aliases
        self.provider: Provider = settings.provider(settings.options)
        self._settings = settings
        self._bounds = (os.getpid(), Resilience(settings.name, settings.transport))
        self._transport: Transport | None = None
        self._exchange: Callable[[HttpRequest, str, float], HttpResponse | Outcome]
        if isinstance(self.provider, LocalProvider):
            answer = self.provider.answer
            self._exchange = lambda request, *_: answer(request)
        else:
            self._transport = Transport(settings.base_url or "", settings.transport)
            self._exchange = self._transport.send

    @property
    def resilience(self) -> Resilience:
        """The bounds of this process's calls.

        After a fork they are new: nothing that the parent has in flight will ever end here.
        """
        process = os.getpid()
        if self._bounds[0] != process:
            self._bounds = (process, Resilience(self.name, self._settings.transport))
        return self._bounds[1]

    def call(self, command: Command, request_id: str) -> Verdict:
        """Return what became of the command, and how many attempts were made for it."""
        if command.action not in self.provider.actions():
            return Verdict(Outcome.failure(Code.OPERATION_NOT_SUPPORTED), 0)
        try:
            request = self.provider.build_request(command)
        except RequestError as error:
            return Verdict(error.outcome, 0)

        def attempt(ends: float) -> Outcome:
            started = time.monotonic()
            outcome = self._ask(command, request, request_id, ends)
            self._log_attempt(command, outcome, time.monotonic() - started, request_id)
            return outcome

        if self._transport is None:
            return Verdict(attempt(math.inf), 1)
        return self.resilience.call(attempt)

    def _ask(self, command: Command, request: HttpRequest, request_id: str, ends: float) -> Outcome:
        """Return what the provider answers; for a list, what all its pages say together."""
        found: list[Contact] = []
        status: int | None = None
        for _ in range(MAX_PAGES):
            answer = self._exchange(request, request_id, ends)
            if isinstance(answer, Outcome):
                return answer
            outcome = self.provider.read_response(command, answer)
            if outcome.contacts is None:
                return outcome
            found += outcome.contacts
            status = answer.status
            following = self.provider.build_next(command, answer)
            if following is None:
                return replace(outcome, contacts=tuple(dict.fromkeys(found)))
            if following == request:
                break  # it would go round for ever
            request = following
        return Outcome.failure(Code.PROVIDER_BAD_RESPONSE, upstream_status=status)

    def _log_attempt(
        self, command: Command, outcome: Outcome, seconds: float, request_id: str
    ) -> None:
        write_line(
            "attempt",
            level=logging.DEBUG if outcome.ok else logging.INFO,  # the line of the call says it too
            account=self.name,
            provider=self.provider.name,
            action=command.action.value,
            contact=command.contact.masked if command.contact else None,
            upstream=outcome.upstream_status,
            code=outcome.code.value if outcome.code else "ok",
            ms=round(seconds * 1000),
            request_id=request_id,
        )

    def close(self) -> None:
        """Close the account's connections."""
        if self._transport is not None:
            self._transport.close()


class Observer(Protocol):
    """Somebody who is told of every call of a service, such as its metrics."""

    def call_started(self, account: Account) -> None:
        """Take note that a call has begun."""

    def call_ended(
        self, account: Account, command: Command, result: Result | None, seconds: float
    ) -> None:
        """Take note that a call is over; `result` is None where it raised."""


class Service:
    """The accounts of one configuration. It knows no web framework and is safe in threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.observer: Observer | None = None
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
        observer, result = self.observer, None
        if observer is not None:
            observer.call_started(target)
        try:
            verdict = target.call(command, request_id)
            result = Result(
                verdict.outcome,
                command,
                account,
                target.provider.name,
                verdict.attempts,
                round((time.monotonic() - started) * 1000),
                request_id,
            )
            return result
        finally:
            if observer is not None:
                observer.call_ended(target, command, result, time.monotonic() - started)

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

    def read_contact(
        self, number: str | None = None, jid: str | None = None, user_id: str | None = None
    ) -> Contact:
        """Return the contact, by the rules of the configuration.

        Raises RequestError where the texts name nobody who can be blocked.
        """
        region = self.settings.default_region
        return read_contact(number=number, jid=jid, user_id=user_id, default_region=region)

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


def describe_call(result: Result) -> dict[str, Any]:
    """Return what a log line says of a call, whoever made it; the id of the request is the last."""
    command = result.command
    return {
        "account": result.account,
        "provider": result.provider,
        "action": command and command.action.value,
        "contact": command and command.contact and command.contact.masked,
        "code": result.code.value if result.code else "ok",
        "upstream": result.outcome.upstream_status,
        "attempts": result.attempts,
        "ms": result.duration_ms,
    }


class Contacts:
    """Block lists from Python. Every call returns a Result; a bad target is one too."""

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
        return self._change(Action.BLOCK, account, number, jid, user_id)

    def unblock(
        self,
        number: str | None = None,
        *,
        jid: str | None = None,
        user_id: str | None = None,
        account: str | None = None,
    ) -> Result:
        """Unblock a contact, named by `number`, by `jid` or by `user_id`."""
        return self._change(Action.UNBLOCK, account, number, jid, user_id)

    def blocked(self, *, account: str | None = None) -> Result:
        """Read the block list; its contacts are in `.contacts`."""
        return self._perform(account, lambda: Command(Action.LIST))

    def _change(self, action: Action, account: str | None, *target: str | None) -> Result:
        def command() -> Command:
            return Command(action, self.service.read_contact(*target))

        return self._perform(account, command)

    def _perform(self, account: str | None, command: Callable[[], Command]) -> Result:
        try:
            chosen = self.service.choose_account(self._caller, account)
            result = self.service.perform(chosen, command())
        except RequestError as error:
            result = Result(error.outcome, account=account, request_id=new_request_id())
        write_line("call", **describe_call(result), request_id=result.request_id)
        return result

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
