"""The Python API: `connect()` and `Client`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from adapter.api_keys import ANONYMOUS, Caller
from adapter.batch_calls import BatchCalls, Progress, Source
from adapter.codes import Action
from adapter.errors import RequestError
from adapter.logs import log_event
from adapter.pages import make_filters
from adapter.request_fields import invalid_field, read_idempotency_key, read_note
from adapter.results import Command, Result
from adapter.service import Service, describe_call, new_request_id
from adapter.settings.loader import load_settings
from adapter.settings.model import Settings
from adapter.settings.toml_file import read_toml

if TYPE_CHECKING:
    from adapter.batches import Batch, Item


class Client:
    """The changes and reads of a service's accounts.

    Every call returns a Result, also for an invalid contact; those of batches raise RequestError.
    `via` is recorded in the ledger.
    """

    def __init__(self, service: Service, caller: Caller, via: str = "python") -> None:
        self.service = service
        self._caller = caller
        self._via = via
        self.batches = BatchCalls(service)

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
        `reason` (a slug such as `opt_out`) and `ref` are for the ledger, and never sent. With an
        `idempotency_key` that was used before, the earlier result is returned; it needs a ledger.
        """
        note = (reason, ref, idempotency_key)
        return self._change(Action.BLOCK, account, verify, note, number, jid, user_id)

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

        The other arguments are as those of `block`.
        """
        note = (reason, ref, idempotency_key)
        return self._change(Action.UNBLOCK, account, verify, note, number, jid, user_id)

    def blocked(
        self,
        *,
        account: str | None = None,
        source: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Result:
        """Read the block list; its contacts are in `.contacts`.

        `source` is `provider` or `ledger`, by default the provider where it has a list. With
        `limit` or `cursor`, and from the ledger always, it is a page: the next one has `.cursor`.
        From the ledger, `.entries` holds what is known of each contact.
        """

        def call(chosen: str) -> Result:
            context = self._caller.context(self._via)
            return self.service.blocked(
                chosen, source=source, limit=limit, cursor=cursor, context=context
            )

        return self._run(account, call)

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
        """Read the calls in the ledger, the newest first: a page, in `.calls`.

        By default of the last 24 hours, of all accounts and contacts. `code` is an error code or
        `ok`; `via` is one of api, dialect, python, cli and batch; `key` is the name of an API key.
        """
        chosen = None
        try:
            accounts = self._caller.accounts
            if account is not None:
                chosen = self.service.choose_account(self._caller, account)
                accounts = frozenset({chosen})
            ids = (number, jid, user_id)
            is_about_one = any(each is not None for each in ids)
            filters = make_filters(
                accounts=accounts,
                contact=self.service.read_contact(*ids) if is_about_one else None,
                since=since,
                until=until,
                code=code,
                via=via,
                key_name=key,
            )
            result = self.service.history(filters, limit=limit, cursor=cursor)
        except RequestError as error:
            result = Result(error.outcome, account=chosen, request_id=new_request_id())
        log_event("history", **describe_call(result))
        return result

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
        """Block or unblock many contacts, and return the batch when it has ended.

        `source` is a path or a binary file of CSV, or an iterable of identifiers, or of mappings
        with `number`, `jid` or `user_id`, and `action`, `account`, `reason` and `ref`; of up to
        250,000 rows. Called again with the same rows, for example after a crash, it goes on with
        the unfinished batch.

        With `start=False`, the rows are stored and checked, and nothing is sent. With `wait=False`,
        the batch is left to the workers. `progress` gets the batch about every second.

        Raises RequestError, ValueError for a file that cannot be read as a whole, and OSError; then
        no row was stored or sent.
        """
        for name, flag in (("verify", verify), ("start", start), ("wait", wait)):
            _require_flag(name, flag)
        created = self.batches.store(
            source,
            self._caller,
            self._via,
            action=action,
            account=account,
            verify=verify,
            start=start,
        )
        batch: Batch = created.batch
        if not start:
            return batch
        stop = threading.Event()
        return self.batches.go_on(batch.id, self._caller, stop, progress, wait=wait)

    def batch_items(
        self, batch_id: int, *, status: str | Iterable[str] | None = None
    ) -> Iterator[Item]:
        """Yield the rows of a batch in their order, those with this status, or one of several.

        Raises RequestError.
        """
        return self.batches.read_items(batch_id, self._caller, status)

    def _change(
        self,
        action: Action,
        account: str | None,
        verify: bool | None,
        note: tuple[str | None, str | None, str | None],
        *ids: str | None,
    ) -> Result:
        def call(chosen: str) -> Result:
            if verify is not None:
                _require_flag("verify", verify)
            reason, ref = read_note(*note[:2])
            key = None if note[2] is None else read_idempotency_key(note[2])
            return self.service.perform(
                chosen,
                Command(action, self.service.read_contact(*ids), verify=verify),
                context=self._caller.context(self._via, reason=reason, ref=ref),
                idempotency_key=key,
            )

        return self._run(account, call)

    def _perform(self, account: str | None, make_command: Callable[[], Command]) -> Result:
        def call(chosen: str) -> Result:
            context = self._caller.context(self._via)
            return self.service.perform(chosen, make_command(), context=context)

        return self._run(account, call)

    def _run(self, account: str | None, call: Callable[[str], Result]) -> Result:
        chosen = None  # stays None for an unknown name, which may hold a secret or a number
        try:
            chosen = self.service.choose_account(self._caller, account)
            result = call(chosen)
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


def make_service(settings: Settings) -> Service:
    """Return the service of a configuration, with its ledger, if there is one.

    Nothing is opened before the first call. Raises ConfigurationError for a missing library.
    """
    if settings.ledger is None:
        return Service(settings)
    from adapter.ledger import load_ledger  # only here, with its libraries

    return Service(settings, load_ledger(settings.ledger))


def _require_flag(name: str, value: object) -> None:
    """Raise RequestError for anything but a boolean: "false" would count as true."""
    if not isinstance(value, bool):
        raise invalid_field(name, "must be True or False")


def connect(config: str | Path | Mapping[str, Any]) -> Client:
    """Return a client for a configuration: a TOML file, or a mapping of the same structure.

    Raises ConfigurationError and PluginError as `load_settings` does.
    """
    mapping = config if isinstance(config, Mapping) else read_toml(Path(config))
    return Client(make_service(load_settings(mapping)), ANONYMOUS)
