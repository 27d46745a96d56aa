"""The dialect views: the HTTP API of a provider, served in front of the configured accounts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from flask import Blueprint, Request, Response
from werkzeug.datastructures import EnvironHeaders
from werkzeug.routing import PathConverter

from adapter.api_keys import scope_for
from adapter.contacts import MAX_TEXT
from adapter.containment import contain
from adapter.dialect import Dialect, DialectRequest
from adapter.errors import RequestError
from adapter.http import Headers, HttpRequest
from adapter.logs import log
from adapter.request_fields import invalid_field
from adapter.results import Result
from adapter.service import Service
from adapter.settings.model import EVERY_ORIGIN
from adapter.strict_json import Json
from adapter.urls import is_mount_path
from adapter.web.auth import Authenticator, require_scope
from adapter.web.body import (
    FORM_TYPE,
    is_utf_8,
    parse_form_body,
    parse_json_body,
    unsupported_body,
)
from adapter.web.context import RequestContext
from adapter.web.cors import Cors

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

CODE_HEADER: Final = "X-Contact-Adapter-Code"
"""The header of every dialect response with the unified code; `ok` on success."""

CONFIRMATION_HEADER: Final = "X-Contact-Adapter-Confirmation"
"""The header of every successful dialect response with its confirmation."""

_EXPOSED_HEADERS: Final = (CODE_HEADER, CONFIRMATION_HEADER, "X-Request-Id", "Retry-After")
"""Response headers that pages of another origin may read besides the CORS-safelisted ones."""

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]

_VIEWS_ATTRIBUTE: Final = "contact_adapter_dialect_views"

_ANY_PATH: Final = "contact_adapter_any_path"


class _AnyPathConverter(PathConverter):
    """The rest of a path, line breaks and leading slashes included, unlike Werkzeug's `path`."""

    regex = "(?s:.+)"
    part_isolating = False


class RequestHeaders(Headers):
    """The headers of a WSGI environment, in which a name is looked up directly.

    A dialect reads one or two of them; reading all takes 3 % of a request.
    """

    __slots__ = ("_environ",)

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._environ = environ

    @property
    def _fields(self) -> dict[str, tuple[str, str]]:  # type: ignore[override]
        """All headers, as `Headers` keeps them."""
        return {name.lower(): (name, value) for name, value in EnvironHeaders(self._environ)}

    def __getitem__(self, name: str) -> str:
        key = name.upper().replace("-", "_")
        if "_" in name or key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            return super().__getitem__(name)
        value: str = self._environ[f"HTTP_{key}"]
        return value


