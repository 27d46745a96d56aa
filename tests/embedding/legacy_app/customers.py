"""The legacy app's pages about customers, and the API that an old dashboard reads."""

from __future__ import annotations

import datetime as dt
from typing import Any

from flask import Blueprint, abort, g, redirect, render_template, request, url_for
from werkzeug import Response

from legacy_app.auth import for_users
from legacy_app.db import connection

blueprint = Blueprint("customers", __name__)


@blueprint.get("/customers")
@for_users
def index() -> str:
    rows = connection().execute("SELECT * FROM customer ORDER BY name").fetchall()
    return render_template("customers.html", customers=rows)


@blueprint.post("/customers")
@for_users
def add() -> Response:
    name, phone = request.form["name"], request.form["phone"]
    if not name:
        abort(400, "A name, please.")
    with connection() as db:
        db.execute(
            "INSERT INTO customer (name, phone, since) VALUES (?, ?, ?)",
            (name, phone, "2026-03-01"),
        )
    return redirect(url_for("customers.index"))


@blueprint.post("/customers/<int:customer>/delete")
@for_users
def delete(customer: int) -> Response:
    with connection() as db:
        if not db.execute("DELETE FROM customer WHERE id = ?", (customer,)).rowcount:
            abort(404)
    return redirect(url_for("customers.index"))


@blueprint.get("/v1/accounts")
def accounts() -> dict[str, Any]:
    """A path that somebody else would have liked, too."""
    if g.user is None:
        abort(403)
    rows = connection().execute("SELECT * FROM customer ORDER BY id").fetchall()
    return {
        "rows": [
            {"name": row["name"], "since": dt.date.fromisoformat(row["since"])} for row in rows
        ]
    }


@blueprint.post("/v1/notes")
@for_users
def note() -> dict[str, Any]:
    return {"read": request.get_json()["text"]}


@blueprint.get("/report")
def report() -> str:
    return str(1 // 0)
