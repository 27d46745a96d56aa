"""The app's own methods do what Flask's do: URLs, matching, and the functions around a request."""

from __future__ import annotations

from functools import cache
from typing import Any

import flask
import pytest
from flask import Flask, Request, Response, request_tearing_down
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import MapAdapter, RequestRedirect

from adapter.web.app import create_app
from adapter.web.flask_app import StandaloneFlask, _UrlAdapter

HOSTS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [
            *("localhost", "127.0.0.1:8000", "LOCALHOST", "a.b-c.example:80", "a:443", "a:8080"),
            *("a:80800", "a:65535", "a:65536", "a:99999", "a:0", "a:08", "a:", ":80", ".", "a..b"),
            *("[::1]", "[::1]:8000", "a_b", "xn--nxasmq6b", "a.", "-", "é.example", "a b", "a/b"),
            *(
                "x" * 63,
                "x" * 64,
                f"{'x' * 63}.{'y' * 63}",
                f"a.{'x' * 64}",
                "a@b",
                "a\n",
                "a:80\n",
            ),
        ]
    ),
    st.from_regex(r"[a-zA-Z0-9.:-]{0,12}", fullmatch=True),
    st.none(),
)
PATHS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [
            *("/v1/contacts/block", "/v1/contacts/blocked", "/livez", "/docs", "/docs/", "/docs/x"),
            *("/v1/contacts/block/", "//v1/contacts/block", "/v1//contacts/block", "v1/accounts"),
            *("/V1/accounts", "/v1/contacts/block\n", "/dialects/wuts", "/dialects/wuts/", "", "/"),
            *(
                "/dialects/wuts/contacts/block",
                "/dialects/wuts//a",
                "/caf\xc3\xa9",
                "/\xff",
                "/a b",
            ),
        ]
    ),
    st.text(st.characters(max_codepoint=255), max_size=12),
)
METHODS = st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "post", "X", "TRACE"])


@cache
def standalone() -> Flask:
    config = {"accounts": {"m": {"provider": "memory"}}, "dialects": {"enabled": ["wuts"]}}
    return create_app(config, allow_unauthenticated=True)


def environ_of(path: str | None, method: str = "GET", **others: Any) -> dict[str, Any]:
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "wsgi.url_scheme": "http",
        **others,
    }
    return {name: value for name, value in environ.items() if value is not None}


def bound(app: Flask, create: Any, environ: dict[str, Any]) -> tuple[Any, ...]:
    """Return what is known of an adapter and of its request's host, or the exception."""
    request = Request(environ)
    try:
        adapter = create(app, request)
    except HTTPException as error:
        return type(error), error.description
    facts = {name: value for name, value in vars(adapter).items() if name != "fixed_rules"}
    return facts, adapter.get_host(None), request.host


@given(
    path=PATHS,
    method=METHODS,
    host=HOSTS,
    script=st.sampled_from(["", "/wa", "/wa/", "/caf\xc3\xa9", None]),
    query=st.sampled_from(["", "a=1", "a=\xc3\xa9", "%zz", None]),
    scheme=st.sampled_from(["http", "https"]),
    upgrade=st.sampled_from([(None, None), ("Upgrade", "websocket"), ("upgrade", "h2c")]),
)
def test_url_adapter_is_the_one_of_flask(
    path: str | None,
    method: str,
    host: str | None,
    script: str | None,
    query: str | None,
    scheme: str,
    upgrade: tuple[str | None, str | None],
) -> None:
    environ = environ_of(path, method, HTTP_HOST=host, SCRIPT_NAME=script, QUERY_STRING=query)
    environ |= {"wsgi.url_scheme": scheme}
    for name, value in zip(("HTTP_CONNECTION", "HTTP_UPGRADE"), upgrade, strict=True):
        if value is not None:
            environ[name] = value
    app = standalone()
    own = bound(app, StandaloneFlask.create_url_adapter, environ)
    assert own == bound(app, Flask.create_url_adapter, environ)


@pytest.mark.parametrize(
    "config", [{"TRUSTED_HOSTS": ["other.example"]}, {"SERVER_NAME": "other.example:8000"}]
)
@pytest.mark.parametrize("subdomain_matching", [False, True])
@pytest.mark.filterwarnings("ignore:Current server name")
def test_url_adapter_obeys_the_configuration_of_flask(
    config: dict[str, Any], subdomain_matching: bool
) -> None:
    app = StandaloneFlask("app", static_folder=None, subdomain_matching=subdomain_matching)
    app.config.update(config)
    for host in ("localhost", "other.example:8000", "other.example", "a.other.example:8000"):
        environ = environ_of("/", HTTP_HOST=host)
        own = bound(app, StandaloneFlask.create_url_adapter, environ)
        assert own == bound(app, Flask.create_url_adapter, environ)
    assert vars(app.create_url_adapter(None) or object) == vars(
        Flask.create_url_adapter(app, None) or object
    )


