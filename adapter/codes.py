"""What can happen, in closed lists. `Code` is the one table, read by everything else."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Self


class Action(StrEnum):
    """What a caller wants done with an account's block list."""

    BLOCK = "block"
    UNBLOCK = "unblock"
    LIST = "list"


class Applied(StrEnum):
    """Whether the command took effect. `NOT_APPLIED` is said only where that is certain."""

    APPLIED = "applied"
    NOT_APPLIED = "not_applied"
    UNKNOWN = "unknown"


class Retry(StrEnum):
    """When the same command is worth sending again."""

    NEVER = "never"
    NOW = "now"
    AFTER_DELAY = "after_delay"
    AFTER_ACTION = "after_action"


class Scope(StrEnum):
    """What an API key may be allowed: to change block lists, to read, and to read the metrics."""

    BLOCK = "block"
    READ = "read"
    METRICS = "metrics"


class Confirmation(StrEnum):
    """How a success is known."""

    PROVIDER_STATE = "provider_state"
    ACCEPTED = "accepted"


class Code(Enum):
    """The error codes: HTTP status, retry advice, certainty, our message, and when it is used.

    One code has one HTTP status. Codes are added, never renamed.
    """

    http_status: int
    retry: Retry
    applied: Applied
    message: str
    when: str

    def __new__(
        cls, value: str, http_status: int, retry: Retry, applied: Applied, message: str, when: str
    ) -> Self:
        """Store the columns of the row on the member, which is known by its code alone."""
        member = object.__new__(cls)
        member._value_ = value
        member.http_status = http_status
        member.retry = retry
        member.applied = applied
        member.message = message
        member.when = when
        return member

    @property
    def carries_retry_after(self) -> bool:
        """Whether an answer with this code may say how many seconds to wait."""
        return self.retry is Retry.AFTER_DELAY

    # A row stays three lines: what it is, what it says, when it is used.
    # fmt: off
    BAD_REQUEST = (
        "bad_request", 400, Retry.NEVER, Applied.NOT_APPLIED,
        "The request is not HTTP that can be read.",
        "not HTTP, or its head is too large, at the server; `fields` says which",
    )
    INVALID_JSON = (
        "invalid_json", 400, Retry.NEVER, Applied.NOT_APPLIED,
        "The body is not strict JSON.",
        "the body is not strict JSON",
    )
    VALIDATION_ERROR = (
        "validation_error", 422, Retry.NEVER, Applied.NOT_APPLIED,
        "The request does not follow the rules of its fields.",
        "field rules; `fields` says which",
    )
    INVALID_TARGET = (
        "invalid_target", 422, Retry.NEVER, Applied.NOT_APPLIED,
        "The target is not a WhatsApp contact that can be blocked.",
        "not a person, impossible number, number and jid disagree",
    )
    UNAUTHENTICATED = (
        "unauthenticated", 401, Retry.NEVER, Applied.NOT_APPLIED,
        "An API key is missing or wrong.",
        "*our* key missing or wrong (+ `WWW-Authenticate`)",
    )
    PERMISSION_DENIED = (
        "permission_denied", 403, Retry.NEVER, Applied.NOT_APPLIED,
        "This caller may not do that.",
        "the key lacks the scope; without keys: another site's web page, or a foreign Host",
    )
    ACCOUNT_NOT_FOUND = (
        "account_not_found", 404, Retry.NEVER, Applied.NOT_APPLIED,
        "There is no such account.",
        "no such account, or not yours",
    )
    NOT_FOUND = (
        "not_found", 404, Retry.NEVER, Applied.NOT_APPLIED,
        "There is nothing at this address.",
        "no such path, in the standalone app",
    )
    METHOD_NOT_ALLOWED = (
        "method_not_allowed", 405, Retry.NEVER, Applied.NOT_APPLIED,
        "This address does not take that method.",
        "wrong method, in the standalone app",
    )
    PAYLOAD_TOO_LARGE = (
        "payload_too_large", 413, Retry.NEVER, Applied.NOT_APPLIED,
        "The body is too large.",
        "more than 64 KiB of body",
    )
    UNSUPPORTED_MEDIA_TYPE = (
        "unsupported_media_type", 415, Retry.NEVER, Applied.NOT_APPLIED,
        "The body must be sent as application/json in UTF-8.",
        "a body that does not say it is JSON",
    )
    SESSION_NOT_FOUND = (
        "session_not_found", 404, Retry.NEVER, Applied.NOT_APPLIED,
        "The provider does not know the account's session.",
        "the provider does not know the account's session",
    )
    SESSION_NOT_CONNECTED = (
        "session_not_connected", 409, Retry.AFTER_ACTION, Applied.NOT_APPLIED,
        "The account's WhatsApp session is not connected.",
        "the WhatsApp session or device is offline or unpaired",
    )
    OPERATION_NOT_SUPPORTED = (
        "operation_not_supported", 501, Retry.NEVER, Applied.NOT_APPLIED,
        "The account's provider cannot do that.",
        "this provider cannot do it (declared: no request is sent; or upstream says so)",
    )
    TARGET_REJECTED = (
        "target_rejected", 422, Retry.NEVER, Applied.NOT_APPLIED,
        "The provider refused the contact.",
        "the provider refused the contact",
    )
    PROVIDER_CONFLICT = (
        "provider_conflict", 409, Retry.AFTER_DELAY, Applied.NOT_APPLIED,
        "The provider is busy with a conflicting change.",
        "the provider's own 409 or code for it; not sent, as a newer call wishes the opposite",
    )
    PROVIDER_RATE_LIMITED = (
        "provider_rate_limited", 429, Retry.AFTER_DELAY, Applied.NOT_APPLIED,
        "The provider asks for fewer calls.",
        "upstream 429, or the provider's own code for it; `Retry-After` parsed, clamped to 3600",
    )
    PROVIDER_AUTH_FAILED = (
        "provider_auth_failed", 502, Retry.AFTER_ACTION, Applied.NOT_APPLIED,
        "The provider does not accept the adapter's credential for this account.",
        "the provider's own 401: *the adapter's* credential is bad, not the caller's",
    )
    PROVIDER_PERMISSION_DENIED = (
        "provider_permission_denied", 502, Retry.AFTER_ACTION, Applied.NOT_APPLIED,
        "The provider does not allow this to the adapter's credential.",
        "the provider's own 402/403",
    )
    PROVIDER_REDIRECTED = (
        "provider_redirected", 502, Retry.AFTER_ACTION, Applied.NOT_APPLIED,
        "The provider's address answers with a redirect, which is never followed.",
        "upstream 307/308: wrong or hijacked base URL. Never followed",
    )
    PROVIDER_MISADDRESSED = (
        "provider_misaddressed", 502, Retry.AFTER_ACTION, Applied.UNKNOWN,
        "The address is wrong, or something before the provider answered; check base_url.",
        "an error page that is not the provider's, its own \"no such route\", any other 3xx",
    )
    PROVIDER_TLS_ERROR = (
        "provider_tls_error", 502, Retry.AFTER_ACTION, Applied.NOT_APPLIED,
        "No trusted TLS connection to the provider could be made.",
        "certificate or handshake",
    )
    PROVIDER_UNREACHABLE = (
        "provider_unreachable", 503, Retry.AFTER_DELAY, Applied.NOT_APPLIED,
        "No connection to the provider could be made.",
        "DNS, refused, connect timeout, refused by the proxy",
    )
    PROVIDER_UNAVAILABLE = (
        "provider_unavailable", 503, Retry.AFTER_DELAY, Applied.UNKNOWN,
        "The provider says that it is unavailable.",
        "upstream 503",
    )
    CIRCUIT_OPEN = (
        "circuit_open", 503, Retry.AFTER_DELAY, Applied.NOT_APPLIED,
        "Calls to this account are paused after repeated failures.",
        "the breaker is open; nothing was sent",
    )
    OVERLOADED = (
        "overloaded", 503, Retry.AFTER_DELAY, Applied.NOT_APPLIED,
        "The adapter has no room for one more call to this account.",
        "too many calls in flight, or no descriptor, time or room for a long list is left",
    )
    PROVIDER_TIMEOUT = (
        "provider_timeout", 504, Retry.NOW, Applied.UNKNOWN,
        "The provider did not answer in time.",
        "no complete answer before the deadline; upstream 408/504",
    )
    PROVIDER_CONNECTION_LOST = (
        "provider_connection_lost", 502, Retry.NOW, Applied.UNKNOWN,
        "The connection to the provider broke before its answer was complete.",
        "reset or closed after the request left",
    )
    PROVIDER_ERROR = (
        "provider_error", 502, Retry.AFTER_DELAY, Applied.UNKNOWN,
        "The provider failed.",
        "other upstream 5xx; a refusal that names no cause",
    )
    PROVIDER_BAD_RESPONSE = (
        "provider_bad_response", 502, Retry.AFTER_DELAY, Applied.UNKNOWN,
        "The provider's answer could not be understood.",
        "not understandable: HTML, truncated, wrong shape, contradictory, another contact or state",
    )
    PROVIDER_RESPONSE_TOO_LARGE = (
        "provider_response_too_large", 502, Retry.AFTER_ACTION, Applied.UNKNOWN,
        "The provider's response is larger, or takes longer, than the adapter allows.",
        "more bytes, pages or time than a response may take; a list is never shortened",
    )
    INTERNAL_ERROR = (
        "internal_error", 500, Retry.NOW, Applied.UNKNOWN,
        "The adapter failed.",
        "our bug (standalone app only; embedded, the host sees the exception)",
    )
    # fmt: on
