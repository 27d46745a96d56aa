"""All of a Flask app, and of its process, that a well-behaved extension leaves as it was."""

from __future__ import annotations

import logging
import os
import signal
import socket
import ssl
import sys
import threading
import warnings
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import flask
from flask import Flask
from werkzeug.routing import Map

OWN_LOGGER: Final = "adapter"
OWN_CONVERTER: Final = "contact_adapter_any_path"

_BY_TRAFFIC: Final = frozenset({"_got_first_request"})
"""What Flask itself notes of an app that has answered."""

_SHARED: Final = ("extensions", "blueprints", "view_functions", "url_map")
"""What an extension adds to, and may: looked at without what is ours."""


def take(app: Flask, *ours: str) -> dict[str, Any]:
    """Return the fingerprint of the app, without the extensions named in `ours`."""
    names = ours or ("contact_adapter",)
    # Made by Flask where they are first asked for; the last, in an older one, into the config.
    _ = app.logger, app.jinja_env, app.jinja_loader, app.session_interface.get_cookie_domain(app)
    found = {f"app.{name}": _copy(value) for name, value in vars(app).items() if _is_his(name)}
    found |= {f"class.{name}": getattr(type(app), name) for name in dir(Flask)}
    found |= {
        "app.template_context_processors": _processors(app, names),
        "extensions": _without(app.extensions, names),
        "blueprints": _without(app.blueprints, names),
        "view functions": _without(app.view_functions, names),
        "urls": _urls(app.url_map, names),
        "wsgi app": getattr(app.wsgi_app, "__func__", app.wsgi_app),
        "static": (app.static_folder, app.static_url_path),
        "jinja": {
            name: _copy(getattr(app.jinja_env, name))
            for name in ("globals", "filters", "tests", "extensions", "loader", "policies")
        },
        "jinja loader": app.jinja_loader,
        "aborter": _copy(app.aborter.mapping),
        "commands": _copy(app.cli.commands),
        "signals": {
            name: _copy(getattr(flask.signals, name).receivers)
            for name in dir(flask.signals)
            if hasattr(getattr(flask.signals, name), "receivers")
        },
        "logging": _loggers(),
        "process": _process(),
    }
    return found


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the names of what is not the same any more."""
    every = sorted({*before, *after})
    return [
        f"{name}: {before.get(name)!r} became {after.get(name)!r}"
        for name in every
        if before.get(name) != after.get(name)
    ]


def _is_his(name: str) -> bool:
    return name not in _BY_TRAFFIC and name not in _SHARED


def _is_ours(endpoint: str, ours: tuple[str, ...]) -> bool:
    return endpoint.partition(".")[0] in ours


def _without(mapping: Mapping[str, Any], ours: tuple[str, ...]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in mapping.items() if not _is_ours(name, ours)]


def _processors(app: Flask, ours: tuple[str, ...]) -> Any:
    """Return the context processors, without the one that Flask gives to every blueprint."""
    found = _copy(app.template_context_processors)
    every = app.template_context_processors[None][:1]
    return {key: each for key, each in found.items() if key not in ours or each != every}


def _copy(value: Any) -> Any:
    """Return the containers copied, the rest as it is.

    Flask asks its defaultdicts for the handlers of every blueprint, and so makes empty ones.
    """
    if isinstance(value, Mapping):
        copied = {key: _copy(each) for key, each in value.items()}
        if isinstance(value, defaultdict):
            copied = {key: each for key, each in copied.items() if each not in ({}, [])}
        return copied
    if isinstance(value, (list, tuple)):
        return [_copy(each) for each in value]
    if isinstance(value, set):
        return frozenset(value)
    return value


def _urls(url_map: Map, ours: tuple[str, ...]) -> dict[str, Any]:
    state = {
        name: _copy(value)
        for name, value in vars(url_map).items()
        if not name.startswith("_") and name not in ("converters",)
    }
    rules = [rule for rule in url_map.iter_rules() if not _is_ours(rule.endpoint, ours)]
    return {
        **state,
        "lock": url_map.lock_class,
        "converters": {k: v for k, v in url_map.converters.items() if k != OWN_CONVERTER},
        "rules": sorted(
            (
                rule.rule,
                rule.endpoint,
                sorted(rule.methods or ()),
                repr((rule.host, rule.subdomain, rule.defaults, rule.redirect_to, rule.alias)),
                repr((rule.strict_slashes, rule.merge_slashes, rule.build_only, rule.websocket)),
            )
            for rule in rules
        ),
    }


def _loggers() -> dict[str, Any]:
    every: dict[str, Any] = {"": logging.getLogger(), **logging.getLogger().manager.loggerDict}
    found = {
        name: (
            each.level,
            list(each.handlers),
            list(each.filters),
            each.propagate,
            each.disabled,
            [
                (handler.level, handler.formatter, list(handler.filters))
                for handler in each.handlers
            ],
        )
        for name, each in every.items()
        if isinstance(each, logging.Logger) and name.partition(".")[0] != OWN_LOGGER
    }
    return {
        "loggers": found,
        "disabled below": logging.getLogger().manager.disable,
        "classes": (logging.getLoggerClass(), logging.getLogRecordFactory()),
        "last resort": logging.lastResort,
        "levels": logging.getLevelNamesMapping(),
    }


def _process() -> dict[str, Any]:
    return {
        "signals": {each: signal.getsignal(each) for each in signal.valid_signals()},
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109 - as the process has it
        "timeout": socket.getdefaulttimeout(),
        "lookup": (socket.getaddrinfo, socket.socket, ssl.SSLContext),
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook),
        "path": list(sys.path),
        "warnings": list(warnings.filters),
        "threads": {each.name for each in threading.enumerate()},
    }


def own_logger() -> tuple[Any, ...]:
    """Return what a host sees of our logger."""
    log = logging.getLogger(OWN_LOGGER)
    return log.level, log.handlers, log.filters, log.propagate, log.disabled
