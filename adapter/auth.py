"""Who is calling, and what they may do."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from adapter.codes import Action, Scope
from adapter.settings.model import KeySettings

_PREFIX = 8


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. `accounts` is None for one who may use every account."""

    name: str
    scopes: frozenset[Scope]
    accounts: frozenset[str] | None = None
    default_account: str | None = None

    def may(self, scope: Scope) -> bool:
        """Whether the caller has the scope."""
        return scope in self.scopes

    def may_use(self, account: str) -> bool:
        """Whether the caller may use the account; an unknown one is treated alike."""
        return self.accounts is None or account in self.accounts


ANYONE = Caller("anyone", frozenset(Scope))
"""The caller where no key is configured."""


class KeyRing:
    """The configured API keys. Only their digests are kept and compared, in constant time."""

    def __init__(self, keys: Iterable[KeySettings]) -> None:
        self._by_prefix: dict[bytes, list[tuple[bytes, Caller]]] = {}
        self._count = 0
        for key in keys:
            self._count += 1
            digest = _digest(key.secret.reveal())
            caller = Caller(key.name, key.scopes, key.accounts, key.default_account)
            self._by_prefix.setdefault(digest[:_PREFIX], []).append((digest, caller))

    def __len__(self) -> int:
        return self._count

    def find(self, secret: str) -> Caller | None:
        """Return the caller whose key this is, at the same cost for ten keys and ten thousand."""
        presented = _digest(secret)
        for digest, caller in self._by_prefix.get(presented[:_PREFIX], ()):
            if hmac.compare_digest(digest, presented):
                return caller
        return None


def scope_for(action: Action) -> Scope:
    """Return the scope that an action needs."""
    return Scope.READ if action is Action.LIST else Scope.BLOCK


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
