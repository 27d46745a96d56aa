"""The legacy app's login, kept in the session."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable
from typing import Any

from flask import (
    Blueprint,
    abort,
    flash,
    g,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from werkzeug import Response
from werkzeug.security import check_password_hash, generate_password_hash

from legacy_app.db import connection

blueprint = Blueprint("auth", __name__, url_prefix="/auth")


@blueprint.before_app_request
def know_the_user() -> None:
    user = session.get("user")
    g.user = user and (connection().execute("SELECT * FROM user WHERE id = ?", (user,)).fetchone())


def for_users(view: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(view)
    def wrapped(**arguments: Any) -> Any:
        return view(**arguments) if g.user else redirect(url_for("auth.login"))

    return wrapped


@blueprint.post("/register")
def register() -> Response:
    name, password = request.form["name"], request.form["password"]
    if not name or not password:
        abort(400, "A name and a password, please.")
    hashed = generate_password_hash(password, method="pbkdf2:sha256:1")
    try:
        with connection() as db:
            db.execute("INSERT INTO user (name, password) VALUES (?, ?)", (name, hashed))
    except sqlite3.IntegrityError:
        abort(400, "That name is taken.")
    return redirect(url_for("auth.login"))


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> str | Response:
    if request.method == "POST":
        row = (
            connection()
            .execute("SELECT * FROM user WHERE name = ?", (request.form["name"],))
            .fetchone()
        )
        if row and check_password_hash(row["password"], request.form["password"]):
            session.clear()
            session["user"] = row["id"]
            return redirect(url_for("customers.index"))
        flash("That is not right.")
    return render_template("login.html")


@blueprint.get("/logout")
def logout() -> Response:
    session.clear()
    return redirect(url_for("auth.login"))