def test_usual_request_has_the_own_url_adapter() -> None:
    request = Request(environ_of("/v1/contacts/block", HTTP_HOST="127.0.0.1:8000"))
    assert type(standalone().create_url_adapter(request)) is _UrlAdapter


def matched(adapter: MapAdapter, method: Any) -> tuple[Any, ...]:
    try:
        return method(adapter, return_rule=True)  # type: ignore[no-any-return]
    except RequestRedirect as error:
        return RequestRedirect, error.new_url
    except MethodNotAllowed as error:
        return MethodNotAllowed, sorted(error.valid_methods or ())
    except HTTPException as error:
        return (type(error),)


@given(path=PATHS, method=METHODS)
def test_match_is_the_one_of_werkzeug(path: str | None, method: str) -> None:
    for _ in range(2):  # the second match of a rule without variable parts is remembered
        request = Request(environ_of(path, method, HTTP_HOST="localhost"))
        adapter = standalone().create_url_adapter(request)
        assert adapter is not None
        assert matched(adapter, type(adapter).match) == matched(adapter, MapAdapter.match)


def test_match_remembers_no_more_than_the_rules_without_variable_parts() -> None:
    app = create_app({"accounts": {"m": {"provider": "memory"}}}, allow_unauthenticated=True)
    client = app.test_client()
    for path in ("/livez", "//livez", "/livez?x=1", "/nowhere", "/docs/x", "/v1/accounts"):
        for method in ("GET", "HEAD", "X"):
            client.open(path, method=method)
    request = Request(environ_of("/", HTTP_HOST="localhost"))
    adapter = app.create_url_adapter(request)
    assert isinstance(adapter, _UrlAdapter)
    assert sorted(adapter.fixed_rules) == [
        (method, path) for method in ("GET", "HEAD") for path in ("/livez", "/v1/accounts")
    ]


def test_match_with_arguments_is_the_one_of_werkzeug() -> None:
    request = Request(environ_of("/livez", HTTP_HOST="localhost"))
    adapter = standalone().create_url_adapter(request)
    assert adapter is not None
    assert adapter.match() == ("livez", {})
    assert adapter.match("/v1/contacts/block", "POST")[0] == "contact_adapter.contacts_block"
    assert adapter.test("/readyz")
    assert adapter.allowed_methods("/livez") == MapAdapter.allowed_methods(adapter, "/livez")


def test_functions_and_signals_around_a_request_are_called() -> None:
    app = create_app({"accounts": {"m": {"provider": "memory"}}}, allow_unauthenticated=True)
    called: list[str] = []

    def note(name: str) -> Any:
        def call(*_: Any, **__: Any) -> None:
            called.append(name)

        return call

    def after(response: Response) -> Response:
        called.append("after_request")
        return response

    receiver = note("signal")
    app.url_value_preprocessor(note("url_value_preprocessor"))
    app.before_request(note("before_request"))
    app.after_request(after)
    app.teardown_request(note("teardown_request"))
    app.teardown_appcontext(note("teardown_appcontext"))
    request_tearing_down.connect(receiver, app)
    assert app.test_client().get("/livez").status_code == 200
    assert called == [
        *("url_value_preprocessor", "before_request", "after_request"),
        *("teardown_request", "signal", "teardown_appcontext"),
    ]


@pytest.mark.parametrize(
    "which", ["before_request", "url_value_preprocessor", "signal", "teardown"]
)
def test_each_function_around_a_request_is_called_alone(which: str) -> None:
    app = create_app({"accounts": {"m": {"provider": "memory"}}}, allow_unauthenticated=True)
    called: list[str] = []

    def note(*_: Any, **__: Any) -> None:
        called.append(flask.request.path)

    if which == "before_request":
        app.before_request(note)
    elif which == "url_value_preprocessor":
        app.url_value_preprocessor(note)
    elif which == "teardown_request":
        app.teardown_request(note)
    else:
        request_tearing_down.connect(note, app)
    app.test_client().get("/livez")
    assert called == ["/livez"]


def test_before_request_function_can_respond() -> None:
    app = create_app({"accounts": {"m": {"provider": "memory"}}}, allow_unauthenticated=True)
    app.before_request(lambda: ("mine", 418))
    response = app.test_client().get("/livez")
    assert (response.status_code, response.text) == (418, "mine")


def test_url_for_is_the_one_of_flask() -> None:
    app = standalone()
    for base in ("http://localhost", "https://a.example:8443", "http://b.example/wa"):
        with app.test_request_context("/livez", base_url=base):
            assert flask.url_for("livez", _external=True) == f"{base}/livez"
            assert flask.url_for("contact_adapter.contacts_block", a="1").endswith("/block?a=1")
