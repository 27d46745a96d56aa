"""Resolve the account of a request: by its name, by an alias, or the default."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Self

from adapter.settings.model import AccountSettings


class AccountNames:
    """The names and aliases of the accounts of one configuration, and its default account.

    In its methods, `allowed` are the accounts that the caller may use; None stands for all.
    """

    def __init__(self, aliases: Mapping[str, Iterable[str]], default: str | None) -> None:
        self._names = tuple(aliases)
        self._by_alias = {alias: name for name, each in aliases.items() for alias in each}
        self._by_alias.update({name: name for name in aliases})  # a name precedes an alias
        self._default = default

    @classmethod
    def of(cls, accounts: Mapping[str, AccountSettings], default: str | None) -> Self:
        """Return the names and aliases of these accounts, by their names."""
        return cls({name: each.aliases for name, each in accounts.items()}, default)

    def find(
        self, named: str, allowed: Collection[str] | None, *, native: bool = False
    ) -> str | None:
        """Return the account of that name; None if it does not exist or is not allowed.

        With `native`, aliases are names too: requests to a dialect use them.
        """
        found = self._by_alias.get(named)
        if found is None or (found != named and not native):
            return None
        return found if allowed is None or found in allowed else None

    def default_for(
        self, allowed: Collection[str] | None = None, own: str | None = None
    ) -> str | None:
        """Return the account of a request that names none.

        It is `own`, the default of the caller; otherwise the default of the configuration;
        otherwise the only account that the caller may use. None if there are several.
        """
        if own is not None:
            return own
        if self._default is not None and (allowed is None or self._default in allowed):
            return self._default
        usable = [name for name in self._names if allowed is None or name in allowed]
        return usable[0] if len(usable) == 1 else None
