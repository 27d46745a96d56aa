"""The native faces: providers' own APIs, served by us through their dialects."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from flask import Blueprint, Request, Response
from werkzeug.routing import PathConverter

from adapter.errors import RequestError
from adapter.faces import Guard, Incoming, read_strict, require_scope
from adapter.keys import scope_for
from adapter.outcome import Result
from adapter.provider import Dialect, NativeCall
from adapter.service import Service
from adapter.wire import Headers, HttpRequest

CODE_HEADER: Final = "X-Contact-Adapter-Code"
"""The header in which every native answer carries the unified code, `ok` on success."""

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


_REST: Final = "contact_adapter_rest"


class _Rest(PathConverter):
    """Any rest of a path, with line breaks and leading slashes, which the usual one refuses."""

    regex = "(?s:.+)"
    part_isolating = False


class NativeApi:
    """One dialect, served from one service."""

    def __init__(self, dialect: Dialect, service: Service, guard: Guard) -> None:
        self._dialect = dialect
        self._service = service
        self._guard = guard

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
        incoming = Incoming.now()
        call: NativeCall | None = None
        try:
            native = self._read_head(incoming.request, contact_adapter_path)
            caller = self._guard.admit(self._dialect.read_credential(native), incoming.request)
            route, _ = self._dialect.match(native)
            native = self._read_rest(native, incoming)
            require_scope(caller, scope_for(route.action))
            call = self._dialect.read_request(native)
            account = self._service.choose_account(caller, call.session, native=True)
            result = self._service.perform(account, call.command, request_id=incoming.request_id)
        except RequestError as error:
            result = incoming.result(error.outcome)
        return self.respond(incoming, result, call)

    def _read_head(self, request: Request, path: str) -> HttpRequest:
        query = {name: values[0] for name, values in request.args.lists()}
        return HttpRequest(
            request.method,
            "/" + quote(path, safe="/@:"),
            Headers(dict(request.headers)),
            query,
        )

    def _read_rest(self, native: HttpRequest, incoming: Incoming) -> HttpRequest:
        body = incoming.read_body() if self._dialect.takes_body else b""
        if not body and not (self._dialect.takes_body and incoming.request.content_length):
            return native
        return HttpRequest(
            native.method, native.path, native.headers, native.query, read_strict(body)
        )

    def respond(
        self, incoming: Incoming, result: Result, call: NativeCall | None = None
    ) -> Response:
        """Return the result in the provider's own shape."""
        native = self._dialect.build_response(result.outcome, call, now=datetime.now(UTC))
        headers = {**native.headers, CODE_HEADER: result.code.value if result.code else "ok"}
        return incoming.respond(
            native.status, native.body, headers, code=result.code, result=result
        )
