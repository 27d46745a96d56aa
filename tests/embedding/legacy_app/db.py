"""The legacy app's database: one connection for a request."""

from __future__ import annotations

import sqlite3

import click
from flask import Flask, current_app, g
from flask.cli import with_appcontext

SCHEMA = """
DROP TABLE IF EXISTS user;
DROP TABLE IF EXISTS customer;
CREATE TABLE user (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, password TEXT NOT NULL);
CREATE TABLE customer (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, phone TEXT NOT NULL, since DATE NOT NULL
);
"""


def connection() -> sqlite3.Connection:
    if "db" not in g:
        g.db = sqlite3.connect(current_app.config["DATABASE"])
        g.db.row_factory = sqlite3.Row
    return g.db


def close(error: BaseException | None = None) -> None:
    opened = g.pop("db", None)
    if opened is not None:
        opened.close()


def create_tables() -> None:
    connection().executescript(SCHEMA)


@click.command("init-db")
@with_appcontext
def init_db() -> None:
    """Make the tables anew."""
    create_tables()
    click.echo("The tables are there.")


def init_app(app: Flask) -> None:
    app.teardown_appcontext(close)
    app.cli.add_command(init_db)
