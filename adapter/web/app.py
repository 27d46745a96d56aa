"""The standalone app: the extension at the root, health, OpenAPI and docs, and our own errors."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, Request, Response, request
from flask.sessions import NullSession, SessionInterface
from werkzeug.exceptions import HTTPException

from adapter.codes import Code, Scope
from adapter.errors import ConfigurationError, ConfigurationProblem, RequestError
from adapter.logs import log_exception
from adapter.results import Outcome
from adapter.service import describe_call, result_of
from adapter.settings.loader import load_settings
from adapter.settings.toml_file import read_toml
from adapter.web.auth import AnonymousAccess, read_key, require_scope
from adapter.web.context import RequestContext
from adapter.web.dialect_views import DialectViews
from adapter.web.extension import ExtensionState, install
from adapter.web.views import respond_data

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CONFIG_VARIABLE: Final = "CONTACT_ADAPTER_CONFIG"
"""The environment variable that names the configuration file."""

NAME: Final = "contact_adapter"

DEFAULT_ADDRESS: Final = "http://127.0.0.1:8000"
"""Where a server listens that was told nothing else."""

_EXTRA = ("apispec", "flask_swagger_ui", "prometheus_client")


def sandbox_path() -> Path:
    """Return the configuration that needs nothing: in the package, or beside it in a checkout."""
    here = Path(__file__).parent.parent
    inside, beside = here / "config" / "sandbox.toml", here.parent / "config" / "sandbox.toml"
    return inside if inside.is_file() else beside


def find_config(given: str | Path | None = None) -> Path:
    """Return the configuration file: the given one, else the environment's, else the sandbox.

    Raises ConfigurationError where the environment's variable is there and empty.
    """
    named = given if given is not None else os.environ.get(CONFIG_VARIABLE)
    if named == "":
        raise ConfigurationError(
            [ConfigurationProblem(CONFIG_VARIABLE, "is empty; name a file, or unset it")]
        )
    return Path(named) if named is not None else sandbox_path()


def create_app(
    config: Mapping[str, Any] | str | Path | None = None,
    *,
    allow_unauthenticated: bool = False,
    own_address: str | None = DEFAULT_ADDRESS,
) -> Flask:
    """Return the standalone app.

    `config` is a mapping or the path of a TOML file; without it the file is the environment's
    (`CONTACT_ADAPTER_CONFIG`), else the sandbox. Without any API key configured, every call is
    answered 401 unless `allow_unauthenticated`. `own_address` is where the app will be reached.

    Raises ConfigurationError and PluginError where the configuration cannot be used.
    """
    access = AnonymousAccess.EVERYONE if allow_unauthenticated else AnonymousAccess.KEYS_ONLY
    return build_app(config, access=access, own_address=own_address)


def build_app(
    config: Mapping[str, Any] | str | Path | None,
    *,
    access: AnonymousAccess,
    own_address: str | None = None,
) -> Flask:
    """Return the standalone app for one way of access; `create_app` for the rest of us."""
    _require_extra()
    mapping = config if isinstance(config, Mapping) else read_toml(find_config(config))
    settings = load_settings(mapping, own_address=own_address)
    app = _App("adapter", static_folder=None)
    install(app, settings, url_prefix="", name=NAME, access=access)
    _add_health(app)
    _add_metrics(app)
    _add_docs(app)
    _add_errors(app)
    prefixes = {mount.host: mount.prefix for mount in settings.dialects if mount.host is not None}
    if prefixes:
        app.wsgi_app = _HostMounts(app.wsgi_app, prefixes)  # type: ignore[assignment]
    return app


def _require_extra() -> None:
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"the standalone app needs {', '.join(missing)}; "
            "run: pip install 'contact-adapter[server]'"
        )


def service_state(app: Flask) -> ExtensionState:
    """Return what the extension keeps in the standalone app."""
    state: ExtensionState = app.extensions[NAME]
    return state


class _NoSessions(SessionInterface):
    """The sessions of an app that has none, and need not look for one in each request."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:
        """Return the one that is always empty."""
        return self._none

    def save_session(self, app: Flask, session: object, response: Response) -> None:
        """Keep nothing."""


