"""Who is calling, and what they may do."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from adapter.codes import Action
from adapter.settings import SCOPES, KeySettings

READ = "read"
CHANGE = "block"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. `accounts` is None for one who may use every account."""

    name: str
    scopes: frozenset[str]
    accounts: frozenset[str] | None = None
    default_account: str | None = None

    def may(self, scope: str) -> bool:
        """Whether the caller has the scope."""
        return scope in self.scopes

    def may_use(self, account: str) -> bool:
        """Whether the caller may use the account; an unknown one is treated alike."""
        return self.accounts is None or account in self.accounts


ANYONE = Caller("anyone", frozenset(SCOPES))
"""The caller where no key is configured."""


class KeyRing:
    """The configured API keys, found by digest, in the same time for right and wrong ones."""

    def __init__(self, keys: Iterable[KeySettings]) -> None:
        self._callers = {
            _digest(key.secret.reveal()): Caller(
                key.name, key.scopes, key.accounts, key.default_account
            )
            for key in keys
        }

    def __len__(self) -> int:
        return len(self._callers)

    def find(self, secret: str) -> Caller | None:
        """Return the caller whose key this is.

        The lookup sees a digest only, so its timing tells nothing of any key.
        """
        presented = _digest(secret)
        for digest in (presented,) if presented in self._callers else ():
            if hmac.compare_digest(digest, presented):
                return self._callers[digest]
        return None


def scope_for(action: Action) -> str:
    """Return the scope that an action needs."""
    return READ if action is Action.LIST else CHANGE


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
