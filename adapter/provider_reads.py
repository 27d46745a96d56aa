"""The reads of a provider: the status of its session, lookups, and the state of one contact."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from adapter.contacts import Contact, ContactError
from adapter.error_rules import read_pointers
from adapter.evidence import value_at
from adapter.http import HttpRequest
from adapter.readings import BlockState, Lookup, Session, SessionState
from adapter.results import Command
from adapter.strict_json import Json


class ProviderReads(ABC):
    """The declarations and the pure methods of a provider's reads; a base class of `Provider`.

    - `max_lookup`: the most numbers in one request of a lookup. `lookups_name_contacts`: the
      response has WhatsApp's own id of a number.
    - `status_at`, `status_words`: where the response to a status has its word, as a JSON pointer,
      and the meaning of each word, which may be a boolean:
      `{"WORKING": p.SessionState.CONNECTED}`. Any other word means `unknown`.
    - `status_session`: where the response to a status names the session, as a JSON pointer, and the
      option with its name; another name ends the evidence.
    - `status_own`: where the response to a status has the account's own JID, as a JSON pointer.
    - `synchronous`: the response to a change comes after the list has changed.
    - `lists_lids`: the list names most contacts by LID, without their numbers.
    - `shows_only_blocks`: a read shows that a contact is blocked, and never that it is not.
    - `prefers_lid`: a request names a contact by LID where it is known from an earlier response.
    """

    max_lookup: ClassVar[int] = 1
    lookups_name_contacts: ClassVar[bool] = True
    status_at: ClassVar[str] = ""
    status_words: ClassVar[Mapping[str | bool, SessionState]] = MappingProxyType({})
    status_session: ClassVar[tuple[str, str]] = ("", "")
    status_own: ClassVar[str] = ""
    synchronous: ClassVar[bool] = False
    lists_lids: ClassVar[bool] = False
    shows_only_blocks: ClassVar[bool] = False
    prefers_lid: ClassVar[bool] = False

    options: Mapping[str, Any]
    _status_keys: ClassVar[tuple[str, ...]]
    _session_keys: ClassVar[tuple[str, ...]]
    _own_keys: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = cls.__name__
        cls._status_keys = _read_pointer(f"{name}.status_at", cls.status_at)
        cls._session_keys = _read_pointer(f"{name}.status_session", cls.status_session[0])
        cls._own_keys = _read_pointer(f"{name}.status_own", cls.status_own)

    @abstractmethod
    def request(
        self,
        command: Command,
        json: Json = None,
        query: Mapping[str, str] = MappingProxyType({}),
        /,
        **ids: str,
    ) -> HttpRequest:
        """Return the request to the command's route."""

    def build_status(self, command: Command) -> HttpRequest:
        """Return the request for the status of the session; by default, the route alone."""
        return self.request(command)

    def parse_status(self, document: Json) -> Session | None:
        """Return the session that the body of a 200 shows; None without one.

        By default, that is the meaning of the word at `status_at`, with the person at `status_own`.
        """
        if self._session_keys:
            named = value_at(document, self._session_keys)
            if isinstance(named, str) and named != self.options[self.status_session[1]]:
                return None
        value = value_at(document, self._status_keys)
        if not isinstance(value, (bool, str)):
            return None
        state = self.status_words.get(value, SessionState.UNKNOWN)
        word = value if isinstance(value, str) and value in self.status_words else None
        return Session(state, word, own=self._read_own(document))

    def _read_own(self, document: Json) -> Contact | None:
        value = value_at(document, self._own_keys) if self._own_keys else None
        try:
            return Contact.from_jid(value) if isinstance(value, str) else None
        except ContactError:
            return None

    def build_lookup(self, command: Command) -> HttpRequest:
        """Return the request for `command.numbers`, at most `max_lookup` of them.

        Raises RequestError where the provider cannot name a number; nothing is sent then.
        """
        raise NotImplementedError

    def parse_lookup(self, command: Command, document: Json) -> Iterable[Lookup] | None:
        """Return the lookups in the body of a 200, in any order; None if it shows none.

        A number without exactly one lookup is unknown.
        """
        raise NotImplementedError

    def build_state(self, command: Command) -> HttpRequest:
        """Return the request for the state of `command.target`.

        Raises RequestError where the provider cannot name the contact; nothing is sent then.
        """
        raise NotImplementedError

    def parse_state(self, command: Command, document: Json) -> BlockState | None:
        """Return the state of the command's contact that the body of a 200 shows.

        None means that the body has no evidence; the outcome is then `provider_bad_response`. A
        body that is about the contact and shows neither state is `BlockState(None, …)`.
        """
        raise NotImplementedError


def _read_pointer(where: str, pointer: str) -> tuple[str, ...]:
    """Return the keys of a JSON pointer; none for an empty one."""
    return next(iter(read_pointers(where, (pointer,) if pointer else ())), ())