class _App(Flask):
    """Flask without what this app has none of: sessions and coroutines."""

    session_interface: SessionInterface = _NoSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is, which is always a plain one."""
        return func


class _HostMounts:
    """Serves a dialect at the root of its own host name, by looking below its prefix."""

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
    def answer(status: str) -> Callable[[], Response]:
        return lambda: respond_data(RequestContext.from_request(), {"status": status})

    # Ready means: configuration and plugins are loaded, and calls are taken. Where they could not
    # be, the process has not started at all. No provider is asked, and a breaker that is open
    # changes nothing: a provider's outage is no reason to take this server out of service.
    app.add_url_rule("/livez", "livez", answer("live"))
    app.add_url_rule("/readyz", "readyz", answer("ready"))


def _add_metrics(app: Flask) -> None:
    from adapter.web.metrics import CONTENT_TYPE, Metrics

    state = service_state(app)
    metrics = Metrics(state.service)

    @app.get("/metrics")
    def expose() -> Response:
        context = RequestContext.from_request()
        try:
            require_scope(
                state.authenticator.authenticate(read_key(request), request), Scope.METRICS
            )
        except RequestError as error:
            return context.respond_result(context.result(error.outcome))
        return context.respond(200, metrics.expose(), {"Content-Type": CONTENT_TYPE})


def _add_docs(app: Flask) -> None:
    from adapter.web.docs import add_docs

    add_docs(app, service_state(app).service.settings)

    @app.after_request
    def mark(response: Response) -> Response:
        if "X-Request-Id" not in response.headers:
            context = RequestContext.from_request()
            context.mark(response)
            context.log(response.status_code)
        return response


_BY_STATUS: Final[Mapping[int | None, Code]] = {
    code.http_status: code
    for code in (
        Code.UNSUPPORTED_MEDIA_TYPE,
        Code.PAYLOAD_TOO_LARGE,
        Code.METHOD_NOT_ALLOWED,
        Code.NOT_FOUND,
    )
}


def _add_errors(app: Flask) -> None:
    @app.errorhandler(HTTPException)
    def basics(error: HTTPException) -> Response:
        context = RequestContext.from_request()
        if error.code is not None and 300 <= error.code <= 399:
            return app.make_response(error.get_response(request.environ))  # type: ignore[arg-type]
        code = _BY_STATUS.get(error.code, Code.VALIDATION_ERROR)
        if error.code is not None and error.code >= 500:
            code = Code.INTERNAL_ERROR
        fields = {"request": ("could not be read as HTTP",)} if error.code == 400 else {}
        response = context.respond_result(context.result(Outcome.failure(code, fields=fields)))
        if code is Code.METHOD_NOT_ALLOWED:
            allow = getattr(error, "valid_methods", None) or ()
            response.headers["Allow"] = ", ".join(sorted(allow))
        return response

    @app.errorhandler(Exception)
    def our_bug(error: Exception) -> Response:
        context, result = RequestContext.from_request(), result_of(error)
        if result is None:
            result = context.result(Outcome.failure(Code.INTERNAL_ERROR))
        else:  # something may have been sent, under the id that the request had then
            started = time.monotonic() - result.duration_ms / 1000
            context = replace(context, request_id=result.request_id, started=started)
        contact = result.command.contact if result.command else None
        request_id = describe_call(result)["request_id"]
        log_exception("internal_error", error, contact=contact, request_id=request_id)
        native = getattr(app.view_functions.get(request.endpoint or ""), "__self__", None)
        if isinstance(native, DialectViews):
            with suppress(Exception):  # the bug may be the dialect's own
                return native.respond(context, result)
        return context.respond_result(result)
