"""`Secret`: a credential that no log line and no `repr` shows."""

from __future__ import annotations


class Secret:
    """A credential that is revealed only by `reveal()`.

    `repr`, `str` and formatting return `Secret(***)`. A Secret cannot be pickled, so that it never
    leaves the process inside another object.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the credential itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled or copied")
