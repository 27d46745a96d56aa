"""The context of one request: its id, its start time, its response and its log line."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Final

import flask
from flask import Request, Response
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge

from adapter.codes import Code
from adapter.errors import RequestError
from adapter.logs import log_event
from adapter.redaction import redact_request_id
from adapter.results import Outcome, Result
from adapter.service import describe_call, new_request_id
from adapter.strict_json import Json, write_json
from adapter.web.body import broken_body, unsupported_body

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_REQUEST_BODY: Final = 64 * 1024
"""Most bytes of a caller's body that are read."""

_SANE_ID = re.compile(r"[\x21-\x7e]{1,128}")
_STATUS: Final = {each.value: f"{each.value} {each.phrase}" for each in HTTPStatus}
_METHODS: Final = frozenset(HTTPMethod)


class _RawResponse(Response):
    """An answer whose headers are final: there is no address in them to complete."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """Return the headers as they are."""
        return self.headers


def choose_request_id(environ: WSGIEnvironment) -> str:
    """Return the caller's `X-Request-Id` where that is a sane token, else a new id."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _SANE_ID.fullmatch(given) else new_request_id()


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One request to us, with the id that it goes by."""

    request: Request
    request_id: str
    started: float

    @classmethod
    def from_request(cls) -> RequestContext:
        """Return the request of this moment, with its id by `choose_request_id`."""
        request: Request = flask.request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - the documented way
        return cls(request, choose_request_id(request.environ), time.monotonic())

    @property
    def milliseconds(self) -> int:
        """How long it has been with us."""
        return round((time.monotonic() - self.started) * 1000)

    def result(self, outcome: Outcome) -> Result:
        """Return a failure that came about before any provider was asked."""
        return Result(outcome, duration_ms=self.milliseconds, request_id=self.request_id)

    def respond(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str],
        *,
        code: Code | None = None,
        result: Result | None = None,
    ) -> Response:
        """Return the answer with the headers that every answer carries, and log the request."""
        response = _RawResponse(
            body, _STATUS.get(status, status), [*headers.items(), *self._marks()]
        )
        if not body:
            del response.headers["Content-Type"]
        if status == HTTPStatus.NO_CONTENT:
            del response.headers["Content-Length"]
        if code is Code.UNAUTHENTICATED:
            response.headers["WWW-Authenticate"] = 'Bearer realm="contact-adapter"'
        self.log(status, code, result)
        return response

    def mark(self, response: Response) -> None:
        """Set what every answer carries: two headers, and the status in its standard words."""
        response.headers.update(self._marks())
        response.status = _STATUS.get(response.status_code, response.status)

    def _marks(self) -> tuple[tuple[str, str], ...]:
        return ("X-Request-Id", self.request_id), ("Cache-Control", "no-store")

    def respond_envelope(
        self, envelope: Json, outcome: Outcome | None = None, result: Result | None = None
    ) -> Response:
        """Return an envelope: 200, or the status of the outcome's code."""
        code = outcome.code if outcome else None
        headers = {"Content-Type": "application/json"}
        if outcome is not None and outcome.retry_after is not None:
            headers["Retry-After"] = str(outcome.retry_after)
        status = code.http_status if code else 200
        return self.respond(status, write_json(envelope), headers, code=code, result=result)

    def respond_result(self, result: Result) -> Response:
        """Return the result in its envelope."""
        return self.respond_envelope(result.envelope(), result.outcome, result)

    def log(self, status: int, code: Code | None = None, result: Result | None = None) -> None:
        """Write the one line of this request."""
        rule = self.request.url_rule
        call = describe_call(result) if result is not None else {}
        request_id = call.pop("request_id", redact_request_id(self.request_id, None))
        method = self.request.method
        facts = {
            "method": method if method in _METHODS else "-",
            "route": rule.rule if rule is not None else "-",
            **call,
            "status": status,
            "code": code.value if code else "ok",
            "ms": self.milliseconds,
        }
        log_event("request", **{**facts, "request_id": request_id})

    def read_body(self) -> bytes:
        """Return the body; beyond our limit or the host's, raise `payload_too_large`.

        A compressed one is `unsupported_media_type`.
        """
        coding = self.request.environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
        if coding not in ("", "identity"):
            raise unsupported_body("Content-Encoding", "must be left out; send it uncompressed")
        hosts, length = self.request.max_content_length, self.request.content_length
        most = MAX_REQUEST_BODY if hosts is None else min(MAX_REQUEST_BODY, hosts)
        if length is not None and length > most:
            raise RequestError(Outcome.failure(Code.PAYLOAD_TOO_LARGE))
        try:
            # A hook of the host's may have read the stream, and then left what it read behind.
            body = self.request.stream.read(most + 1) or self.request.get_data()
        except RequestEntityTooLarge:
            raise RequestError(Outcome.failure(Code.PAYLOAD_TOO_LARGE)) from None
        except Exception:  # noqa: BLE001 - every server has its own word for a broken body
            raise broken_body("could not be read to its end") from None
        if len(body) > most:
            raise RequestError(Outcome.failure(Code.PAYLOAD_TOO_LARGE))
        if not body and "HTTP_TRANSFER_ENCODING" in self.request.environ:
            # It was announced and is gone: the host read it, or its server cannot tell its end.
            raise broken_body("could not be read to its end")
        return body
