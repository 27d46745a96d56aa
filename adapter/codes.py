"""Closed lists of actions and results. `Code` is the table of error codes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final, Self


class Action(StrEnum):
    """An operation on an account: two changes of its block list, and four reads."""

    BLOCK = "block"
    UNBLOCK = "unblock"
    LIST = "list"
    STATUS = "status"
    LOOKUP = "lookup"
    STATE = "state"

    @property
    def is_change(self) -> bool:
        """Whether the action changes the block list."""
        return self is Action.BLOCK or self is Action.UNBLOCK

    @property
    def takes_contact(self) -> bool:
        """Whether the action is about one contact."""
        return self.is_change or self is Action.STATE


class Applied(StrEnum):
    """Whether the command took effect. `NOT_APPLIED` is used only if that is certain."""

    APPLIED = "applied"
    NOT_APPLIED = "not_applied"
    UNKNOWN = "unknown"


class Retry(StrEnum):
    """When to send the same command again."""

    NEVER = "never"
    NOW = "now"
    AFTER_DELAY = "after_delay"
    AFTER_ACTION = "after_action"


class Scope(StrEnum):
    """Permission of an API key: change block lists, read them, the metrics, or the calls made."""

    BLOCK = "block"
    READ = "read"
    METRICS = "metrics"
    HISTORY = "history"


class Confirmation(StrEnum):
    """How a success is known."""

    PROVIDER_STATE = "provider_state"
    ACCEPTED = "accepted"
    READ_BACK = "read_back"


class Verify(StrEnum):
    """When a change is read back: never, if its outcome is unknown, or always."""

    NEVER = "never"
    UNKNOWN = "unknown"
    ALWAYS = "always"


class Verifiable(StrEnum):
    """Whether a provider's read shows what a change has done."""

    YES = "yes"
    WITH_LID = "with the LID"
    ONLY_BLOCKS = "only blocks"
    NO = "no"


