"""Which account a caller means: by its name, by an alias, or by naming none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping


class AccountNames:
    """The names and aliases of the accounts of one configuration, and its default account.

    In its methods, `allowed` holds the accounts that the caller may use; None stands for all.
    """

    def __init__(self, aliases: Mapping[str, Iterable[str]], default: str | None) -> None:
        self._names = tuple(aliases)
        self._native = {alias: name for name, each in aliases.items() for alias in each}
        self._native.update({name: name for name in aliases})  # a name goes before an alias
        self._default = default

    def find(
        self, named: str, allowed: Collection[str] | None, *, native: bool = False
    ) -> str | None:
        """Return the account of that name; None where the caller has none.

        With `native`, an alias is a name too.
        """
        found = self._native.get(named)
        if found is None or (found != named and not native):
            return None
        return found if allowed is None or found in allowed else None

    def default_for(self, allowed: Collection[str] | None, own: str | None) -> str | None:
        """Return the account of a caller who names none.

        That is the default of the caller's `own`, else the configuration's, else the only account
        that there is for this caller; None where there are several.
        """
        if own is not None:
            return own
        if self._default is not None and (allowed is None or self._default in allowed):
            return self._default
        mine = [name for name in self._names if allowed is None or name in allowed]
        return mine[0] if len(mine) == 1 else None
