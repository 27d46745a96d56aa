"""The fingerprint of an app shows every kind of change that an extension can make."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.types import WSGIApplication

import flask
import pytest
from flask import Blueprint, Flask
from support import fingerprint
from support.hosts import BrokenJson, OddSession, lenient_urls, own_classes
from werkzeug.exceptions import NotFound
from werkzeug.routing import BaseConverter

pytest_plugins = ["support.host_fixtures"]


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


def _wrapped(inner: WSGIApplication) -> WSGIApplication:
    return lambda environ, start: inner(environ, start)


CHANGES: dict[str, Callable[[Flask], object]] = {
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
    "a WSGI wrapper": lambda app: setattr(app, "wsgi_app", _wrapped(app.wsgi_app)),
    "an error for a code": lambda app: app.aborter.mapping.update({499: NotFound}),
    "a level": _log_more,
    "a handler of the log": _take_a_handler,
    "a filter of the root": _filter_the_root,
    "a signal": lambda app: signal.signal(signal.SIGUSR2, lambda *_: None),
    "the environment": lambda app: os.environ.update(SURPRISE="1"),
    "a timeout for all": lambda app: socket.setdefaulttimeout(999),
}


@pytest.fixture
def _undo_changes() -> Iterator[None]:
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


@pytest.mark.usefixtures("_undo_changes")
@pytest.mark.parametrize("change", CHANGES)
def test_fingerprint_shows_every_change(change: str) -> None:
    app = Flask("offended")
    before = fingerprint.take(app)
    assert fingerprint.difference(before, fingerprint.take(app)) == []
    CHANGES[change](app)
    assert fingerprint.difference(before, fingerprint.take(app)) != []
