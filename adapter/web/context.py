"""The context of one request: its id, its start time, its response and its log line."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import flask
from flask import Request, Response
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge

from adapter.codes import Code
from adapter.errors import RequestError
from adapter.logs import log_event
from adapter.redaction import redact_contact, redact_request_id
from adapter.results import Outcome, Result
from adapter.service import describe_call, new_request_id
from adapter.strict_json import Json, write_json
from adapter.web.auth import CHALLENGE, KEY_NAME
from adapter.web.body import invalid_body, unsupported_body

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_REQUEST_BODY: Final = 64 * 1024
"""The limit of a request body, in bytes."""

REPLAYED_HEADER: Final = "Idempotent-Replayed"
"""The header, `true`, of the response to a call whose idempotency key was used before."""

_VALID_ID = re.compile(r"[\x21-\x7e]{1,128}")
_PLAIN_LENGTH = re.compile(r"[0-9]{1,9}")
_STATUS_LINES: Final = {each.value: f"{each.value} {each.phrase}" for each in HTTPStatus}
_METHODS: Final = frozenset(HTTPMethod)
_INCOMPLETE: Final = "could not be read to its end"


class _RawResponse(Response):
    """A response with final headers: no relative `Location` in them has to be completed."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """Return the headers unchanged."""
        return self.headers


def choose_request_id(environ: WSGIEnvironment) -> str:
    """Return the request's `X-Request-Id`, or a new id.

    The header is used where it is 1 to 128 visible characters of ASCII.
    """
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _VALID_ID.fullmatch(given) else new_request_id()


@dataclass(frozen=True, slots=True)
class RequestContext:
    """A Flask request, its request id, and its start on the monotonic clock, in seconds."""

    request: Request
    request_id: str
    started: float

    @classmethod
    def from_request(cls) -> RequestContext:
        """Return the context of the current Flask request."""
        request: Request = flask.request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - documented by Flask
        return cls(request, choose_request_id(request.environ), time.monotonic())

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds since the start of the request."""
        return round((time.monotonic() - self.started) * 1000)

    def failure_result(self, outcome: Outcome) -> Result:
        """Return the result of a request that failed before the provider was called."""
        return Result(outcome, duration_ms=self.elapsed_ms, request_id=self.request_id)

    def respond(
        self,
        status: int,
        body: bytes | Iterable[bytes],
        headers: Mapping[str, str],
        *,
        code: Code | None = None,
        result: Result | None = None,
    ) -> Response:
        """Return the response, with the common headers, and log the request."""
        response = _RawResponse(
            body,
            _STATUS_LINES.get(status, status),
            [*headers.items(), *self._common_headers()],
        )
        if not body:
            del response.headers["Content-Type"]
        if status == HTTPStatus.NO_CONTENT:
            del response.headers["Content-Length"]
        if code is Code.UNAUTHENTICATED:
            response.headers["WWW-Authenticate"] = CHALLENGE
        self.log_request(status, code, result)
        return response

    def add_common_headers(self, response: Response) -> None:
        """Set the common headers and the standard reason phrase on a response of Flask's own."""
        response.headers.update(self._common_headers())
        response.status = _STATUS_LINES.get(response.status_code, response.status)

    def _common_headers(self) -> tuple[tuple[str, str], ...]:
        return ("X-Request-Id", self.request_id), ("Cache-Control", "no-store")

    def respond_envelope(
        self,
        envelope: Json,
        outcome: Outcome | None = None,
        result: Result | None = None,
        success: int = 200,
    ) -> Response:
        """Return an envelope as a response: `success`, or the status of the outcome's code."""
        code = outcome.code if outcome else None
        headers = {"Content-Type": "application/json"}
        if outcome is not None and outcome.retry_after is not None:
            headers["Retry-After"] = str(outcome.retry_after)
        status = code.http_status if code else success
        return self.respond(status, write_json(envelope), headers, code=code, result=result)

    def respond_result(self, result: Result) -> Response:
        """Return the result in its envelope as a response."""
        response = self.respond_envelope(result.envelope(), result.outcome, result)
        if result.replayed:
            response.headers[REPLAYED_HEADER] = "true"
        return response

    def log_request(
        self, status: int, code: Code | None = None, result: Result | None = None
    ) -> None:
        """Write the log line of this request."""
        rule, method = self.request.url_rule, self.request.method
        key = self.request.environ.get(KEY_NAME)
        if key is not None and result is not None and result.command is not None:
            key = redact_contact(key, result.command.contact)
        facts: dict[str, Any] = {
            "method": method if method in _METHODS else "-",
            "route": rule.rule if rule is not None else "-",
            "key": key,
        }
        if result is None:
            request_id = redact_request_id(self.request_id, None)
        else:
            facts |= describe_call(result)
            request_id = facts.pop("request_id")  # the last fact of a line
        facts["status"] = status
        facts["code"] = code.value if code else "ok"
        facts["ms"] = self.elapsed_ms
        log_event("request", **facts, request_id=request_id)

    def require_uncompressed(self) -> None:
        """Raise RequestError (`unsupported_media_type`) for a compressed body."""
        coding = self.request.environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
        if coding not in ("", "identity"):
            raise unsupported_body("Content-Encoding", "must be absent; send the body uncompressed")

    def limit_body(self, limit: int) -> int:
        """Return the limit of this body, in bytes: this one, or the host app's own."""
        host_limit = self.request.max_content_length
        return limit if host_limit is None else min(limit, host_limit)

    def read_body(self, limit: int = MAX_REQUEST_BODY) -> bytes:
        """Return the request body.

        Raises RequestError: `payload_too_large` above the limit or the host app's own,
        `unsupported_media_type` for a compressed body, and `invalid_json` for one that breaks off.
        """
        environ = self.request.environ
        self.require_uncompressed()
        limit = self.limit_body(limit)
        length = environ.get("CONTENT_LENGTH", "")
        # A hook of the host app that has read the body has made the cached property `stream`.
        if (
            _PLAIN_LENGTH.fullmatch(length)
            and "HTTP_TRANSFER_ENCODING" not in environ
            and "stream" not in vars(self.request)
        ):
            return self._read_exactly(int(length), limit)
        return self._read_stream(limit)

    def _read_exactly(self, length: int, limit: int) -> bytes:
        """Return a body of known length, read from the server's input.

        Flask's stream would parse and check the length three times more, which, with the skipped
        parsing of an absent query and of the usual Content-Type, takes 8 % of a request.
        """
        if length > limit:
            raise RequestError(Outcome.failure(Code.PAYLOAD_TOO_LARGE))
        source, body = self.request.environ["wsgi.input"], b""
        try:
            while len(body) < length:
                part = source.read(length - len(body))
                if not part:
                    raise invalid_body(_INCOMPLETE)
                body += part
        except RequestError:
            raise
        except Exception:  # noqa: BLE001 - each server raises its own exception for a broken body
            raise invalid_body(_INCOMPLETE) from None
        finally:
            self.request.stream = BytesIO()  # read to its end, for a later hook of the host app
        return body

    def _read_stream(self, limit: int) -> bytes:
        """Return a body in chunks, without a length, or already read by the host app."""
        length = self.request.content_length
        if length is not None and length > limit:
            raise RequestError(Outcome.failure(Code.PAYLOAD_TOO_LARGE))
        try:
            # A `before_request` hook of the host app may have read the stream; `get_data` then
            # returns the copy that Flask has cached.
            body = self.request.stream.read(limit + 1) or self.request.get_data()
        except RequestEntityTooLarge:
            raise RequestError(Outcome.failure(Code.PAYLOAD_TOO_LARGE)) from None
        except Exception:  # noqa: BLE001 - each server raises its own exception for a broken body
            raise invalid_body(_INCOMPLETE) from None
        if len(body) > limit:
            raise RequestError(Outcome.failure(Code.PAYLOAD_TOO_LARGE))
        if not body and "HTTP_TRANSFER_ENCODING" in self.request.environ:
            # Transfer-Encoding is set but the stream is empty: the host app consumed it, or its
            # server cannot find the end of a chunked body.
            raise invalid_body(_INCOMPLETE)
        return body
