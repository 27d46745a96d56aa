"""The errors of a batch that is not found, and of one whose status does not allow a change."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from adapter.batches.model import Batch, ItemStatus, Status
from adapter.codes import Code
from adapter.config_names import display_name
from adapter.errors import RequestError
from adapter.privacy import mask_digit_runs
from adapter.results import Outcome

FINISHED: Final = (Status.DONE, Status.CANCELLED)

_ALLOWED: Final[Mapping[str, str]] = MappingProxyType(
    {
        Status.PLANNED.value: "apply, cancel",
        Status.READY.value: "start, cancel",
        Status.RUNNING.value: "pause, cancel",
        Status.PAUSED.value: "resume, cancel",
        Status.DONE.value: "retry",
        Status.CANCELLED.value: "retry",
    }
)
"""The changes that a status allows, by their names in the HTTP API."""


class BatchConflictError(RequestError):
    """The status of a batch does not allow a change (`batch_conflict`); `batch` is that batch.

    The message has the status and the changes that it allows, or `message` in place of these.
    """

    def __init__(self, batch: Batch, message: str = "") -> None:
        text = f"{_name(batch)} is {batch.status}. {message or _describe_allowed(batch)}"
        super().__init__(Outcome.failure(Code.BATCH_CONFLICT, message=text))
        self.batch = batch


def require_id(batch_id: object) -> None:
    """Raise the error of an unknown batch for an invalid id; no database is asked about it."""
    if type(batch_id) is not int or not 0 < batch_id < 2**63:
        raise not_found(batch_id)


def not_found(batch_id: object) -> RequestError:
    """Return the error of an unknown batch, and of one that the caller may not see."""
    number = mask_digit_runs(str(batch_id))
    message = (
        f"There is no batch or plan {number} of the accounts that may be used here. "
        "The list of batches has the ids."
    )
    return RequestError(Outcome.failure(Code.BATCH_NOT_FOUND, message=message))


def not_a_plan(batch: Batch) -> RequestError:
    """Return the error of a batch that is used as a plan."""
    message = f"{_name(batch)} is not a plan, and is {batch.status}."
    return RequestError(Outcome.failure(Code.BATCH_NOT_FOUND, message=message))


def _name(batch: Batch) -> str:
    return f"{batch.kind.capitalize()} {batch.id} of the account {display_name(batch.account)}"


def _describe_allowed(batch: Batch) -> str:
    if batch.status in FINISHED and batch.started_at is None:
        return "No row of it was sent; send its rows as a new one."
    if batch.status in FINISHED and batch.counts.get(ItemStatus.LEASED):
        return "Rows of it are in flight; retry it once they have ended."
    allowed = _ALLOWED.get(batch.status)
    return f"Possible now: {allowed}." if allowed else "Its rows are being stored."