class DialectViews:
    """The views of one dialect in front of one service. `origins` are its CORS origins."""

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
        methods = [route.method for route in dialect.routes()]
        self._cors = Cors(origins, methods, _EXPOSED_HEADERS)
        if EVERY_ORIGIN in origins and not service.settings.keys:
            log.warning(
                "dialects.%s.cors_origins: without API keys, every web page can change block "
                "lists; configure [keys], or name the origins",
                dialect.name,
            )

    def add_to(self, blueprint: Blueprint, prefix: str, host: str | None = None) -> None:
        """Register every path below `prefix`; the dialect itself matches the paths."""
        converters = {_ANY_PATH: _AnyPathConverter}
        blueprint.record(lambda state: state.app.url_map.converters.update(converters))

        def any_path(contact_adapter_path: str = "", **_host_variables: object) -> Response:
            return self._serve_request("/" + quote(contact_adapter_path, safe="/@:"))

        endpoint = f"dialect_{self._dialect.name}"
        for rule in (prefix, f"{prefix}/", f"{prefix}/<{_ANY_PATH}:contact_adapter_path>"):
            self._add_rule(blueprint, rule, endpoint, any_path, host)
        # A path without variable parts has a rule of its own, which Werkzeug finds in less time
        # than the rule of any path: 9 % of a call, without the server and the network.
        for number, path in enumerate(self._fixed_paths()):
            view = self._view_of(path)
            self._add_rule(blueprint, prefix + path, f"{endpoint}_{number}", view, host)

    def _fixed_paths(self) -> list[str]:
        """Return the paths of the dialect's routes that are the same in every request."""
        templates = [route.template for route in self._dialect.routes()]
        return [each for each in dict.fromkeys(templates) if is_mount_path(each)]

    def _view_of(self, path: str) -> Callable[..., Response]:
        def view(**_host_variables: object) -> Response:
            return self._serve_request(path)

        return view

    def _add_rule(
        self,
        blueprint: Blueprint,
        rule: str,
        endpoint: str,
        view: Callable[..., Response],
        host: str | None,
    ) -> None:
        setattr(view, _VIEWS_ATTRIBUTE, self)
        blueprint.add_url_rule(
            rule,
            endpoint,
            view,
            methods=_METHODS,
            merge_slashes=False,
            provide_automatic_options=False,
            host=host,
        )

    def _serve_request(self, path: str) -> Response:
        """Return the response to a request of this path, percent-encoded."""
        context = RequestContext.from_request()
        preflight = self._cors.preflight(context.request.environ)
        if preflight is not None:
            return context.respond(204, b"", preflight)
        result, call = contain(self._perform, context, path)
        return self.respond(context, result, call)

    def _perform(self, context: RequestContext, path: str) -> tuple[Result, DialectRequest | None]:
        """Return the result, and what the dialect has parsed of the request."""
        call: DialectRequest | None = None
        try:
            request = self._read_head(context.request, path)
            credential = self._dialect.parse_credential(request)
            caller = self._authenticator.authenticate(credential, context.request, self._cors)
            _require_single_values(context.request)
            route, _ = self._dialect.match(request)
            request = self._add_body(request, context)
            require_scope(caller, scope_for(route.action))
            call = self._dialect.parse_request(request)
            account = self._service.choose_account(caller, call.session, native=True)
            result = self._service.perform(
                account,
                call.command,
                request_id=context.request_id,
                context=caller.context("dialect"),
            )
            if result.outcome.reading is not None:
                result = replace(result, outcome=self._dialect.express(result.outcome))
        except RequestError as error:
            result = context.failure_result(error.outcome)
        return result, call

    def _read_head(self, request: Request, path: str) -> HttpRequest:
        found = request.args.lists() if request.query_string else ()
        query = {name: values[0] for name, values in found}
        headers = RequestHeaders(request.environ)
        return HttpRequest(request.method, path, headers, query)

    def _add_body(self, request: HttpRequest, context: RequestContext) -> HttpRequest:
        body = context.read_body() if self._dialect.takes_body else b""
        if not body and not (self._dialect.takes_body and context.request.content_length):
            return request
        document = self._parse_body(body, context.request)
        return HttpRequest(request.method, request.path, request.headers, request.query, document)

    def _parse_body(self, body: bytes, request: Request) -> Json:
        """Return the JSON of a body or, where the dialect takes forms, the fields of a form.

        JSON is accepted under any `Content-Type`: `curl -d` sends every body as a form.
        """
        if not self._dialect.takes_forms or request.mimetype != FORM_TYPE:
            return parse_json_body(body)
        if body.lstrip().startswith(b"{"):
            return parse_json_body(body)
        if not is_utf_8(request):
            raise unsupported_body("Content-Type", "must be in UTF-8")
        return parse_form_body(body)

    def respond(
        self, context: RequestContext, result: Result, call: DialectRequest | None = None
    ) -> Response:
        """Return the result as a response of the provider's own API."""
        build, now = self._dialect.build_response, datetime.now(UTC)
        response = contain(build, result.outcome, call, now=now)
        headers = dict(response.headers.items())
        headers[CODE_HEADER] = result.code.value if result.code else "ok"
        if result.confirmation is not None:
            headers[CONFIRMATION_HEADER] = result.confirmation.value
        headers.update(self._cors.headers(context.request.environ.get("HTTP_ORIGIN")))
        return context.respond(
            response.status, response.body, headers, code=result.code, result=result
        )


def _require_single_values(request: Request) -> None:
    """Raise RequestError for a parameter with two values, which may name two persons."""
    if request.query_string:
        for name, values in request.args.lists():
            if len(set(values)) > 1:
                raise invalid_field(name[:MAX_TEXT], "is given more than once")


def views_of(view: Callable[..., Any] | None) -> DialectViews | None:
    """Return the DialectViews that registered this view function; None for any other view."""
    found = getattr(view, _VIEWS_ATTRIBUTE, None)
    return found if isinstance(found, DialectViews) else None
