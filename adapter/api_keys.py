"""Authentication and authorization of callers: API keys, scopes and accounts."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from adapter.call_context import CallContext
from adapter.codes import Action, Scope
from adapter.config_names import display_name
from adapter.settings.model import KeySettings

_INDEX_BYTES = 8

_MIN_KEY_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. `accounts` is None where every account is allowed."""

    name: str
    scopes: frozenset[Scope]
    accounts: frozenset[str] | None = None
    default_account: str | None = None

    def has_scope(self, scope: Scope) -> bool:
        """Whether the caller has the scope."""
        return scope in self.scopes

    def can_use(self, account: str) -> bool:
        """Whether the caller may use the account. Configured or not makes no difference."""
        return self.accounts is None or account in self.accounts

    @property
    def key_name(self) -> str | None:
        """The name of the caller's key; None for the anonymous caller."""
        return None if self is ANONYMOUS else self.name

    def context(
        self,
        via: str,
        request_id: str = "",
        reason: str | None = None,
        ref: str | None = None,
    ) -> CallContext:
        """Return the context of a call by this caller: see CallContext."""
        return CallContext(via, self.key_name, request_id, reason, ref)


ANONYMOUS = Caller("anyone", frozenset(Scope))
"""The caller where no key is configured."""


class ApiKeys:
    """The configured API keys. Only their digests are kept and compared, in constant time."""

    def __init__(self, keys: Iterable[KeySettings]) -> None:
        self._by_index: dict[bytes, list[tuple[bytes, Caller]]] = {}
        self._count = 0
        for key in keys:
            self._count += 1
            digest = _digest(key.secret.reveal())
            caller = Caller(key.name, key.scopes, key.accounts, key.default_account)
            self._by_index.setdefault(digest[:_INDEX_BYTES], []).append((digest, caller))

    def __len__(self) -> int:
        return self._count

    def find_caller(self, secret: str) -> Caller | None:
        """Return the caller of this key. The cost is the same for ten keys and ten thousand."""
        presented = _digest(secret)
        for digest, caller in self._by_index.get(presented[:_INDEX_BYTES], ()):
            if hmac.compare_digest(digest, presented):
                return caller
        return None


def scope_for(action: Action) -> Scope:
    """Return the scope that an action needs."""
    return Scope.BLOCK if action.is_change else Scope.READ


def describe_short_keys(keys: Iterable[KeySettings]) -> list[str]:
    """Return one warning per key that is short enough to be guessed: its name, and the remedy."""
    return [
        f"keys.{display_name(key.name)}: the key has fewer than {_MIN_KEY_LENGTH} characters and "
        "can be guessed; make a new one with: "
        'python -c "import secrets; print(secrets.token_urlsafe(32))"'
        for key in keys
        if len(key.secret.reveal()) < _MIN_KEY_LENGTH
    ]


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
