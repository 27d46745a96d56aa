from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

ANA = {"name": "Ana", "phone": "+55 11 98888-8888"}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/customers"), ("POST", "/customers"), ("POST", "/customers/1/delete")],
)
def test_strangers_are_sent_to_the_login(client: FlaskClient, method: str, path: str) -> None:
    answer = client.open(path, method=method)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/auth/login")


def test_a_customer_is_added_shown_and_deleted(user: FlaskClient) -> None:
    assert user.post("/customers", data=ANA).status_code == 302
    assert "Ana: +55 11 98888-8888" in user.get("/").text
    assert user.post("/customers/1/delete").status_code == 302
    assert "Ana" not in user.get("/").text
    assert user.post("/customers/1/delete").status_code == 404


def test_its_api_writes_dates_as_it_always_did(user: FlaskClient) -> None:
    user.post("/customers", data=ANA)
    answer = user.get("/v1/accounts")
    assert answer.json == {"rows": [{"name": "Ana", "since": "01/03/2026"}]}
    assert list(answer.json["rows"][0]) == ["name", "since"]


def test_its_api_reads_json(user: FlaskClient) -> None:
    assert user.post("/v1/notes", json={"text": "olá"}).json == {"read": "olá"}


def test_the_tables_are_made_from_the_command_line(app: Flask) -> None:
    done = app.test_cli_runner().invoke(args=["init-db"])
    assert done.output == "The tables are there.\n"
