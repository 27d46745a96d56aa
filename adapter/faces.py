"""What the unified API and the dialects have in common: the caller, the body, the answer."""

from __future__ import annotations

import codecs
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

import flask
from flask import Request, Response
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge

from adapter.codes import Code, Scope
from adapter.cors import NO_CORS, Cors
from adapter.errors import RequestError
from adapter.forwarded import find_proxy_header
from adapter.hosts import is_loopback
from adapter.keys import ANYONE, Caller, KeyRing
from adapter.logs import log, write_line
from adapter.outcome import Outcome, Result
from adapter.provider import invalid_field
from adapter.redaction import show_request_id
from adapter.service import Service, describe_call, new_request_id
from adapter.wire import Json, StrictJsonError, read_json, write_json

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_REQUEST_BODY: Final = 64 * 1024
"""Most bytes of a caller's body that are read."""

FORM: Final = "application/x-www-form-urlencoded"

_SANE_ID = re.compile(r"[\x21-\x7e]{1,128}")
_STATUS: Final = {each.value: f"{each.value} {each.phrase}" for each in HTTPStatus}
_METHODS: Final = frozenset(HTTPMethod)
_UTF_8: Final = ("utf-8", "utf8", "us-ascii")
_MOST_FIELDS: Final = 100


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


def choose_request_id(environ: WSGIEnvironment) -> str:
    """Return the caller's `X-Request-Id` where that is a sane token, else a new id."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _SANE_ID.fullmatch(given) else new_request_id()


@dataclass(frozen=True, slots=True)
class Incoming:
    """One request to us, with the id that it goes by."""

    request: Request
    request_id: str
    started: float

    @classmethod
    def now(cls) -> Incoming:
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
        response = _Final(body, _STATUS.get(status, status), [*headers.items(), *self._marks()])
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
        request_id = call.pop("request_id", show_request_id(self.request_id, None))
        method = self.request.method
        facts = {
            "method": method if method in _METHODS else "-",
            "route": rule.rule if rule is not None else "-",
            **call,
            "status": status,
            "code": code.value if code else "ok",
            "ms": self.milliseconds,
        }
        write_line("request", **{**facts, "request_id": request_id})

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
            raise _broken_body("could not be read to its end") from None
        if len(body) > most:
            raise RequestError(Outcome.failure(Code.PAYLOAD_TOO_LARGE))
        if not body and "HTTP_TRANSFER_ENCODING" in self.request.environ:
            # It was announced and is gone: the host read it, or its server cannot tell its end.
            raise _broken_body("could not be read to its end")
        return body


def read_strict(body: bytes) -> Json:
    """Return what a caller's body says; raises RequestError (`invalid_json`) with the reason."""
    if body.startswith(codecs.BOM_UTF8):
        raise _broken_body("starts with a byte order mark; send UTF-8 without one")
    try:
        return read_json(body)
    except StrictJsonError as error:
        raise _broken_body(str(error)) from None


def _broken_body(why: str) -> RequestError:
    return RequestError(Outcome.failure(Code.INVALID_JSON, fields={"body": (why,)}))


def unsupported_body(header: str, message: str) -> RequestError:
    """Return the error that says which header speaks of a body that is not read here."""
    return RequestError(Outcome.failure(Code.UNSUPPORTED_MEDIA_TYPE, fields={header: (message,)}))


def is_utf_8(request: Request) -> bool:
    """Whether the body is in UTF-8, by its `Content-Type`, where JSON and forms are without one."""
    return request.mimetype_params.get("charset", "utf-8").lower() in _UTF_8


def read_form(body: bytes) -> dict[str, Json]:
    """Return the fields of a body of `application/x-www-form-urlencoded`, each a text.

    Raises RequestError (`validation_error`) for one that is no form or names a field twice.
    """
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        message = f"is no form of at most {_MOST_FIELDS} fields in UTF-8"
        raise invalid_field("body", message) from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise invalid_field("body", "names one field of the form twice")
    return dict(found)


class Guard:
    """Lets callers in by their API key; without any key configured, by `access`."""

    def __init__(self, service: Service, access: Access) -> None:
        self._keys = KeyRing(service.settings.keys)
        self._access = access
        if not len(self._keys) and access is Access.KEYS_ONLY:
            log.warning("no API key is configured: every call over HTTP will be answered 401")

    def admit(self, secret: str | None, request: Request, cors: Cors = NO_CORS) -> Caller:
        """Return the caller whose key this is.

        Raises RequestError: `unauthenticated`, or, on a server without keys, `permission_denied`
        for a web page of another origin, which calls through somebody's browser, that `cors` does
        not allow. Where such a server is for this machine alone, what a proxy passed on is
        `unauthenticated`: nobody knows then from where it came.
        """
        if len(self._keys):
            caller = self._keys.find(secret) if secret else None
            if caller is None:
                raise RequestError(Outcome.failure(Code.UNAUTHENTICATED))
            return caller
        if self._access is Access.KEYS_ONLY:
            raise RequestError(Outcome.failure(Code.UNAUTHENTICATED))
        if self._access is Access.LOOPBACK:
            _require_local(request)
        origin = request.environ.get("HTTP_ORIGIN")
        own = origin is None or origin.partition("://")[2].lower() == request.host.lower()
        if not own and not cors.allows(origin):
            raise _refused(Code.PERMISSION_DENIED, "Origin", _FOREIGN)
        return ANYONE


_FOREIGN: Final = "is of another site; without [keys], no web page but this server's own may call"
_NOT_HERE: Final = "is no name of this machine; without [keys], only callers on it are served"
_PASSED_ON: Final = "shows that a proxy passed this on; configure [keys] to serve behind one"


def _require_local(request: Request) -> None:
    """Raise RequestError for a request that was not meant for this machine by that very name."""
    header = find_proxy_header(request.environ)
    if header is not None:
        raise _refused(Code.UNAUTHENTICATED, header, _PASSED_ON)
    try:
        local = is_loopback(urlsplit(f"//{request.host}").hostname or "")
    except ValueError:
        local = False
    if not local:
        raise _refused(Code.PERMISSION_DENIED, "Host", _NOT_HERE)


def _refused(code: Code, header: str, message: str) -> RequestError:
    return RequestError(Outcome.failure(code, fields={header: (message,)}))


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
