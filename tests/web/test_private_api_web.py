"""Canaries: one test per attribute or behaviour of Flask, Werkzeug, marshmallow and
prometheus_client that the web layer depends on, and that their documentation hardly covers.

Each fails when a release removes the attribute or changes its meaning.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import flask
import pytest
from flask import Blueprint, Flask, Request, Response
from flask.sessions import NullSession
from marshmallow import Schema, ValidationError, fields
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, PathConverter, Rule

from adapter.web.dialect_views import _AnyPathConverter
from adapter.web.flask_app import _NullSessionInterface


def test_flask_request_get_current_object_is_the_request_behind_the_proxy() -> None:
    app = Flask("app")
    with app.test_request_context("/path") as context:
        found = flask.request._get_current_object()  # type: ignore[attr-defined]
        assert found is context.request
        assert isinstance(found, Request)


def test_flask_null_session_is_empty_and_its_interface_sets_no_cookie() -> None:
    app = Flask("app")
    app.session_interface = _NullSessionInterface()
    seen: list[Any] = []

    @app.get("/")
    def page() -> str:
        seen.append((type(flask.session._get_current_object()), dict(flask.session)))  # type: ignore[attr-defined]
        return ""

    response = app.test_client().get("/", headers={"Cookie": "session=a"})
    assert seen == [(NullSession, {})]
    assert "Set-Cookie" not in response.headers
    with pytest.raises(RuntimeError):
        NullSession()["key"] = "value"


def test_flask_ensure_sync_is_called_with_each_view_and_its_result_is_the_view() -> None:
    seen: list[str] = []

    class App(Flask):
        def ensure_sync(self, func: Any) -> Any:
            seen.append(func.__name__)
            return func

    app = App("app")
    app.get("/")(page)
    assert app.test_client().get("/").text == "page"
    assert "page" in seen


def page() -> str:
    return "page"


def test_flask_view_functions_have_the_attributes_of_the_registered_function() -> None:
    page.mark = "ours"  # type: ignore[attr-defined]
    app = Flask("app")
    blueprint = Blueprint("blueprint", "blueprint")
    blueprint.add_url_rule("/", "page", page)
    app.register_blueprint(blueprint)
    assert getattr(app.view_functions["blueprint.page"], "mark", None) == "ours"


def test_flask_blueprint_record_is_called_before_the_rules_are_added() -> None:
    app = Flask("app")
    blueprint = Blueprint("blueprint", "blueprint")
    converters = {"any_path": _AnyPathConverter}
    blueprint.record(lambda state: state.app.url_map.converters.update(converters))
    blueprint.add_url_rule("/<any_path:path>", "page", lambda path: path)
    app.register_blueprint(blueprint)
    assert app.test_client().get("/a/b").text == "a/b"


def test_werkzeug_map_with_the_converters_of_another_map_validates_a_rule() -> None:
    url_map = Map()
    url_map.converters["ours"] = PathConverter
    Map([Rule("/<ours:path>")], converters=url_map.converters)
    with pytest.raises(LookupError):
        Map([Rule("/<unknown:path>")], converters=url_map.converters)
    with pytest.raises(ValueError, match="slash"):
        Map([Rule("no-slash")], converters=url_map.converters)
    assert list(url_map.iter_rules()) == []


@pytest.mark.parametrize("path", ["a", "a/b", "/a", "a//b", "a\nb", "a/"])
def test_werkzeug_converter_part_isolating_false_matches_slashes_and_line_breaks(path: str) -> None:
    rule = Rule("/prefix/<ours:path>", endpoint="page", merge_slashes=False)
    url_map = Map([rule], converters={"ours": _AnyPathConverter})
    assert url_map.bind("localhost").match(f"/prefix/{path}") == ("page", {"path": path})


def test_werkzeug_method_not_allowed_valid_methods_are_those_of_the_path() -> None:
    urls = Map([Rule("/", endpoint="page", methods=["POST"])]).bind("localhost")
    with pytest.raises(MethodNotAllowed) as caught:
        urls.match("/", "GET")
    assert caught.value.valid_methods == ["POST"]
    with pytest.raises(NotFound):
        urls.match("/other", "GET")


def test_werkzeug_get_wsgi_headers_returns_the_headers_that_are_sent() -> None:
    class Fixed(Response):
        def get_wsgi_headers(self, environ: Any) -> Any:
            return type(self.headers)([("X-Ours", "1")])

    app = Flask("app")
    app.get("/")(lambda: Fixed("text"))
    assert list(app.test_client().get("/").headers) == [("X-Ours", "1")]


def test_marshmallow_error_messages_unknown_is_the_message_of_unknown_fields() -> None:
    class Ours(Schema):
        error_messages = {"unknown": "our message"}
        known = fields.String()

    with pytest.raises(ValidationError) as caught:
        Ours().load({"other": 1})
    assert caught.value.messages_dict == {"other": ["our message"]}


@pytest.mark.parametrize("before_the_import", [True, False])
def test_prometheus_multiproc_dir_is_read_when_prometheus_client_is_imported(
    tmp_path: Path, before_the_import: bool
) -> None:
    """`multiprocess_metrics` has to be entered before the app is built, for this reason."""
    set_variable = f"os.environ['PROMETHEUS_MULTIPROC_DIR'] = {str(tmp_path)!r}"
    lines = [set_variable, "from prometheus_client import Counter"]
    program = "\n".join(
        ["import os", *(lines if before_the_import else reversed(lines)), "Counter('c', 'd').inc()"]
    )
    environment = {k: v for k, v in os.environ.items() if k != "PROMETHEUS_MULTIPROC_DIR"}
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30, env=environment)
    assert bool(list(tmp_path.glob("counter_*.db"))) == before_the_import
