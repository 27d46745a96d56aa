"""The extension is a good guest: a host stays what it was, and cannot break what we answer.

What we answer in a quiet app is the measure of what we answer in a hostile one, and what a host
does without us is the measure of what it does with us.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import flask
import pytest
from flask import Blueprint, Flask, Request, Response, abort, request
from flask.json.provider import DefaultJSONProvider, JSONProvider
from flask.sessions import SecureCookieSessionInterface
from flask.views import MethodView
from legacy_app import create_app as create_legacy_app
from support import FAILING_PLUGIN, JID, NATIVE, NUMBER, SESSION, fingerprint, key_for
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.routing import BaseConverter
from werkzeug.test import Client

from adapter import ConfigurationError, ContactAdapter
from adapter.web.extension import ExtensionState

CONFIG: dict[str, Any] = {
    "accounts": {"support": {"provider": "memory", "aliases": [SESSION]}},
    "keys": {"crm": key_for("k"), "blind": key_for("b", scopes=("block",))},
    "dialects": {"enabled": list(NATIVE)},
}
PREFIX = "/contact-adapter"
KEY = {"X-API-Key": "k", "X-Request-Id": "one-and-the-same"}
BEARER = {"Authorization": "Bearer k", "X-Request-Id": "one-and-the-same"}
WAPPFY = {"apikey": "k", "X-Request-Id": "one-and-the-same"}
ASLEEP = "15005550012"
UNREACHABLE = "15005550021"

Call = tuple[str, str, dict[str, Any]]

BLOCK, UNBLOCK, BLOCKED = (f"/v1/contacts/{name}" for name in ("block", "unblock", "blocked"))
GATEWAY = f"/dialects/session-gateway/api/v1/sessions/{SESSION}/contacts/{{}}/{{}}"

# What is called, and the status and code that it is answered with. The order matters: the block
# list is read after it was written.
CALLS: dict[str, tuple[Call, int, str]] = {
    "block": (("POST", BLOCK, {"json": {"number": NUMBER}, "headers": KEY}), 200, "ok"),
    "block by query": (("POST", f"{BLOCK}?number={NUMBER}", {"headers": KEY}), 200, "ok"),
    "list": (("GET", BLOCKED, {"headers": KEY}), 200, "ok"),
    "unblock": (("POST", UNBLOCK, {"json": {"jid": JID}, "headers": BEARER}), 200, "ok"),
    "accounts": (("GET", "/v1/accounts", {"headers": KEY}), 200, "ok"),
    "providers": (("GET", "/v1/providers", {"headers": KEY}), 200, "ok"),
    "no key": (("GET", "/v1/accounts", {"headers": {}}), 401, "unauthenticated"),
    "no scope": (
        ("GET", "/v1/accounts", {"headers": {"X-API-Key": "b"}}),
        403,
        "permission_denied",
    ),
    "no json": (
        ("POST", BLOCK, {"data": "{", "content_type": "application/json", "headers": KEY}),
        400,
        "invalid_json",
    ),
    "a form": (
        ("POST", BLOCK, {"data": {"number": NUMBER}, "headers": KEY}),
        415,
        "unsupported_media_type",
    ),
    "a form and a query": (
        ("POST", f"{BLOCK}?number={NUMBER}", {"data": {"number": NUMBER}, "headers": KEY}),
        422,
        "validation_error",
    ),
    "too large": (
        ("POST", BLOCK, {"json": {"number": " " * 70_000}, "headers": KEY}),
        413,
        "payload_too_large",
    ),
    "nobody": (
        ("POST", BLOCK, {"json": {"number": "12"}, "headers": KEY}),
        422,
        "invalid_target",
    ),
    "no such account": (
        ("POST", BLOCK, {"json": {"number": NUMBER, "account": "x"}, "headers": KEY}),
        404,
        "account_not_found",
    ),
    "asleep": (
        ("POST", BLOCK, {"json": {"number": ASLEEP}, "headers": KEY}),
        409,
        "session_not_connected",
    ),
    "unreachable": (
        ("POST", BLOCK, {"json": {"number": UNREACHABLE}, "headers": KEY}),
        503,
        "provider_unreachable",
    ),
    "wuts": (
        ("POST", "/dialects/wuts/contacts/block", {"json": {"jid": JID}, "headers": BEARER}),
        200,
        "ok",
    ),
    "wuts list": (("GET", "/dialects/wuts/contacts/blocklist", {"headers": BEARER}), 200, "ok"),
    "wuts no key": (("POST", "/dialects/wuts/contacts/block", {}), 401, "unauthenticated"),
    "wuts bad": (
        ("POST", "/dialects/wuts/contacts/block", {"json": {"jid": "x"}, "headers": BEARER}),
        400,
        "invalid_target",
    ),
    "wuts asleep": (
        ("POST", "/dialects/wuts/contacts/block", {"json": {"number": ASLEEP}, "headers": BEARER}),
        503,
        "session_not_connected",
    ),
    "wuts nowhere": (
        ("GET", "/dialects/wuts/nowhere", {"headers": BEARER}),
        404,
        "not_found",
    ),
    "gateway": (("POST", GATEWAY.format(JID, "block"), {"headers": BEARER}), 204, "ok"),
    "gateway asleep": (
        ("POST", GATEWAY.format(f"{ASLEEP}@s.whatsapp.net", "block"), {"headers": BEARER}),
        501,
        "session_not_connected",
    ),
    "wappfy": (
        (
            "POST",
            "/dialects/wappfy/api/contacts/unblock",
            {"json": {"contactId": f"{NUMBER}@c.us", "session": SESSION}, "headers": WAPPFY},
        ),
        201,
        "ok",
    ),
}


def plain() -> Flask:
    """Return an app with nothing of its own."""
    return Flask("plain")


def page(text: str, status: int = 200) -> Response:
    """Return a page that needs nothing of the app, so that no JSON provider is in its way."""
    return Response(f"<p>the host: {text}</p>", status)


def host_of_its_own() -> Flask:
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
    app.register_error_handler(Exception, lambda error: page("whatever it was", 500))
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


# What hosts do


class BrokenJson(JSONProvider):
    """A JSON provider that can do nothing at all."""

    def dumps(self, obj: Any, **_: Any) -> NoReturn:
        raise AssertionError("the host's JSON provider is the host's")

    def loads(self, s: str | bytes, **_: Any) -> NoReturn:
        raise AssertionError("the host's JSON provider is the host's")

    def response(self, *_: Any, **__: Any) -> NoReturn:
        raise AssertionError("the host's JSON provider is the host's")


class OddJson(DefaultJSONProvider):
    mimetype = "application/x-host"
    compact = False

    def loads(self, s: str | bytes, **_: Any) -> dict[str, str]:
        return {"number": "15005550014"}


class OddRequest(Request):
    """A request that cannot read JSON or forms, and cannot be asked why."""

    def on_json_loading_failed(self, e: ValueError | None) -> NoReturn:
        raise AssertionError("the host reads no JSON")

    @property
    def json(self) -> NoReturn:
        raise AssertionError("the host reads no JSON")

    @property
    def form(self) -> NoReturn:
        raise AssertionError("the host reads no forms")


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


def read_first(how: Callable[[], object]) -> Callable[[Flask], None]:
    """Let the host read every body before us."""

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


def refuses_strange_keys(app: Flask) -> None:
    @app.before_request
    def check() -> Response | None:
        if request.blueprint == "contact_adapter" or "Authorization" not in request.headers:
            return None
        return page("a key of somebody else", 401)


def checks_csrf(app: Flask) -> None:
    """Refuse what comes without a token, as the usual extension does; it exempts blueprints."""

    @app.before_request
    def check() -> Response | None:
        exempt = app.blueprints.get("contact_adapter")
        if request.method in ("GET", "HEAD", "OPTIONS", "TRACE") or not request.endpoint:
            return None
        view = app.view_functions[request.endpoint]
        assert f"{view.__module__}.{view.__name__}"  # by which it exempts single views
        if exempt is not None and app.blueprints.get(request.blueprint or "") is exempt:
            return None
        return page("no token", 400)


def pulls_the_language(app: Flask) -> None:
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


def wraps_itself(app: Flask) -> None:
    inner = app.wsgi_app

    def outer(environ: Any, start: Any) -> Any:
        environ["host.seen"] = True
        return inner(environ, start)

    app.wsgi_app = outer  # type: ignore[method-assign, assignment]


HABITS: dict[str, Callable[[Flask], None]] = {
    "no more than its own pages": lambda app: None,
    "TESTING": configured(TESTING=True),
    "DEBUG": configured(DEBUG=True),
    "PROPAGATE_EXCEPTIONS": configured(PROPAGATE_EXCEPTIONS=True),
    "PROPAGATE_EXCEPTIONS off": configured(PROPAGATE_EXCEPTIONS=False, TESTING=True),
    "TRAP_HTTP_EXCEPTIONS": configured(TRAP_HTTP_EXCEPTIONS=True),
    "TRAP_BAD_REQUEST_ERRORS": configured(TRAP_BAD_REQUEST_ERRORS=True),
    "both traps": traps_everything,
    "SERVER_NAME": configured(SERVER_NAME="host.example"),
    "APPLICATION_ROOT": configured(APPLICATION_ROOT="/root", PREFERRED_URL_SCHEME="https"),
    "a JSON provider that breaks": lambda app: setattr(app, "json", BrokenJson(app)),
    "a JSON provider that lies": lambda app: setattr(app, "json", OddJson(app)),
    "classes of its own": own_classes,
    "a session of its own": lambda app: setattr(app, "session_interface", OddSession()),
    "reads the body": read_first(lambda: request.get_data()),
    "reads the body as text": read_first(lambda: request.get_data(as_text=True)),
    "reads JSON": read_first(lambda: request.get_json(silent=True)),
    "reads JSON by force": read_first(lambda: request.get_json(force=True, silent=True)),
    "reads forms": read_first(lambda: request.form),
    "reads values and files": read_first(lambda: (request.values, request.files)),
    "refuses strange keys": refuses_strange_keys,
    "checks CSRF": checks_csrf,
    "pulls values from URLs": pulls_the_language,
    "has a catch-all page": has_views_of_classes,
    "handles every HTTP exception": handles_every_http_exception,
    "lenient URLs": lenient_urls,
    "wraps its WSGI app": wraps_itself,
}


def everything(app: Flask) -> None:
    """Have all bad habits at once that go together."""
    for habit in (
        "PROPAGATE_EXCEPTIONS off",
        "both traps",
        "APPLICATION_ROOT",
        "a JSON provider that breaks",
        "reads forms",
        "reads the body",
        "refuses strange keys",
        "checks CSRF",
        "pulls values from URLs",
        "handles every HTTP exception",
        "wraps its WSGI app",
    ):
        HABITS[habit](app)


HABITS["everything at once"] = everything


@pytest.fixture
def mount() -> Iterator[Callable[..., ContactAdapter]]:
    """Return a function that adds the extension to an app, and is undone after the test."""
    apps: list[Flask] = []

    def add(app: Flask, config: Any = CONFIG, **rest: Any) -> ContactAdapter:
        apps.append(app)
        return ContactAdapter(app, config, **rest)

    yield add
    for app in apps:
        for each in app.extensions.values():
            if isinstance(each, ExtensionState):
                each.service.close()


Mount = Callable[..., ContactAdapter]


def comparable(response: Any) -> tuple[int, list[tuple[str, str]], str]:
    """Return status, headers and body, without what no two calls share."""
    body = re.sub(r'"duration_ms":\d+', '"duration_ms":0', response.text)
    digits = len(response.text) - len(body)  # of a duration of 10 ms and more, beyond the first
    body = re.sub(r'"timestamp":"[^"]*"', '"timestamp":""', body)
    headers = {name: value for name, value in response.headers if name != "X-Made-By"}
    if "Content-Length" in headers:
        headers["Content-Length"] = str(int(headers["Content-Length"]) - digits)
    if "one-and-the-same" not in headers.get("X-Request-Id", "one-and-the-same"):
        body = body.replace(headers["X-Request-Id"], "")
        headers["X-Request-Id"] = ""
    return response.status_code, sorted(headers.items()), body


def answers(
    app: Any, prefix: str = PREFIX, base_url: str = "http://localhost"
) -> dict[str, tuple[int, list[tuple[str, str]], str]]:
    """Make every call and return what was answered."""
    client = Client(app)
    found = {}
    for title, ((method, path, rest), _, _) in CALLS.items():
        with client.open(prefix + path, method=method, base_url=base_url, **rest) as response:
            found[title] = comparable(response)
    return found


def pages(app: Flask, base_url: str = "http://localhost") -> dict[str, Any]:
    """Ask for every page of the host and return what came: an answer, or an exception."""
    client = app.test_client()
    found: dict[str, Any] = {}
    for method, path in PAGES:
        try:
            with client.open(path, method=method, base_url=base_url) as response:
                headers = sorted(response.headers.to_wsgi_list())
                found[f"{method} {path}"] = (response.status_code, headers, response.data)
        except Exception as error:  # noqa: BLE001 - whatever the host lets out
            found[f"{method} {path}"] = type(error)
    return found


@pytest.fixture(scope="module")
def measure() -> dict[str, tuple[int, list[tuple[str, str]], str]]:
    """Return what a quiet app answers."""
    app = plain()
    ContactAdapter(app, CONFIG)
    return answers(app)


# The measure is right


@pytest.mark.parametrize("title", CALLS)
def test_in_a_quiet_app_every_call_is_answered_as_promised(
    measure: dict[str, tuple[int, list[tuple[str, str]], str]], title: str
) -> None:
    _, status, code = CALLS[title]
    got_status, got_headers, body = measure[title]
    headers = dict(got_headers)
    assert got_status == status
    assert headers["Cache-Control"] == "no-store"
    assert "X-Request-Id" in headers
    assert ("WWW-Authenticate" in headers) == (status == 401)
    if title.split()[0] in ("wuts", "gateway", "wappfy"):
        assert headers["X-Contact-Adapter-Code"] == code
    elif code == "ok":
        assert '"success":true' in body
    else:
        assert f'"code":"{code}"' in body


# Hostile hosts


def build(habit: str) -> Flask:
    app = host_of_its_own()
    HABITS[habit](app)
    return app


@pytest.mark.parametrize("habit", HABITS)
def test_our_answers_are_the_same_in_every_host(
    mount: Mount, measure: dict[str, Any], habit: str
) -> None:
    app = build(habit)
    mount(app)
    base_url = f"http://{app.config['SERVER_NAME'] or 'localhost'}"
    assert answers(app, base_url=base_url) == measure


@pytest.mark.parametrize("habit", HABITS)
def test_the_pages_of_every_host_are_what_they_were(mount: Mount, habit: str) -> None:
    with_us = build(habit)
    mount(with_us)
    before = pages(build(habit))
    answers(with_us)
    assert pages(with_us) == before


@pytest.mark.parametrize("habit", HABITS)
def test_every_host_has_the_same_fingerprint_with_us_and_after_traffic(
    mount: Mount, habit: str
) -> None:
    app = build(habit)
    before = fingerprint.take(app)
    mount(app)
    assert fingerprint.difference(before, fingerprint.take(app)) == []
    answers(app)
    pages(app)
    assert fingerprint.difference(before, fingerprint.take(app)) == []
    assert fingerprint.own_logger() == (logging.NOTSET, [], [], True, False)


def test_the_hosts_pages_are_not_all_the_same() -> None:
    """What is compared above tells hosts apart."""
    habits = ("TESTING", "has a catch-all page", "checks CSRF")
    found = [pages(build(habit)) for habit in habits]
    assert all(each not in found[:place] for place, each in enumerate(found))
    assert found[0]["GET /v1/accounts"][2] == b"<p>the host: accounts of its own</p>"
    assert found[1]["GET /nowhere"][2] == b"<p>the host: everything else: nowhere</p>"
    assert found[2]["POST /missing"][2] == b"<p>the host: no token</p>"


@pytest.mark.parametrize("without", ["jinja_env", "logger"])
def test_we_make_nothing_that_flask_makes_when_it_is_asked_for(
    mount: Mount, without: str, measure: dict[str, Any]
) -> None:
    app = plain()
    mount(app)
    assert answers(app) == measure
    assert without not in vars(app)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", BLOCK, {"OPTIONS", "POST"}), ("PUT", BLOCKED, {"GET", "HEAD", "OPTIONS"})],
)
def test_a_wrong_method_below_our_prefix_is_a_page_of_the_hosts(
    mount: Mount, method: str, path: str, allowed: set[str]
) -> None:
    app = host_of_its_own()
    seen: list[Any] = []

    def handle(error: Exception) -> Response:
        seen.append(error)
        return page("error 405", 405)

    app.register_error_handler(405, handle)
    mount(app)
    response = app.test_client().open(PREFIX + path, method=method)
    assert (response.status_code, response.text) == (405, "<p>the host: error 405</p>")
    assert set(seen[0].valid_methods or ()) == allowed


# The fingerprint can tell


def _add_handler(app: Flask) -> None:
    app.register_error_handler(418, lambda error: "")


def _add_filter(app: Flask) -> None:
    app.add_template_filter(str.upper, "shout")


def _log_more(app: Flask) -> None:
    logging.getLogger("werkzeug").setLevel(1)


def _take_a_handler(app: Flask) -> None:
    app.logger.addHandler(logging.NullHandler())


def _filter_the_root(app: Flask) -> None:
    logging.getLogger().addFilter(lambda record: True)


def _add_command(app: Flask) -> None:
    app.cli.command("surprise")(lambda: None)


def _receive(app: Flask) -> None:
    flask.request_started.connect(_receive_nothing, app)


def _receive_nothing(*_: Any, **__: Any) -> None:
    pass


def _wrap(app: Flask) -> None:
    inner = app.wsgi_app
    app.wsgi_app = lambda environ, start: inner(environ, start)  # type: ignore[method-assign, assignment]


OFFENCES: dict[str, Callable[[Flask], object]] = {
    "an error handler": _add_handler,
    "before": lambda app: app.before_request(lambda: None),
    "after": lambda app: app.after_request(lambda response: response),
    "teardown": lambda app: app.teardown_request(lambda error: None),
    "app teardown": lambda app: app.teardown_appcontext(lambda error: None),
    "values": lambda app: app.url_value_preprocessor(lambda *_: None),
    "url defaults": lambda app: app.url_defaults(lambda *_: None),
    "a context processor": lambda app: app.context_processor(dict),
    "a shell context processor": lambda app: app.shell_context_processor(dict),
    "a new setting": lambda app: app.config.setdefault("SURPRISE", None),
    "another setting": lambda app: app.config.update(TESTING=not app.testing),
    "a page": lambda app: app.add_url_rule("/surprise", "surprise", lambda: ""),
    "a blueprint": lambda app: app.register_blueprint(Blueprint("surprise", "surprise")),
    "lenient URLs": lenient_urls,
    "a converter": lambda app: app.url_map.converters.update(surprise=BaseConverter),
    "a template filter": _add_filter,
    "a template global": lambda app: app.add_template_global(len, "len"),
    "another loader": lambda app: setattr(app.jinja_env, "loader", None),
    "a static folder": lambda app: setattr(app, "static_folder", "surprise"),
    "a command": _add_command,
    "a JSON provider": lambda app: setattr(app, "json", BrokenJson(app)),
    "a JSON provider's class": lambda app: setattr(app, "json_provider_class", BrokenJson),
    "a session": lambda app: setattr(app, "session_interface", OddSession()),
    "a response class": own_classes,
    "an extension": lambda app: app.extensions.update(surprise=1),
    "a receiver": _receive,
    "a WSGI wrapper": _wrap,
    "an error for a code": lambda app: app.aborter.mapping.update({499: NotFound}),
    "a level": _log_more,
    "a handler of the log": _take_a_handler,
    "a filter of the root": _filter_the_root,
    "a signal": lambda app: signal.signal(signal.SIGUSR2, lambda *_: None),
    "the environment": lambda app: os.environ.update(SURPRISE="1"),
    "a timeout for all": lambda app: socket.setdefaulttimeout(999),
}


@pytest.fixture
def _undo_offences() -> Iterator[None]:
    level, filters = logging.getLogger("werkzeug").level, list(logging.getLogger().filters)
    was = signal.getsignal(signal.SIGUSR2)
    yield
    logging.getLogger("werkzeug").setLevel(level)
    logging.getLogger().filters = filters
    for handler in list(logging.getLogger("offended").handlers):
        logging.getLogger("offended").removeHandler(handler)
    signal.signal(signal.SIGUSR2, was)
    os.environ.pop("SURPRISE", None)
    socket.setdefaulttimeout(None)


@pytest.mark.usefixtures("_undo_offences")
@pytest.mark.parametrize("offence", OFFENCES)
def test_the_fingerprint_shows_every_offence(offence: str) -> None:
    app = Flask("offended")
    before = fingerprint.take(app)
    assert fingerprint.difference(before, fingerprint.take(app)) == []
    OFFENCES[offence](app)
    assert fingerprint.difference(before, fingerprint.take(app)) != []


# Bodies


@pytest.mark.parametrize(
    "how",
    [
        lambda: request.stream.read(),
        lambda: request.get_data(cache=False),
        lambda: request.environ["wsgi.input"].read(),
    ],
    ids=["stream", "uncached", "raw"],
)
@pytest.mark.parametrize("query", ["", "?number=15005550014"])
def test_a_body_that_the_host_has_used_up_is_never_guessed(
    mount: Mount, how: Callable[[], object], query: str
) -> None:
    app = host_of_its_own()
    read_first(how)(app)
    contacts = mount(app)
    client = app.test_client()
    unified = client.post(f"{PREFIX}{BLOCK}{query}", json={"number": NUMBER}, headers=KEY)
    assert unified.status_code in (400, 422)
    assert unified.get_json()["error"]["code"] in ("invalid_json", "validation_error")
    native = client.post(
        f"{PREFIX}/dialects/wuts/contacts/block{query}", json={"jid": JID}, headers=BEARER
    )
    assert native.status_code == 400
    with app.app_context():
        assert contacts.blocked().contacts == ()


def test_a_host_that_takes_less_than_we_do_has_it_said_in_our_words(
    mount: Mount, measure: dict[str, Any]
) -> None:
    app = host_of_its_own()
    app.config["MAX_CONTENT_LENGTH"] = 4
    mount(app)
    for title, (status, headers, body) in answers(app).items():
        sent = CALLS[title][0][2]
        if title == "no json" or not {"json", "data"} & set(sent):
            assert (status, headers, body) == measure[title], title
        elif "dialects" in CALLS[title][0][1]:
            assert dict(headers)["X-Contact-Adapter-Code"] == "payload_too_large", title
        else:
            assert status == 413, title
            assert '"code":"payload_too_large"' in body


# The host has the last word


def test_what_the_host_writes_over_every_answer_is_written_over_ours_and_the_rest_stays(
    mount: Mount, measure: dict[str, Any]
) -> None:
    app = host_of_its_own()

    @app.after_request
    def mark(response: Response) -> Response:
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Cache-Control"] = "private"
        response.headers.pop("X-Request-Id", None)
        return response

    mount(app)
    for title, (status, headers, body) in answers(app).items():
        was = dict(measure[title][1])
        was |= {"X-Frame-Options": "DENY", "Cache-Control": "private"}
        del was["X-Request-Id"]
        assert (status, dict(headers)) == (measure[title][0], was), title
        if "X-Request-Id" in KEY and "one-and-the-same" in body:
            assert body == measure[title][2], title


def test_whom_the_host_refuses_has_not_been_with_us(mount: Mount) -> None:
    app = host_of_its_own()
    app.before_request(lambda: page("members only", 401))
    contacts = mount(app)
    for status, _, body in answers(app).values():
        assert (status, body) == (401, "<p>the host: members only</p>")
    with app.app_context():
        assert contacts.blocked().contacts == ()


def test_a_teardown_that_raises_is_the_hosts_affair_and_the_call_was_made(mount: Mount) -> None:
    app = host_of_its_own()

    @app.teardown_request
    def fail(error: BaseException | None) -> NoReturn:
        raise LookupError("the host's teardown")

    contacts = mount(app)
    client = app.test_client()
    with pytest.raises(LookupError):
        client.get("/")
    with pytest.raises(LookupError):
        client.post(PREFIX + BLOCK, json={"number": NUMBER}, headers=KEY)
    with app.app_context():
        assert [each.number for each in contacts.blocked().contacts or ()] == [NUMBER]


# Bugs belong to the host


def _own_page_for_500(app: Flask) -> None:
    app.register_error_handler(500, lambda error: page("sorry", 500))


def _own_page_for_it(app: Flask) -> None:
    app.register_error_handler(ZeroDivisionError, lambda error: page("division", 503))


def _own_page_for_all(app: Flask) -> None:
    app.register_error_handler(Exception, lambda error: page(type(error).__name__, 500))


HANDLERS: dict[str, Callable[[Flask], None]] = {
    "no handler": lambda app: None,
    "a handler for 500": _own_page_for_500,
    "a handler for the very exception": _own_page_for_it,
    "a handler for everything": _own_page_for_all,
    "a handler for HTTP exceptions": handles_every_http_exception,
}


@pytest.mark.parametrize("testing", [False, True])
@pytest.mark.parametrize("propagate", [None, False, True])
@pytest.mark.parametrize("handler", HANDLERS)
def test_a_bug_goes_wherever_a_bug_of_the_hosts_goes(
    plugin: Callable[[str, str], Path],
    mount: Mount,
    handler: str,
    propagate: bool | None,
    testing: bool,
) -> None:
    plugin("failing", FAILING_PLUGIN)
    app = Flask("host")
    app.config.update(TESTING=testing, PROPAGATE_EXCEPTIONS=propagate)
    app.get("/boom")(lambda: str(1 // 0))
    HANDLERS[handler](app)
    failing = {"provider": "failing", "aliases": [SESSION]}
    mount(app, {**CONFIG, "accounts": {"support": failing}})
    told: list[BaseException] = []

    def listen(sender: Flask, exception: BaseException, **_: Any) -> None:
        told.append(exception)

    def outcome(method: str, path: str, **rest: Any) -> Any:
        try:
            with app.test_client().open(path, method=method, **rest) as response:
                return response.status_code, sorted(response.headers), response.data
        except ZeroDivisionError:
            return "raised"

    with flask.got_request_exception.connected_to(listen, app):
        own = outcome("GET", "/boom")
        own_told = len(told)
        ours = outcome("POST", PREFIX + BLOCK, json={"number": NUMBER}, headers=KEY)
        native = outcome("POST", PREFIX + GATEWAY.format(JID, "block"), headers=BEARER)
    assert (ours, native) == (own, own)
    assert len(told) == 3 * own_told
    assert all(isinstance(error, ZeroDivisionError) for error in told)


# Several apps, several instances, and where they are


def test_a_factory_called_twice_makes_two_apps_that_share_nothing(
    mount: Mount, measure: dict[str, Any]
) -> None:
    apps = [host_of_its_own(), host_of_its_own()]
    objects = [mount(app) for app in apps]
    with apps[0].app_context():
        objects[0].block(NUMBER)
    assert objects[1].for_app(apps[1]).blocked().contacts == ()
    assert answers(apps[1]) == measure


def test_several_instances_under_different_names_answer_alike(
    mount: Mount, measure: dict[str, Any]
) -> None:
    app = host_of_its_own()
    before = fingerprint.take(app)
    for name in ("one", "two", "three"):
        mount(app, name=name, url_prefix=f"/{name}")
    for name in ("one", "two", "three"):
        assert answers(app, f"/{name}") == measure
    after = fingerprint.take(app, "one", "two", "three")
    assert fingerprint.difference(before, after) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"url_prefix": "/other"}, RuntimeError),
        ({"name": "second", "url_prefix": "no-slash"}, ValueError),
        ({"name": "second", "url_prefix": "/<unheard_of:variable>"}, LookupError),
        ({"name": "a.dot"}, ValueError),
        ({"name": "host"}, ValueError),
        ({"name": "second", "config": {"accounts": {}}}, ConfigurationError),
        ({"name": "second", "config": {**CONFIG, "surprise": 1}}, ConfigurationError),
        (
            {
                "name": "second",
                "config": {**CONFIG, "dialects": {"enabled": ["wuts"], "wuts": {"host": "a.b"}}},
            },
            ConfigurationError,
        ),
    ],
    ids=[
        "name taken",
        "prefix",
        "converter",
        "dot",
        "blueprint taken",
        "no account",
        "unknown key",
        "host",
    ],
)
def test_an_init_that_is_refused_leaves_the_app_as_it_was(
    mount: Mount, measure: dict[str, Any], arguments: dict[str, Any], error: type[Exception]
) -> None:
    app = host_of_its_own()
    app.register_blueprint(Blueprint("host", "host"))
    mount(app)
    before = fingerprint.take(app, "nobody's")
    with pytest.raises(error):
        ContactAdapter(app, **{"config": CONFIG, "url_prefix": "/second", **arguments})
    assert fingerprint.difference(before, fingerprint.take(app, "nobody's")) == []
    assert answers(app) == measure


def test_an_app_that_has_already_answered_refuses_by_itself_and_stays_as_it_was() -> None:
    app = host_of_its_own()
    app.test_client().get("/")
    before = fingerprint.take(app)
    with pytest.raises(AssertionError, match="first request"):
        ContactAdapter(app, CONFIG)
    assert fingerprint.difference(before, fingerprint.take(app, "nobody's")) == []


@pytest.mark.parametrize(
    ("given", "prefix"),
    [
        ("/whatsapp", "/whatsapp"),
        ("/whatsapp/", "/whatsapp"),
        ("/api/whatsapp", "/api/whatsapp"),
        ("/ação", "/ação"),
        ("/with-dash.dot", "/with-dash.dot"),
    ],
)
def test_below_any_prefix_the_answers_are_the_same(
    mount: Mount, measure: dict[str, Any], given: str, prefix: str
) -> None:
    app = host_of_its_own()
    mount(app, url_prefix=given)
    assert answers(app, prefix) == measure


@pytest.mark.parametrize("given", ["", "/"])
def test_at_the_root_of_an_app_without_pages_the_answers_are_the_same(
    mount: Mount, measure: dict[str, Any], given: str
) -> None:
    app = plain()
    mount(app, url_prefix=given)
    assert answers(app, "") == measure


@pytest.mark.parametrize("pulled", [True, False])
def test_a_prefix_may_hold_variables_of_the_hosts(
    mount: Mount, measure: dict[str, Any], pulled: bool
) -> None:
    app = host_of_its_own()
    if pulled:
        pulls_the_language(app)
    mount(app, url_prefix="/<language>/whatsapp")
    assert answers(app, "/pt/whatsapp") == measure


def test_below_another_app_the_answers_are_the_same(mount: Mount, measure: dict[str, Any]) -> None:
    app = host_of_its_own()
    mount(app)
    outer = DispatcherMiddleware(plain(), {"/below": app})
    assert answers(outer, f"/below{PREFIX}") == measure


@pytest.mark.parametrize("address", ["http://a.example", "http://b.example:8080", "http://[::1]"])
def test_a_host_that_matches_names_of_hosts_has_us_on_every_one(
    mount: Mount, measure: dict[str, Any], address: str
) -> None:
    def named() -> Flask:
        app = Flask("host", host_matching=True, static_host="static.example")
        app.add_url_rule("/", "home", lambda: page("a"), host="a.example")
        app.add_url_rule("/", "other", lambda: page("b"), host="b.example:8080")
        return app

    app = named()
    before = fingerprint.take(app)
    mount(app)
    assert fingerprint.difference(before, fingerprint.take(app)) == []
    assert answers(app, base_url=address) == measure
    assert pages(app, address) == pages(named(), address)


def test_subdomains_of_a_host_are_its_own(mount: Mount, measure: dict[str, Any]) -> None:
    app = Flask("host", subdomain_matching=True)
    app.config["SERVER_NAME"] = "host.example"
    app.add_url_rule(f"{PREFIX}/v1/accounts", "own", lambda: page("own"), subdomain="api")
    mount(app)
    client = app.test_client()
    own = client.get(f"{PREFIX}/v1/accounts", base_url="http://api.host.example")
    assert own.text == "<p>the host: own</p>"
    assert answers(app, base_url="http://host.example") == measure


# The legacy app


def test_the_legacy_app_has_the_same_fingerprint_with_us_and_after_traffic(
    mount: Mount, measure: dict[str, Any], tmp_path: Path
) -> None:
    app = create_legacy_app({"DATABASE": str(tmp_path / "legacy.sqlite")})
    before = fingerprint.take(app)
    mount(app)
    assert fingerprint.difference(before, fingerprint.take(app)) == []
    served = {"X-Served-By": "legacy", "X-Frame-Options": "DENY"}
    for title, (status, headers, body) in answers(app).items():
        expected = {**dict(measure[title][1]), **served}
        # The host reads its session for every request, which newer Flasks note in `Vary`.
        got = {name: value for name, value in headers if name != "Vary"}
        assert (status, got, body) == (measure[title][0], expected, measure[title][2])
    pages(app)
    assert fingerprint.difference(before, fingerprint.take(app)) == []
