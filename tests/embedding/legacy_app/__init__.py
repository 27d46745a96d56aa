"""An app that was there before us: customers in SQLite, a login, pages and errors of its own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, render_template
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException

from legacy_app import auth, customers, db


class DatesAsText(DefaultJSONProvider):
    """Its API has always written dates like this."""

    sort_keys = False

    @staticmethod
    def default(o: Any) -> Any:
        if isinstance(o, dt.date):
            return o.strftime("%d/%m/%Y")
        return DefaultJSONProvider.default(o)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Return the app; `config` goes over its defaults."""
    app = Flask(__name__)
    app.config.from_mapping(SECRET_KEY="not for production", DATABASE="legacy.sqlite")
    app.config.update(config or {})
    app.json = DatesAsText(app)

    db.init_app(app)
    app.register_blueprint(auth.blueprint)
    app.register_blueprint(customers.blueprint)
    app.add_url_rule("/", endpoint="customers.index")

    for code in (400, 403, 404, 405):
        app.register_error_handler(code, show_error)
    app.register_error_handler(500, show_failure)
    app.after_request(mark)
    app.context_processor(lambda: {"company": "Legado Ltda."})
    app.add_template_filter(shout)
    return app


def show_error(error: HTTPException) -> tuple[str, int]:
    return render_template("error.html", error=error), error.code or 500


def show_failure(error: Exception) -> tuple[str, int]:
    return render_template("error.html", error=None), 500


def mark(response: Response) -> Response:
    response.headers["X-Served-By"] = "legacy"
    response.headers["X-Frame-Options"] = "DENY"
    return response


def shout(text: str) -> str:
    return text.upper()
