"""The native faces: providers' own APIs, served by us through their dialects."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from flask import Blueprint, Request, Response
from werkzeug.routing import PathConverter

from adapter.auth import scope_for
from adapter.containment import contain
from adapter.dialect import Dialect, DialectRequest
from adapter.errors import RequestError
from adapter.http import Headers, HttpRequest
from adapter.logs import log
from adapter.results import Result
from adapter.service import Service
from adapter.settings.model import EVERY_ORIGIN
from adapter.strict_json import Json
from adapter.web.auth import Authenticator, require_scope
from adapter.web.body import FORM, is_utf_8, read_form, read_strict, unsupported_body
from adapter.web.context import RequestContext
from adapter.web.cors import Cors

CODE_HEADER: Final = "X-Contact-Adapter-Code"
"""The header in which every native answer carries the unified code, `ok` on success."""

CONFIRMATION_HEADER: Final = "X-Contact-Adapter-Confirmation"
"""The header in which every native success says how it is known."""

_EXPOSED: Final = (CODE_HEADER, CONFIRMATION_HEADER, "X-Request-Id", "Retry-After")
"""What a page of another origin may read besides the few headers that it always may."""

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


_REST: Final = "contact_adapter_rest"


class _Rest(PathConverter):
    """Any rest of a path, with line breaks and leading slashes, which the usual one refuses."""

    regex = "(?s:.+)"
    part_isolating = False


class DialectViews:
    """One dialect, served from one service, also to the web pages of `origins`."""

    def __init__(
        self,
        dialect: Dialect,
        service: Service,
        authenticator: Authenticator,
        origins: Collection[str] = (),
    ) -> None:
        self._dialect = dialect
        self._service = service
        self._authenticator = authenticator
        methods = [route.method for route in dialect.provider.all_routes()]
        self._cors = Cors(origins, methods, _EXPOSED)
        if EVERY_ORIGIN in origins and not service.settings.keys:
            where = f"dialects.{dialect.name}.cors_origins"
            log.warning("%s: without API keys, every web page may change block lists", where)

    def add_to(self, blueprint: Blueprint, prefix: str, host: str | None = None) -> None:
        """Register the whole address space below `prefix`; the dialect knows its own paths."""
        blueprint.record(lambda state: state.app.url_map.converters.update({_REST: _Rest}))
        for rule in (prefix, f"{prefix}/", f"{prefix}/<{_REST}:contact_adapter_path>"):
            blueprint.add_url_rule(
                rule,
                f"dialect_{self._dialect.name}",
                self._serve,
                methods=_METHODS,
                merge_slashes=False,
                provide_automatic_options=False,
                host=host,
            )

    def _serve(self, contact_adapter_path: str = "", **_of_the_host: object) -> Response:
        context = RequestContext.from_request()
        preflight = self._cors.preflight(context.request.environ)
        if preflight is not None:
            return context.respond(204, b"", preflight)
        result, call = contain(self._perform, context, contact_adapter_path)
        return self.respond(context, result, call)

    def _perform(self, context: RequestContext, path: str) -> tuple[Result, DialectRequest | None]:
        """Return what became of the request, and what the dialect read in it."""
        call: DialectRequest | None = None
        try:
            native = self._read_head(context.request, path)
            credential = self._dialect.parse_credential(native)
            caller = self._authenticator.authenticate(credential, context.request, self._cors)
            route, _ = self._dialect.match(native)
            native = self._read_rest(native, context)
            require_scope(caller, scope_for(route.action))
            call = self._dialect.parse_request(native)
            account = self._service.choose_account(caller, call.session, native=True)
            result = self._service.perform(account, call.command, request_id=context.request_id)
        except RequestError as error:
            result = context.result(error.outcome)
        return result, call

    def _read_head(self, request: Request, path: str) -> HttpRequest:
        query = {name: values[0] for name, values in request.args.lists()}
        return HttpRequest(
            request.method,
            "/" + quote(path, safe="/@:"),
            Headers(dict(request.headers)),
            query,
        )

    def _read_rest(self, native: HttpRequest, context: RequestContext) -> HttpRequest:
        body = context.read_body() if self._dialect.takes_body else b""
        if not body and not (self._dialect.takes_body and context.request.content_length):
            return native
        return replace(native, json=self._read_document(body, context.request))

    def _read_document(self, body: bytes, request: Request) -> Json:
        """Return the JSON of a body or, where the dialect takes those, the fields of a form.

        JSON is read whatever the body is called: `curl -d` calls everything a form.
        """
        if not self._dialect.takes_forms or request.mimetype != FORM:
            return read_strict(body)
        if body.lstrip().startswith(b"{"):
            return read_strict(body)
        if not is_utf_8(request):
            raise unsupported_body("Content-Type", "must be in UTF-8")
        return read_form(body)

    def respond(
        self, context: RequestContext, result: Result, call: DialectRequest | None = None
    ) -> Response:
        """Return the result in the provider's own shape."""
        build, now = self._dialect.build_response, datetime.now(UTC)
        native = contain(build, result.outcome, call, now=now)
        headers = {**native.headers, CODE_HEADER: result.code.value if result.code else "ok"}
        if result.confirmation is not None:
            headers[CONFIRMATION_HEADER] = result.confirmation.value
        headers.update(self._cors.headers(context.request.environ.get("HTTP_ORIGIN")))
        return context.respond(native.status, native.body, headers, code=result.code, result=result)