class Code(Enum):
    """An error code, with HTTP status, retry advice, effect, message, and when it is used.

    Every code has exactly one HTTP status. Codes are added, never renamed.
    """

    http_status: int
    retry: Retry
    applied: Applied
    message: str
    when: str

    def __new__(
        cls, value: str, http_status: int, retry: Retry, applied: Applied, message: str, when: str
    ) -> Self:
        """Return the member for the code; the other columns become its attributes."""
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
        """Whether a response with this code may contain a delay in seconds."""
        return self.retry is Retry.AFTER_DELAY

    # Each row is three lines: code, status and advice; message; when it is used.
    # fmt: off
    BAD_REQUEST = (
        "bad_request", 400, Retry.NEVER, Applied.NOT_APPLIED,
        "The request is not valid HTTP.",
        "not valid HTTP, or its head is too large, in the standalone app; `fields` has the reason",
    )
    INVALID_JSON = (
        "invalid_json", 400, Retry.NEVER, Applied.NOT_APPLIED,
        "The body is not strict JSON.",
        "the body is not strict JSON",
    )
    VALIDATION_ERROR = (
        "validation_error", 422, Retry.NEVER, Applied.NOT_APPLIED,
        "The fields of the request are not valid.",
        "a field is missing, unknown or not valid; `fields` has the reasons",
    )
    INVALID_TARGET = (
        "invalid_target", 422, Retry.NEVER, Applied.NOT_APPLIED,
        "The target is not a valid WhatsApp contact.",
        "not a person, an impossible number, or number and jid disagree",
    )
    UNAUTHENTICATED = (
        "unauthenticated", 401, Retry.NEVER, Applied.NOT_APPLIED,
        "An API key is missing or wrong.",
        "the *adapter's* API key is missing or wrong (+ `WWW-Authenticate`)",
    )
    PERMISSION_DENIED = (
        "permission_denied", 403, Retry.NEVER, Applied.NOT_APPLIED,
        "The caller lacks the permission for this request.",
        "the key lacks the scope; without keys: a web page of another site, or a foreign Host",
    )
    ACCOUNT_NOT_FOUND = (
        "account_not_found", 404, Retry.NEVER, Applied.NOT_APPLIED,
        "The account does not exist.",
        "no such account, or one that the key does not include",
    )
    NOT_FOUND = (
        "not_found", 404, Retry.NEVER, Applied.NOT_APPLIED,
        "The path does not exist.",
        "no such path, in the standalone app",
    )
    METHOD_NOT_ALLOWED = (
        "method_not_allowed", 405, Retry.NEVER, Applied.NOT_APPLIED,
        "The path does not support this method.",
        "unsupported method, in the standalone app",
    )
    PAYLOAD_TOO_LARGE = (
        "payload_too_large", 413, Retry.NEVER, Applied.NOT_APPLIED,
        "The body is too large.",
        "the body exceeds 64 KiB; of a batch, 2 MiB of JSON or 25 MiB of CSV",
    )
    UNSUPPORTED_MEDIA_TYPE = (
        "unsupported_media_type", 415, Retry.NEVER, Applied.NOT_APPLIED,
        "The body must be sent as application/json in UTF-8.",
        "the Content-Type of the body is not JSON in UTF-8",
    )
    SESSION_NOT_FOUND = (
        "session_not_found", 404, Retry.NEVER, Applied.NOT_APPLIED,
        "The account's session does not exist at the provider.",
        "the account's session does not exist at the provider",
    )
    SESSION_NOT_CONNECTED = (
        "session_not_connected", 409, Retry.AFTER_ACTION, Applied.NOT_APPLIED,
        "The account's WhatsApp session is not connected.",
        "the WhatsApp session or device is offline or unpaired",
    )
    OPERATION_NOT_SUPPORTED = (
        "operation_not_supported", 501, Retry.NEVER, Applied.NOT_APPLIED,
        "The account's provider does not support this operation.",
        "not supported by the provider (declared: no request is sent; or by its response)",
    )
    TARGET_REJECTED = (
        "target_rejected", 422, Retry.NEVER, Applied.NOT_APPLIED,
        "The provider refused the contact.",
        "the provider refused the contact",
    )
    PROVIDER_CONFLICT = (
        "provider_conflict", 409, Retry.AFTER_DELAY, Applied.NOT_APPLIED,
        "The provider is busy with a conflicting change.",
        "the provider's own 409 or code for it; or not sent: a newer call requests the opposite",
    )
    PROVIDER_RATE_LIMITED = (
        "provider_rate_limited", 429, Retry.AFTER_DELAY, Applied.NOT_APPLIED,
        "The provider's rate limit is exceeded.",
        "upstream 429, or the provider's own code for it; `Retry-After` parsed, clamped to 3600",
    )
    PROVIDER_AUTH_FAILED = (
        "provider_auth_failed", 502, Retry.AFTER_ACTION, Applied.NOT_APPLIED,
        "The provider does not accept the adapter's credential for this account.",
        "the provider's own 401: *the adapter's* credential is bad, not the caller's",
    )
    PROVIDER_PERMISSION_DENIED = (
        "provider_permission_denied", 502, Retry.AFTER_ACTION, Applied.NOT_APPLIED,
        "The adapter's credential lacks the provider's permission for this operation.",
        "the provider's own 402/403",
    )
    PROVIDER_REDIRECTED = (
        "provider_redirected", 502, Retry.AFTER_ACTION, Applied.NOT_APPLIED,
        "The provider's address redirects; redirects are never followed.",
        "upstream 307/308: a wrong or hijacked base URL; never followed",
    )
    PROVIDER_MISADDRESSED = (
        "provider_misaddressed", 502, Retry.AFTER_ACTION, Applied.UNKNOWN,
        "The address is wrong, or a server before the provider responded; check base_url.",
        "an error page that is not the provider's, its own \"no such route\", any other 3xx",
    )
    PROVIDER_TLS_ERROR = (
        "provider_tls_error", 502, Retry.AFTER_ACTION, Applied.NOT_APPLIED,
        "No trusted TLS connection to the provider could be established.",
        "an untrusted certificate, or a failed handshake",
    )
    PROVIDER_UNREACHABLE = (
        "provider_unreachable", 503, Retry.AFTER_DELAY, Applied.NOT_APPLIED,
        "The connection to the provider failed.",
        "name lookup failed, connection refused, connect timeout, or refused by the proxy",
    )
    PROVIDER_UNAVAILABLE = (
        "provider_unavailable", 503, Retry.AFTER_DELAY, Applied.UNKNOWN,
        "The provider is unavailable.",
        "upstream 503",
    )
    CIRCUIT_OPEN = (
        "circuit_open", 503, Retry.AFTER_DELAY, Applied.NOT_APPLIED,
        "Calls to this account are paused after repeated failures.",
        "the circuit breaker is open; nothing was sent",
    )
    OVERLOADED = (
        "overloaded", 503, Retry.AFTER_DELAY, Applied.NOT_APPLIED,
        "The adapter has no capacity for another call to this account.",
        "too many calls in flight, or no descriptor, time or capacity for a long list is left",
    )
    PROVIDER_TIMEOUT = (
        "provider_timeout", 504, Retry.NOW, Applied.UNKNOWN,
        "The provider did not respond in time.",
        "no complete response before the deadline; upstream 408/504",
    )
    PROVIDER_CONNECTION_LOST = (
        "provider_connection_lost", 502, Retry.NOW, Applied.UNKNOWN,
        "The connection to the provider was lost before the response was complete.",
        "reset or closed after the request was sent",
    )
    PROVIDER_ERROR = (
        "provider_error", 502, Retry.AFTER_DELAY, Applied.UNKNOWN,
        "The provider failed to process the request.",
        "other upstream 5xx; a refusal without a cause",
    )
    PROVIDER_BAD_RESPONSE = (
        "provider_bad_response", 502, Retry.AFTER_DELAY, Applied.UNKNOWN,
        "The provider's response could not be interpreted.",
        "HTML, truncated, wrong shape, contradictory, or about another contact or state",
    )
    PROVIDER_RESPONSE_TOO_LARGE = (
        "provider_response_too_large", 502, Retry.AFTER_ACTION, Applied.UNKNOWN,
        "The provider's response exceeds the adapter's limits of size or time.",
        "more bytes, pages or time than the limits allow; a list is never truncated",
    )
    NOT_EFFECTIVE = (
        "not_effective", 502, Retry.AFTER_DELAY, Applied.NOT_APPLIED,
        "The provider reported success, but reading it back shows that nothing was changed.",
        "a change was accepted, and reading it back shows the opposite state",
    )
    LEDGER_UNAVAILABLE = (
        "ledger_unavailable", 503, Retry.AFTER_DELAY, Applied.NOT_APPLIED,
        "The ledger is unavailable, and this call needs it; nothing was sent.",
        "the ledger's database is slow or gone: `[ledger] required`, an idempotency key, a page",
    )
    IDEMPOTENCY_KEY_IN_USE = (
        "idempotency_key_in_use", 409, Retry.AFTER_DELAY, Applied.UNKNOWN,
        "The first call with this idempotency key has not ended.",
        "the first call with this `Idempotency-Key` is still running; this one sent nothing",
    )
    IDEMPOTENCY_KEY_REUSED = (
        "idempotency_key_reused", 422, Retry.NEVER, Applied.NOT_APPLIED,
        "The idempotency key was used for another command; send a new key.",
        "the `Idempotency-Key` was used in the last day for another command of this caller",
    )
    BATCH_NOT_FOUND = (
        "batch_not_found", 404, Retry.NEVER, Applied.NOT_APPLIED,
        "The batch does not exist.",
        "no such batch, or one of an account that the key does not include",
    )
    BATCH_CONFLICT = (
        "batch_conflict", 409, Retry.NEVER, Applied.NOT_APPLIED,
        "The status of the batch does not allow this.",
        "its status does not allow it, or the unfinished batch of the same rows has no `verify`",
    )
    PLAN_REFUSED = (
        "plan_refused", 409, Retry.NEVER, Applied.NOT_APPLIED,
        "A guard of plans refuses this plan.",
        "a list is empty or shorter than expected, or the plan would unblock more than allowed",
    )
    PLAN_STALE = (
        "plan_stale", 409, Retry.NEVER, Applied.NOT_APPLIED,
        "The lists need more changes than were approved; make a new plan.",
        "since the plan was made, the lists have changed: more is to be done than was approved",
    )
    INTERNAL_ERROR = (
        "internal_error", 500, Retry.NOW, Applied.UNKNOWN,
        "The adapter had an internal error.",
        "a bug of the adapter (standalone app only; embedded, the exception reaches the host app)",
    )
    # fmt: on


FOLLOWED_BY_FALLBACK: Final[Mapping[Code, str]] = MappingProxyType(
    {
        Code.SESSION_NOT_FOUND: "another provider has a session of its own",
        Code.SESSION_NOT_CONNECTED: "another provider has a session of its own",
        Code.OPERATION_NOT_SUPPORTED: "another provider may support the operation",
        Code.PROVIDER_AUTH_FAILED: "another provider has a credential of its own",
        Code.PROVIDER_PERMISSION_DENIED: "another provider has a credential of its own",
        Code.PROVIDER_REDIRECTED: "the address of the account is wrong; nothing was followed",
        Code.PROVIDER_TLS_ERROR: "no connection to the provider; nothing was sent",
        Code.PROVIDER_UNREACHABLE: "no connection to the provider; nothing was sent",
        Code.CIRCUIT_OPEN: "the account is paused; nothing was sent",
    }
)
"""The failures after which an account's fallback is called, each with the reason.

They are `not_applied`, and the cause is the account or its provider. A failure of the caller, of
the contact or of this adapter would be the same again. A limit (`provider_rate_limited`,
`overloaded`) is not moved to another provider. The cause of a `provider_conflict` and of
`not_effective` may be the contact.
"""
