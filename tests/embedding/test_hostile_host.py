"""The extension in hostile host apps: the host stays unchanged, and our responses do too.

The baseline of our responses is an app without pages of its own; the baseline of a host is the same
host without the extension.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

import flask
import pytest
from flask import Flask, Response, request
from legacy_app import create_app as create_legacy_app
from support import FAILING_PLUGIN, JID, NUMBER, SESSION, fingerprint
from support.host_calls import (
    BEARER,
    BLOCK,
    BLOCKED,
    CALLS,
    CONFIG,
    GATEWAY,
    KEY,
    PREFIX,
    Responses,
    pages,
    responses,
)
from support.hosts import (
    HOST_VARIANTS,
    Mount,
    app_with_pages,
    build_host,
    empty_app,
    handles_every_http_exception,
    page,
    reads_body_first,
)
from werkzeug.exceptions import MethodNotAllowed

pytest_plugins = ["support.host_fixtures"]


# The baseline


@pytest.mark.parametrize("title", CALLS)
def test_baseline_responses_have_the_documented_status_and_code(
    baseline: Responses, title: str
) -> None:
    _, status, code = CALLS[title]
    got_status, got_headers, body = baseline[title]
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


@pytest.mark.parametrize("variant", HOST_VARIANTS)
def test_our_answers_are_the_same_in_every_host(
    mount: Mount, baseline: Responses, variant: str
) -> None:
    app = build_host(variant)
    mount(app)
    base_url = f"http://{app.config['SERVER_NAME'] or 'localhost'}"
    assert responses(app, base_url=base_url) == baseline


@pytest.mark.parametrize("variant", HOST_VARIANTS)
def test_pages_of_every_host_are_unchanged_by_the_extension(mount: Mount, variant: str) -> None:
    with_us = build_host(variant)
    mount(with_us)
    before = pages(build_host(variant))
    responses(with_us)
    assert pages(with_us) == before


@pytest.mark.parametrize("variant", HOST_VARIANTS)
def test_fingerprint_of_every_host_is_unchanged_by_the_extension_and_by_traffic(
    mount: Mount, variant: str
) -> None:
    app = build_host(variant)
    before = fingerprint.take(app)
    mount(app)
    assert fingerprint.difference(before, fingerprint.take(app)) == []
    responses(app)
    pages(app)
    assert fingerprint.difference(before, fingerprint.take(app)) == []
    assert fingerprint.own_logger() == (logging.NOTSET, [], [], True, False)


def test_pages_of_different_hosts_differ() -> None:
    """The comparisons above can fail: the pages of different hosts differ."""
    variants = ("TESTING", "has a catch-all page", "checks CSRF")
    found = [pages(build_host(variant)) for variant in variants]
    assert all(each not in found[:place] for place, each in enumerate(found))
    assert found[0]["GET /v1/accounts"][2] == b"<p>the host: accounts of its own</p>"
    assert found[1]["GET /nowhere"][2] == b"<p>the host: everything else: nowhere</p>"
    assert found[2]["POST /missing"][2] == b"<p>the host: no token</p>"


@pytest.mark.parametrize("without", ["jinja_env", "logger"])
def test_lazy_attributes_of_flask_are_not_created_by_the_extension(
    mount: Mount, without: str, baseline: Responses
) -> None:
    app = empty_app()
    mount(app)
    assert responses(app) == baseline
    assert without not in vars(app)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", BLOCK, {"OPTIONS", "POST"}), ("PUT", BLOCKED, {"GET", "HEAD", "OPTIONS"})],
)
def test_method_not_allowed_below_the_prefix_is_handled_by_the_host(
    mount: Mount, method: str, path: str, allowed: set[str]
) -> None:
    app = app_with_pages()
    seen: list[MethodNotAllowed] = []

    def handle(error: MethodNotAllowed) -> Response:
        seen.append(error)
        return page("error 405", 405)

    app.register_error_handler(405, handle)
    mount(app)
    response = app.test_client().open(PREFIX + path, method=method)
    assert (response.status_code, response.text) == (405, "<p>the host: error 405</p>")
    assert set(seen[0].valid_methods or ()) == allowed


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
def test_consumed_body_is_an_error_and_never_replaced_by_the_query(
    mount: Mount, how: Callable[[], object], query: str
) -> None:
    app = app_with_pages()
    reads_body_first(how)(app)
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


class Piecewise(BytesIO):
    """An input that returns one byte at a time, and fails where it is read beyond its end.

    Some servers would wait there for the next request of the connection.
    """

    def read(self, size: int | None = -1) -> bytes:
        assert self.tell() < len(self.getvalue())
        assert size is not None
        assert 0 < size <= len(self.getvalue()) - self.tell()
        return super().read(1)


def test_body_is_read_to_its_length_and_a_later_hook_of_the_host_finds_an_empty_stream(
    mount: Mount,
) -> None:
    app = app_with_pages()
    mount(app)
    found: list[bytes] = []

    @app.after_request
    def look(response: Response) -> Response:
        found.extend([request.stream.read(), request.get_data(cache=False)])
        return response

    stream = Piecewise(b'{"number": "%s"}' % NUMBER.encode())
    overrides = {"CONTENT_LENGTH": str(len(stream.getvalue())), "wsgi.input": stream}
    overrides["CONTENT_TYPE"] = "application/json"
    response = app.test_client().post(f"{PREFIX}{BLOCK}", headers=KEY, environ_overrides=overrides)
    assert response.get_json()["success"]
    assert found == [b"", b""]


@pytest.mark.parametrize("error", [None, OSError, ValueError, RuntimeError])
def test_body_that_breaks_off_is_invalid_json(mount: Mount, error: type[Exception] | None) -> None:
    class Broken(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            part = super().read(size)
            if not part and error is not None:
                raise error
            return part

    app = app_with_pages()
    mount(app)
    overrides = {
        "CONTENT_LENGTH": "99",
        "wsgi.input": Broken(b'{"number": "%s"}' % NUMBER.encode()),
    }
    overrides["CONTENT_TYPE"] = "application/json"
    response = app.test_client().post(f"{PREFIX}{BLOCK}", headers=KEY, environ_overrides=overrides)
    assert response.status_code == 400
    assert response.get_json()["error"]["code"] == "invalid_json"
    assert "end" in str(response.get_json()["error"]["fields"])


@pytest.mark.parametrize("length", [" 29", "+5", "5_0", "-1", "x", "29, 29", "\u0662\u0669"])
def test_odd_length_of_a_body_is_left_to_flask(
    mount: Mount, monkeypatch: pytest.MonkeyPatch, length: str
) -> None:
    app = app_with_pages()
    mount(app)

    def post() -> tuple[int, object]:
        body = BytesIO(b'{"number": "+5511999999999"}')
        overrides = {"CONTENT_LENGTH": length, "wsgi.input": body}
        overrides["CONTENT_TYPE"] = "application/json"
        client = app.test_client()
        response = client.post(f"{PREFIX}{BLOCK}", headers=KEY, environ_overrides=overrides)
        return response.status_code, response.get_json()["error"]

    found = post()
    monkeypatch.setattr("adapter.web.context._PLAIN_LENGTH", re.compile("(?!)"))  # never matches
    assert found == post()
    assert found[0] in (200, 400, 422)  # by the version of Werkzeug


def test_lower_max_content_length_of_the_host_is_payload_too_large(
    mount: Mount, baseline: Responses
) -> None:
    app = app_with_pages()
    app.config["MAX_CONTENT_LENGTH"] = 4
    mount(app)
    for title, (status, headers, body) in responses(app).items():
        sent = CALLS[title][0][2]
        if title == "no json" or not {"json", "data"} & set(sent):
            assert (status, headers, body) == baseline[title], title
        elif "dialects" in CALLS[title][0][1]:
            assert dict(headers)["X-Contact-Adapter-Code"] == "payload_too_large", title
        else:
            assert status == 413, title
            assert '"code":"payload_too_large"' in body


# Hooks of the host


def test_after_request_hook_of_the_host_can_change_headers_and_nothing_else_changes(
    mount: Mount, baseline: Responses
) -> None:
    app = app_with_pages()

    @app.after_request
    def mark(response: Response) -> Response:
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Cache-Control"] = "private"
        response.headers.pop("X-Request-Id", None)
        return response

    mount(app)
    for title, (status, headers, body) in responses(app).items():
        was = dict(baseline[title][1])
        was |= {"X-Frame-Options": "DENY", "Cache-Control": "private"}
        del was["X-Request-Id"]
        assert (status, dict(headers)) == (baseline[title][0], was), title
        if "X-Request-Id" in KEY and "one-and-the-same" in body:
            assert body == baseline[title][2], title


def test_request_rejected_by_a_before_request_hook_changes_no_block_list(mount: Mount) -> None:
    app = app_with_pages()
    app.before_request(lambda: page("members only", 401))
    contacts = mount(app)
    for status, _, body in responses(app).values():
        assert (status, body) == (401, "<p>the host: members only</p>")
    with app.app_context():
        assert contacts.blocked().contacts == ()


def test_exception_in_a_teardown_hook_of_the_host_propagates_after_the_call(
    mount: Mount,
) -> None:
    app = app_with_pages()

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


# Exceptions


def _own_page_for_500(app: Flask) -> None:
    app.register_error_handler(500, lambda error: page("sorry", 500))


def _own_page_for_division(app: Flask) -> None:
    app.register_error_handler(ZeroDivisionError, lambda error: page("division", 503))


def _own_page_for_all(app: Flask) -> None:
    app.register_error_handler(Exception, lambda error: page(type(error).__name__, 500))


HANDLERS: dict[str, Callable[[Flask], None]] = {
    "no handler": lambda app: None,
    "a handler for 500": _own_page_for_500,
    "a handler for this exception": _own_page_for_division,
    "a handler for everything": _own_page_for_all,
    "a handler for HTTP exceptions": handles_every_http_exception,
}


@pytest.mark.parametrize("testing", [False, True])
@pytest.mark.parametrize("propagate", [None, False, True])
@pytest.mark.parametrize("handler", HANDLERS)
def test_exception_in_a_provider_is_handled_like_an_exception_of_the_host(
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


# The legacy app


def test_fingerprint_of_the_legacy_app_is_unchanged_by_the_extension_and_by_traffic(
    mount: Mount, baseline: Responses, tmp_path: Path
) -> None:
    app = create_legacy_app({"DATABASE": str(tmp_path / "legacy.sqlite")})
    before = fingerprint.take(app)
    mount(app)
    assert fingerprint.difference(before, fingerprint.take(app)) == []
    served = {"X-Served-By": "legacy", "X-Frame-Options": "DENY"}
    for title, (status, headers, body) in responses(app).items():
        expected = {**dict(baseline[title][1]), **served}
        # The host reads its session in every request; newer versions of Flask then set `Vary`.
        got = {name: value for name, value in headers if name != "Vary"}
        assert (status, got, body) == (baseline[title][0], expected, baseline[title][2])
    pages(app)
    assert fingerprint.difference(before, fingerprint.take(app)) == []
