"""The standalone app: the extension at the root, health checks, metrics, docs, error handlers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from adapter.codes import Code, Scope
from adapter.errors import RequestError
from adapter.logs import log_exception
from adapter.results import Outcome
from adapter.service import describe_call, result_of
from adapter.settings.loader import load_settings
from adapter.settings.locations import DEFAULT_ADDRESS, find_config
from adapter.settings.toml_file import read_toml
from adapter.web.auth import (
    AnonymousAccess,
    read_api_key,
    require_scope,
    warn_about_short_keys,
)
from adapter.web.context import RequestContext
from adapter.web.dialect_views import views_of
from adapter.web.extension import ExtensionState, install
from adapter.web.flask_app import StandaloneFlask
from adapter.web.views import respond_data

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

EXTENSION_NAME: Final = "contact_adapter"

_SERVER_EXTRA = ("apispec", "flask_swagger_ui", "prometheus_client")


def create_app(
    config: Mapping[str, Any] | str | Path | None = None,
    *,
    allow_unauthenticated: bool = False,
    own_address: str | None = DEFAULT_ADDRESS,
) -> Flask:
    """Return the standalone app.

    `config` is a mapping or the path of a TOML file; by default the file that the environment
    variable `CONTACT_ADAPTER_CONFIG` names, else the sandbox. Without any API key configured,
    every request is answered 401, unless `allow_unauthenticated` is set. `own_address` is the URL
    at which the app can be reached, for accounts with `base_url = { self = "…" }`.

    Raises ConfigurationError and PluginError where the configuration cannot be used.
    """
    access = AnonymousAccess.EVERYONE if allow_unauthenticated else AnonymousAccess.KEYS_ONLY
    app = build_app(config, access=access, own_address=own_address)
    warn_about_short_keys(service_state(app).service.settings.keys)
    return app


def build_app(
    config: Mapping[str, Any] | str | Path | None,
    *,
    access: AnonymousAccess,
    own_address: str | None = None,
) -> Flask:
    """Return the standalone app, as `create_app` does, with any kind of anonymous access."""
    _require_server_extra()
    mapping = config if isinstance(config, Mapping) else read_toml(find_config(config))
    settings = load_settings(mapping, own_address=own_address)
    app = StandaloneFlask("adapter", static_folder=None)
    install(app, settings, url_prefix="", name=EXTENSION_NAME, access=access)
    _add_health(app)
    _add_metrics(app)
    _add_docs(app)
    _complete_foreign_responses(app)
    _add_error_handlers(app)
    prefixes = {mount.host: mount.prefix for mount in settings.dialects if mount.host is not None}
    if prefixes:
        app.wsgi_app = _HostMounts(app.wsgi_app, prefixes)  # type: ignore[assignment]
    return app


def _require_server_extra() -> None:
    missing = [name for name in _SERVER_EXTRA if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"the standalone app needs the packages {', '.join(missing)}; "
            "run: pip install 'contact-adapter[server]'"
        )


def service_state(app: Flask) -> ExtensionState:
    """Return the extension's state in the standalone app."""
    state: ExtensionState = app.extensions[EXTENSION_NAME]
    return state


class _HostMounts:
    """WSGI middleware: a request to the host name of a dialect gets the dialect's prefix."""

    def __init__(self, app: WSGIApplication, prefixes: Mapping[str, str]) -> None:
        self._app = app
        self._prefixes = prefixes

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "").partition(":")[0].rstrip(".").lower()
        prefix = self._prefixes.get(host)
        if prefix is not None:
            environ = {**environ, "PATH_INFO": prefix + environ.get("PATH_INFO", "/")}
        return self._app(environ, start)


