"""Whether the server is ready, as far as its ledger is concerned; the ledger's own state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adapter.ledger.retention import Sweep
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


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the ledger in this process, for metrics.

    `waiting`: the events in the queue; `missed`: calls that were not recorded, in whole or in part;
    `swept_at`: the end of the last clean-up, in seconds since 1970, and `sweep`: its rows.
    """

    available: bool
    waiting: int
    missed: int
    swept_at: float | None
    sweep: Sweep
