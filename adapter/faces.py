"""What the unified API and the dialects have in common: the caller, the body, the answer."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import flask
from flask import Request, Response
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge

from adapter.codes import Code, Scope
from adapter.errors import RequestError
from adapter.keys import ANYONE, Caller, KeyRing
from adapter.logs import log, write_line
from adapter.outcome import Outcome, Result
from adapter.service import Service, describe_call, new_request_id
from adapter.settings import is_loopback
from adapter.wire import Json, StrictJsonError, read_json, write_json

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_REQUEST_BODY: Final = 64 * 1024
"""Most bytes of a caller's body that are read."""

_SANE_ID = re.compile(r"[\x21-\x7e]{1,128}")


class Access(Enum):
    """Who is served where no key is configured. With a key, only callers that have one are."""

    KEYS_ONLY = "nobody"
    LOOPBACK = "callers who address this machine as itself"
    EVERYONE = "everyone"


class _Final(Response):
    """An answer whose headers are final: there is no address in them to complete."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """Return the headers as they are."""
        return self.headers


@dataclass(frozen=True, slots=True)
class Incoming:
    """One request to us, with the id that it goes by."""

    request: Request
    request_id: str
    started: float

    @classmethod
    def now(cls) -> Incoming:
        """Return the request of this moment.

        Its id is the caller's `X-Request-Id` where that is a sane token, else a new one.
        """
        request: Request = flask.request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - the documented way
        given = request.environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _SANE_ID.fullmatch(given) else new_request_id()
        return cls(request, request_id, time.monotonic())

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
        response = _Final(body, status, [*headers.items(), *self._marks()])
        if not body:
            del response.headers["Content-Type"]
        if status == HTTPStatus.NO_CONTENT:
            del response.headers["Content-Length"]
        if code is Code.UNAUTHENTICATED:
            response.headers["WWW-Authenticate"] = 'Bearer realm="contact-adapter"'
        self.log(status, code, result)
        return response

    def mark(self, response: Response) -> None:
        """Set the two headers that every answer carries."""
        response.headers.update(self._marks())

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
        request_id = call.pop("request_id", self.request_id)
        facts = {
            "method": self.request.method,
            "route": rule.rule if rule is not None else "-",
            **call,
            "status": status,
            "code": code.value if code else "ok",
            "ms": self.milliseconds,
        }
        write_line("request", **{**facts, "request_id": request_id})

    def read_body(self) -> bytes:
        """Return the body; beyond our limit or the host's, raise `payload_too_large`."""
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
            raise _broken_body("could not be read to its end") from None
        if len(body) > most:
            raise RequestError(Outcome.failure(Code.PAYLOAD_TOO_LARGE))
        if not body and "HTTP_TRANSFER_ENCODING" in self.request.environ:
            # It was announced and is gone: the host read it, or its server cannot tell its end.
            raise _broken_body("could not be read to its end")
        return body


def read_strict(body: bytes) -> Json:
    """Return what a caller's body says; raises RequestError (`invalid_json`) with the reason."""
    try:
        return read_json(body)
    except StrictJsonError as error:
        raise _broken_body(str(error)) from None


def _broken_body(why: str) -> RequestError:
    return RequestError(Outcome.failure(Code.INVALID_JSON, fields={"body": (why,)}))


class Guard:
    """Lets callers in by their API key; without any key configured, by `access`."""

    def __init__(self, service: Service, access: Access) -> None:
        self._keys = KeyRing(service.settings.keys)
        self._access = access
        if not len(self._keys) and access is Access.KEYS_ONLY:
            log.warning("no API key is configured: every call over HTTP will be answered 401")

    def admit(self, secret: str | None, request: Request) -> Caller:
        """Return the caller whose key this is.

        Raises RequestError: `unauthenticated`, or `permission_denied` for a web page of another
        origin that calls a server without keys through somebody's browser.
        """
        if len(self._keys):
            caller = self._keys.find(secret) if secret else None
            if caller is None:
                raise RequestError(Outcome.failure(Code.UNAUTHENTICATED))
            return caller
        if self._access is Access.KEYS_ONLY:
            raise RequestError(Outcome.failure(Code.UNAUTHENTICATED))
        if self._is_foreign(request):
            raise RequestError(Outcome.failure(Code.PERMISSION_DENIED))
        return ANYONE

    def _is_foreign(self, request: Request) -> bool:
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2].lower() != request.host.lower():
            return True
        if self._access is Access.EVERYONE:
            return False
        try:
            return not is_loopback(urlsplit(f"//{request.host}").hostname or "")
        except ValueError:
            return True


def require_scope(caller: Caller, scope: Scope) -> None:
    """Raise RequestError (`permission_denied`) where the caller lacks the scope."""
    if not caller.may(scope):
        raise RequestError(Outcome.failure(Code.PERMISSION_DENIED))


def read_key(request: Request) -> str | None:
    """Return the caller's key; none where two headers hold two different ones."""
    bearer = None
    # The environment itself is asked, where the usual way would read each name three times.
    scheme, _, token = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        bearer = token.strip()
    direct = request.environ.get("HTTP_X_API_KEY") or None
    if bearer is not None and direct is not None and bearer != direct:
        return None
    return bearer or direct
