"""Host apps for the tests of the extension: a plain one, one with pages, and its variants."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import flask
from flask import Flask, Request, Response, abort, request
from flask.json.provider import DefaultJSONProvider, JSONProvider
from flask.sessions import SecureCookieSessionInterface
from flask.views import MethodView
from werkzeug.exceptions import HTTPException

from adapter import ContactAdapter


def empty_app() -> Flask:
    """Return an app without pages and handlers."""
    return Flask("plain")


def page(text: str, status: int = 200) -> Response:
    """Return a page of the host, made without its response class and JSON provider."""
    return Response(f"<p>the host: {text}</p>", status)


def app_with_pages() -> Flask:
    """Return an app with pages, handlers and a `/v1` of its own."""
    app = Flask("host")

    @app.get("/")
    def home() -> Response:
        return page("home")

    @app.route("/v1/accounts")
    def accounts() -> Response:
        return page("accounts of its own")

    @app.post("/v1/contacts/block")
    def block() -> Response:
        return page("a block of its own")

    @app.get("/bad")
    def bad() -> NoReturn:
        abort(400)

    @app.post("/missing")
    def missing() -> str:
        return request.form["field"]

    @app.get("/boom")
    def boom() -> NoReturn:
        raise ZeroDivisionError("the host's own")

    for code in (400, 404, 405, 413, 415, 500):
        app.register_error_handler(code, lambda error, code=code: page(f"error {code}", code))
    app.register_error_handler(Exception, lambda error: page("any exception", 500))
    return app


PAGES: tuple[tuple[str, str], ...] = (
    ("GET", "/"),
    ("GET", "/v1/accounts"),
    ("POST", "/v1/accounts"),
    ("OPTIONS", "/v1/accounts"),
    ("POST", "/v1/contacts/block"),
    ("GET", "/v1/contacts/blocked"),
    ("GET", "/bad"),
    ("POST", "/missing"),
    ("GET", "/boom"),
    ("GET", "/nowhere"),
    ("GET", "/livez"),
    ("GET", "/contact-adapter"),
    ("GET", "/contact-adapter/nowhere"),
)


# What host apps do


class BrokenJson(JSONProvider):
    """A JSON provider that always raises."""

    def dumps(self, obj: Any, **_: Any) -> NoReturn:
        raise AssertionError("the extension has used the host's JSON provider")

    def loads(self, s: str | bytes, **_: Any) -> NoReturn:
        raise AssertionError("the extension has used the host's JSON provider")

    def response(self, *_: Any, **__: Any) -> NoReturn:
        raise AssertionError("the extension has used the host's JSON provider")


class OddJson(DefaultJSONProvider):
    mimetype = "application/x-host"
    compact = False

    def loads(self, s: str | bytes, **_: Any) -> dict[str, str]:
        return {"number": "15005550014"}


class OddRequest(Request):
    """A request class that raises for JSON and forms."""

    def on_json_loading_failed(self, e: ValueError | None) -> NoReturn:
        raise AssertionError("the extension has used the host's JSON parser")

    @property
    def json(self) -> NoReturn:
        raise AssertionError("the extension has used the host's JSON parser")

    @property
    def form(self) -> NoReturn:
        raise AssertionError("the extension has used the host's form parser")


class OddResponse(Response):
    default_mimetype = "application/x-host"
    default_status = 299
    autocorrect_location_header = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.headers["X-Made-By"] = "the host"


class OddSession(SecureCookieSessionInterface):
    def is_null_session(self, obj: object) -> bool:
        return False

    def should_set_cookie(self, *_: Any) -> bool:
        return False


def reads_body_first(how: Callable[[], object]) -> Callable[[Flask], None]:
    """Return a change: a hook of the host reads every body first."""

    def change(app: Flask) -> None:
        @app.before_request
        def read() -> None:
            how()

    return change


def configured(**config: Any) -> Callable[[Flask], None]:
    return lambda app: app.config.update(config)


def own_classes(app: Flask) -> None:
    app.request_class = OddRequest
    app.response_class = OddResponse


def rejects_authorization_elsewhere(app: Flask) -> None:
    @app.before_request
    def check() -> Response | None:
        if request.blueprint == "contact_adapter" or "Authorization" not in request.headers:
            return None
        return page("unknown key", 401)


def checks_csrf(app: Flask) -> None:
    """Reject requests without a CSRF token, as Flask-WTF does, which can exempt blueprints."""

    @app.before_request
    def check() -> Response | None:
        exempt = app.blueprints.get("contact_adapter")
        if request.method in ("GET", "HEAD", "OPTIONS", "TRACE") or not request.endpoint:
            return None
        view = app.view_functions[request.endpoint]
        assert f"{view.__module__}.{view.__name__}"  # the key by which Flask-WTF exempts views
        if exempt is not None and app.blueprints.get(request.blueprint or "") is exempt:
            return None
        return page("no token", 400)


def uses_language_in_urls(app: Flask) -> None:
    @app.url_value_preprocessor
    def pull(endpoint: str | None, values: dict[str, Any] | None) -> None:
        flask.g.language = (values or {}).pop("language", "pt")

    @app.url_defaults
    def push(endpoint: str, values: dict[str, Any]) -> None:
        if app.url_map.is_endpoint_expecting(endpoint, "language"):
            values.setdefault("language", flask.g.language)


def traps_everything(app: Flask) -> None:
    app.config.update(TRAP_HTTP_EXCEPTIONS=True, TRAP_BAD_REQUEST_ERRORS=True)


def has_views_of_classes(app: Flask) -> None:
    class Everything(MethodView):
        def get(self, rest: str) -> Response:
            return page(f"everything else: {rest}")

    app.add_url_rule("/<path:rest>", view_func=Everything.as_view("everything"))


def handles_every_http_exception(app: Flask) -> None:
    app.register_error_handler(HTTPException, lambda error: page("some error", 418))


def lenient_urls(app: Flask) -> None:
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False


def wrapped(inner: WSGIApplication) -> WSGIApplication:
    """Return a WSGI app that marks the environment and calls the inner one."""

    def outer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["host.seen"] = True
        return inner(environ, start_response)

    return outer


HOST_VARIANTS: dict[str, Callable[[Flask], None]] = {
    "own pages only": lambda app: None,
    "TESTING": configured(TESTING=True),
    "DEBUG": configured(DEBUG=True),
    "PROPAGATE_EXCEPTIONS": configured(PROPAGATE_EXCEPTIONS=True),
    "PROPAGATE_EXCEPTIONS off": configured(PROPAGATE_EXCEPTIONS=False, TESTING=True),
    "TRAP_HTTP_EXCEPTIONS": configured(TRAP_HTTP_EXCEPTIONS=True),
    "TRAP_BAD_REQUEST_ERRORS": configured(TRAP_BAD_REQUEST_ERRORS=True),
    "both traps": traps_everything,
    "SERVER_NAME": configured(SERVER_NAME="host.example"),
    "APPLICATION_ROOT": configured(APPLICATION_ROOT="/root", PREFERRED_URL_SCHEME="https"),
    "a JSON provider that raises": lambda app: setattr(app, "json", BrokenJson(app)),
    "a JSON provider with other results": lambda app: setattr(app, "json", OddJson(app)),
    "own request and response classes": own_classes,
    "own session interface": lambda app: setattr(app, "session_interface", OddSession()),
    "reads the body first": reads_body_first(lambda: request.get_data()),
    "reads the body first, as text": reads_body_first(lambda: request.get_data(as_text=True)),
    "reads JSON first": reads_body_first(lambda: request.get_json(silent=True)),
    "reads JSON first, forced": reads_body_first(lambda: request.get_json(force=True, silent=True)),
    "reads forms first": reads_body_first(lambda: request.form),
    "reads values and files first": reads_body_first(lambda: (request.values, request.files)),
    "rejects Authorization headers": rejects_authorization_elsewhere,
    "checks CSRF": checks_csrf,
    "variables in URLs": uses_language_in_urls,
    "has a catch-all page": has_views_of_classes,
    "handles every HTTP exception": handles_every_http_exception,
    "lenient URLs": lenient_urls,
    "wraps its WSGI app": lambda app: setattr(app, "wsgi_app", wrapped(app.wsgi_app)),
}


def everything(app: Flask) -> None:
    """Apply all variants that can be combined."""
    for variant in (
        "PROPAGATE_EXCEPTIONS off",
        "both traps",
        "APPLICATION_ROOT",
        "a JSON provider that raises",
        "reads forms first",
        "reads the body first",
        "rejects Authorization headers",
        "checks CSRF",
        "variables in URLs",
        "handles every HTTP exception",
        "wraps its WSGI app",
    ):
        HOST_VARIANTS[variant](app)


HOST_VARIANTS["all of it at once"] = everything


def build_host(variant: str) -> Flask:
    app = app_with_pages()
    HOST_VARIANTS[variant](app)
    return app


Mount = Callable[..., ContactAdapter]
"""Adds the extension to an app."""
