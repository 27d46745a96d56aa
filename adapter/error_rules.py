"""Error rules: evidence in a response, and the code that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from adapter.codes import Code, Retry
from adapter.strict_json import Json


class Proof(StrEnum):
    """How well a row is known to be true."""

    DOCUMENTED = "documented"
    READ_IN_SOURCE = "read in source"
    INFERRED = "inferred"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a provider's table: on this evidence, that is the outcome.

    The evidence is a `machine` code at any status; or a field of the body (`where`) at `status`; or
    the status of a response in the provider's own error shape (`Provider.is_own_error`). With
    `anyone`, the status counts whoever says it: the provider, a proxy or a gate in between.

    A status of 200, 400 or 500 also speaks for the rest of its hundred, after the rows of the exact
    status, unless it blames the contact. In the other direction, the first row of a code is what a
    dialect answers: its status, machine code and `text` (the provider's own words, where
    documented). `message` and `retry` are our sentence and our advice, where more is known of this
    failure than the code says.
    """

    code: Code
    status: int
    machine: str | None = None
    where: Callable[[Json], bool] | None = None
    text: str = ""
    proof: Proof = Proof.DOCUMENTED
    anyone: bool = False
    message: str = ""
    retry: Retry | None = None


SHARED_ROWS: Final = (
    Row(Code.TARGET_REJECTED, 400),
    Row(Code.TARGET_REJECTED, 422),
    Row(Code.PROVIDER_AUTH_FAILED, 401),
    Row(Code.PROVIDER_PERMISSION_DENIED, 403),
    Row(Code.PROVIDER_PERMISSION_DENIED, 402),
    Row(Code.PROVIDER_CONFLICT, 409),
    Row(Code.OPERATION_NOT_SUPPORTED, 501),
    Row(Code.PROVIDER_RATE_LIMITED, 429, anyone=True),
    Row(Code.PROVIDER_TIMEOUT, 504, anyone=True),
    Row(Code.PROVIDER_TIMEOUT, 408, anyone=True),
    Row(Code.PROVIDER_UNAVAILABLE, 503, anyone=True),
    Row(Code.PROVIDER_MISADDRESSED, 501, anyone=True),
    Row(Code.PROVIDER_ERROR, 500, anyone=True),
    Row(Code.PROVIDER_MISADDRESSED, 404),
    Row(Code.PROVIDER_MISADDRESSED, 405),
    Row(Code.PROVIDER_MISADDRESSED, 410),
    Row(Code.PROVIDER_ERROR, 400),  # of 400 and 422, with a machine code that no row knows
    Row(Code.PROVIDER_MISADDRESSED, 400, anyone=True),
)
"""What HTTP's own statuses mean where a provider says nothing else: below every provider's rows.

The last row is for each status of its hundred: a page that is not the provider's blames neither the
contact nor the session, and is certain of nothing.
"""

CLOSEST: Final[Mapping[Code, Code]] = {
    Code.BAD_REQUEST: Code.TARGET_REJECTED,
    Code.INVALID_JSON: Code.TARGET_REJECTED,
    Code.VALIDATION_ERROR: Code.TARGET_REJECTED,
    Code.INVALID_TARGET: Code.TARGET_REJECTED,
    Code.UNAUTHENTICATED: Code.PROVIDER_AUTH_FAILED,
    Code.PERMISSION_DENIED: Code.PROVIDER_PERMISSION_DENIED,
    Code.ACCOUNT_NOT_FOUND: Code.SESSION_NOT_FOUND,
    Code.NOT_FOUND: Code.SESSION_NOT_FOUND,
    Code.METHOD_NOT_ALLOWED: Code.SESSION_NOT_FOUND,
    Code.PAYLOAD_TOO_LARGE: Code.TARGET_REJECTED,
    Code.UNSUPPORTED_MEDIA_TYPE: Code.TARGET_REJECTED,
    Code.PROVIDER_REDIRECTED: Code.PROVIDER_ERROR,
    Code.PROVIDER_MISADDRESSED: Code.PROVIDER_ERROR,
    Code.PROVIDER_TLS_ERROR: Code.PROVIDER_ERROR,
    Code.PROVIDER_UNREACHABLE: Code.PROVIDER_UNAVAILABLE,
    Code.CIRCUIT_OPEN: Code.PROVIDER_UNAVAILABLE,
    Code.OVERLOADED: Code.PROVIDER_UNAVAILABLE,
    Code.PROVIDER_CONNECTION_LOST: Code.PROVIDER_ERROR,
    Code.PROVIDER_BAD_RESPONSE: Code.PROVIDER_ERROR,
    Code.PROVIDER_RESPONSE_TOO_LARGE: Code.PROVIDER_ERROR,
    Code.INTERNAL_ERROR: Code.PROVIDER_ERROR,
}
"""The codes that no provider's wire can express, each with the nearest that it can.

Where a claim changes, it only grows weaker: `not_applied` may become `unknown`.
"""
