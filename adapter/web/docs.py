"""The OpenAPI document and its page, at whatever path the app is mounted."""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import quote

from flask import Flask, Response, abort, request
from flask_swagger_ui import get_swaggerui_blueprint
from werkzeug.wrappers import Response as WsgiResponse

from adapter.settings.model import Settings
from adapter.strict_json import write_json
from adapter.web.context import Incoming
from adapter.web.openapi import describe_api

_PATH: Final = "/docs"
_MOST_MOUNTS: Final = 8  # where one app is mounted; more of them only take longer


def add_docs(app: Flask, settings: Settings) -> None:
    """Serve `/openapi.json` and `/docs`, whose addresses are below the app's own mount point."""
    document = describe_api(settings)

    @lru_cache(_MOST_MOUNTS)
    def write_document(root: str) -> bytes:
        return write_json({**document, "servers": [{"url": root or "/"}]})

    @app.get("/openapi.json")
    def openapi() -> Response:
        headers = {"Content-Type": "application/json"}
        return Incoming.now().respond(200, write_document(_mount_point()), headers)

    @app.get(f"{_PATH}/")
    @app.get(f"{_PATH}/<path:path>")
    def docs(path: str = "") -> WsgiResponse:
        root = _mount_point()
        environ = {**request.environ, "SCRIPT_NAME": root + _PATH, "PATH_INFO": f"/{path}"}
        response = Response.from_app(_pages(root), environ)
        if response.status_code >= 400:
            response.close()
            abort(response.status_code)
        return response

    app.add_url_rule(_PATH, "docs", docs)


@lru_cache(_MOST_MOUNTS)
def _pages(root: str) -> Flask:
    """Return an app of the pages alone, whose links are below `root`: they are fixed once."""
    pages = Flask("adapter.web.docs", static_folder=None)
    config = {
        "app_name": "Contact Adapter",
        "validatorUrl": None,
        # By default it is the page's whole URL, unescaped within a script.
        "oauth2RedirectUrl": f"{root}{_PATH}/oauth2-redirect.html",
    }
    blueprint = get_swaggerui_blueprint(root + _PATH, f"{root}/openapi.json", config=config)
    pages.register_blueprint(blueprint, url_prefix="/")
    return pages


def _mount_point() -> str:
    """Return the path below which the app is mounted, as it stands in a URL; empty at the root."""
    path = request.script_root.strip("/")
    return "/" + quote(path, safe="/:@!$&()*+,;=~") if path else ""