def _add_health(app: Flask) -> None:
    @app.get("/livez")
    def livez() -> Response:
        return respond_data(RequestContext.from_request(), {"status": "live"})

    # Ready means: configuration and plugins are loaded, and calls are accepted. A process that
    # cannot load them does not start. No provider is called, and an open breaker changes nothing:
    # a load balancer must not remove this server because a provider is down.
    @app.get("/readyz")
    def readyz() -> Response:
        context = RequestContext.from_request()
        ledger = service_state(app).service.ledger
        if ledger is None:
            return respond_data(context, {"status": "ready"})
        readiness = ledger.readiness()
        if readiness.ready:
            return respond_data(context, {"status": "ready", "ledger": readiness.state})
        failure = Outcome.failure(Code.LEDGER_UNAVAILABLE, message=readiness.message)
        return context.respond_result(context.failure_result(failure))


def _add_metrics(app: Flask) -> None:
    from adapter.web.metrics import CONTENT_TYPE, Metrics

    state = service_state(app)
    metrics = Metrics(state.service)

    @app.get("/metrics")
    def expose() -> Response:
        context = RequestContext.from_request()
        try:
            caller = state.authenticator.authenticate(read_api_key(request), request)
            require_scope(caller, Scope.METRICS)
        except RequestError as error:
            return context.respond_result(context.failure_result(error.outcome))
        return context.respond(200, metrics.expose(), {"Content-Type": CONTENT_TYPE})


def _add_docs(app: Flask) -> None:
    from adapter.web.docs import add_docs

    add_docs(app, service_state(app).service.settings)


def _complete_foreign_responses(app: Flask) -> None:
    """Give the common headers and a log line to responses that no RequestContext has made.

    They are Flask's own, such as redirects and responses to OPTIONS, and those of the docs.
    """

    @app.after_request
    def complete(response: Response) -> Response:
        if "X-Request-Id" not in response.headers:
            context = RequestContext.from_request()
            context.add_common_headers(response)
            context.log_request(response.status_code)
        return response


_CODE_BY_STATUS: Final[Mapping[int | None, Code]] = {
    code.http_status: code
    for code in (
        Code.BAD_REQUEST,
        Code.UNSUPPORTED_MEDIA_TYPE,
        Code.PAYLOAD_TOO_LARGE,
        Code.METHOD_NOT_ALLOWED,
        Code.NOT_FOUND,
    )
}


def _add_error_handlers(app: Flask) -> None:
    @app.errorhandler(HTTPException)
    def handle_http_exception(error: HTTPException) -> Response:
        context = RequestContext.from_request()
        if error.code is not None and 300 <= error.code <= 399:
            return app.make_response(error.get_response(request.environ))  # type: ignore[arg-type]
        code = _CODE_BY_STATUS.get(error.code, Code.VALIDATION_ERROR)
        if error.code is not None and error.code >= 500:
            code = Code.INTERNAL_ERROR
        fields = {"request": ("could not be parsed as HTTP",)} if error.code == 400 else {}
        failure = context.failure_result(Outcome.failure(code, fields=fields))
        response = context.respond_result(failure)
        if code is Code.METHOD_NOT_ALLOWED:
            allow = getattr(error, "valid_methods", None) or ()
            response.headers["Allow"] = ", ".join(sorted(allow))
        return response

    @app.errorhandler(Exception)
    def handle_bug(error: Exception) -> Response:
        context, result = RequestContext.from_request(), result_of(error)
        if result is None:
            result = context.failure_result(Outcome.failure(Code.INTERNAL_ERROR))
        else:  # the provider may have been called, with the request id of the first context
            started = time.monotonic() - result.duration_ms / 1000
            context = replace(context, request_id=result.request_id, started=started)
        contact = result.command.contact if result.command else None
        request_id = describe_call(result)["request_id"]
        log_exception("internal_error", error, contact=contact, request_id=request_id)
        views = views_of(app.view_functions.get(request.endpoint or ""))
        if views is not None:
            with suppress(Exception):  # the bug may be in the dialect itself
                return views.respond(context, result)
        return context.respond_result(result)
