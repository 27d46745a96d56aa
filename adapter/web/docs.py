"""The OpenAPI document and Swagger UI, with links below the app's own mount point."""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import quote

from flask import Flask, Response, abort, request
from flask_swagger_ui import get_swaggerui_blueprint
from werkzeug.wrappers import Response as WsgiResponse

from adapter.settings.model import Settings
from adapter.strict_json import write_json
from adapter.web.context import RequestContext
from adapter.web.openapi import build_openapi

_PATH: Final = "/docs"
_MAX_MOUNT_POINTS: Final = 8  # cached mount points of one app; more of them are only slower


def add_docs(app: Flask, settings: Settings) -> None:
    """Serve `/openapi.json` and `/docs`, with links below the app's own mount point."""
    document = build_openapi(settings)

    @lru_cache(_MAX_MOUNT_POINTS)
    def write_document(root: str) -> bytes:
        return write_json({**document, "servers": [{"url": root or "/"}]})

    @app.get("/openapi.json")
    def openapi() -> Response:
        headers = {"Content-Type": "application/json"}
        return RequestContext.from_request().respond(200, write_document(_mount_point()), headers)

    @app.get(f"{_PATH}/")
    @app.get(f"{_PATH}/<path:path>")
    def docs(path: str = "") -> WsgiResponse:
        root = _mount_point()
        environ = {**request.environ, "SCRIPT_NAME": root + _PATH, "PATH_INFO": f"/{path}"}
        response = Response.from_app(_swagger_ui(root), environ)
        if response.status_code >= 400:
            response.close()
            abort(response.status_code)
        return response

    app.add_url_rule(_PATH, "docs", docs)


@lru_cache(_MAX_MOUNT_POINTS)
def _swagger_ui(root: str) -> Flask:
    """Return an app with Swagger UI alone.

    The blueprint writes its links, here below `root`, once for all requests.
    """
    app = Flask("adapter.web.docs", static_folder=None)
    config = {
        "app_name": "Contact Adapter",
        "validatorUrl": None,
        # The default is the page's whole URL, unescaped within a script.
        "oauth2RedirectUrl": f"{root}{_PATH}/oauth2-redirect.html",
    }
    blueprint = get_swaggerui_blueprint(root + _PATH, f"{root}/openapi.json", config=config)
    app.register_blueprint(blueprint, url_prefix="/")
    return app


def _mount_point() -> str:
    """Return the path of the mount point, percent-encoded; empty at the root."""
    path = request.script_root.strip("/")
    return "/" + quote(path, safe="/:@!$&()*+,;=~") if path else ""
