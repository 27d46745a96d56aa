"""One row of a file or of a request."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapter.codes import Action
from adapter.contacts import Contact


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file or of a request.

    `line`: where it begins in the file. `contact`: None for a rejected row, which has a `code`, and
    in `why` how to mend it, without any number. `given`: the identifier as given, up to 160
    characters. `action` and `account`: None for those of the batch.
    """

    line: int
    contact: Contact | None
    given: str = field(repr=False)
    action: Action | None = None
    account: str | None = None
    reason: str | None = None
    ref: str | None = None
    code: str | None = None
    why: str | None = None
