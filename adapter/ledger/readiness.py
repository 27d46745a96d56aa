"""Whether the server is ready, as far as its ledger is concerned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adapter.ledger.upgrade import SchemaError, SchemaState


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether calls are accepted: `state` is that of the schema or `unavailable`."""

    ready: bool
    state: str
    message: str = ""


READY: Final = Readiness(True, SchemaState.CURRENT.value)


def readiness_after(failure: Exception, *, required: bool) -> Readiness:
    """Return the readiness of a server whose ledger cannot record calls.

    Not ready are a schema that has to be upgraded, and with `required` every failure. Else calls
    go on while the database is gone, or has been upgraded for a newer version.
    """
    if isinstance(failure, SchemaError):
        ready = failure.state is SchemaState.AHEAD and not required
        return Readiness(ready, failure.state.value, str(failure))
    return Readiness(not required, "unavailable", f"the ledger cannot record calls: {failure}")
