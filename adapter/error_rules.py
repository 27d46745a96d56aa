"""Error rules: evidence in a response, and the code that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from adapter.codes import Code, Retry
from adapter.strict_json import Json


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """One rule of a provider: on this evidence, a response means this code.

    The evidence is one of three. `provider_code`: the code that the error carries, at any status.
    `where`: a condition on the body, at `status`. Neither: the bare `status` of a response in the
    provider's own error shape (`Provider.is_own_error`), or of any response with `any_sender`,
    since a proxy in between may have sent it.

    A bare status of 200, 400 or 500 also covers the rest of its hundred, after the rules of the
    exact status, unless it blames the contact. A dialect sends the first rule of a code: its status
    and provider code. `message` and `retry` replace the code's own message and retry advice, where
    more is known about this failure.
    """

    code: Code
    status: int
    provider_code: str | None = field(default=None, kw_only=True)
    where: Callable[[Json], bool] | None = field(default=None, kw_only=True)
    any_sender: bool = field(default=False, kw_only=True)
    message: str = field(default="", kw_only=True)
    retry: Retry | None = field(default=None, kw_only=True)


HTTP_STATUS_RULES: Final = (
    ErrorRule(Code.TARGET_REJECTED, 400),
    ErrorRule(Code.TARGET_REJECTED, 422),
    ErrorRule(Code.PROVIDER_AUTH_FAILED, 401),
    ErrorRule(Code.PROVIDER_PERMISSION_DENIED, 403),
    ErrorRule(Code.PROVIDER_PERMISSION_DENIED, 402),
    ErrorRule(Code.PROVIDER_CONFLICT, 409),
    ErrorRule(Code.OPERATION_NOT_SUPPORTED, 501),
    ErrorRule(Code.PROVIDER_RATE_LIMITED, 429, any_sender=True),
    ErrorRule(Code.PROVIDER_TIMEOUT, 504, any_sender=True),
    ErrorRule(Code.PROVIDER_TIMEOUT, 408, any_sender=True),
    ErrorRule(Code.PROVIDER_UNAVAILABLE, 503, any_sender=True),
    ErrorRule(Code.PROVIDER_MISADDRESSED, 501, any_sender=True),
    ErrorRule(Code.PROVIDER_ERROR, 500, any_sender=True),
    ErrorRule(Code.PROVIDER_MISADDRESSED, 404),
    ErrorRule(Code.PROVIDER_MISADDRESSED, 405),
    ErrorRule(Code.PROVIDER_MISADDRESSED, 410),
    ErrorRule(Code.PROVIDER_ERROR, 400),  # of 400 and 422, with a provider code that no rule knows
    ErrorRule(Code.PROVIDER_MISADDRESSED, 400, any_sender=True),
)
"""What the HTTP statuses mean where a provider states nothing else. Below every provider's rules.

The last rule covers every other 4xx: a page of another sender blames neither the contact nor the
session, and nothing about it is certain.
"""

FALLBACK_CODES: Final[Mapping[Code, Code]] = {
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
"""The codes that no provider can send, each with the nearest code that it can.

A fallback never claims more than its code: `not_applied` may become `unknown`.
"""
