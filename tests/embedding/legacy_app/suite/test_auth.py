from __future__ import annotations

import pytest
from flask import g, session
from flask.testing import FlaskClient

FORM = {"name": "rosa", "password": "flor"}


def test_who_is_registered_may_log_in(client: FlaskClient) -> None:
    assert client.post("/auth/register", data=FORM).headers["Location"] == "/auth/login"
    with client:
        assert client.post("/auth/login", data=FORM).headers["Location"] == "/customers"
        assert session["user"] == 1
        client.get("/")
        assert g.user["name"] == "rosa"


@pytest.mark.parametrize("form", [{**FORM, "password": "folha"}, {**FORM, "name": "lia"}])
def test_a_wrong_name_or_password_is_told(client: FlaskClient, form: dict[str, str]) -> None:
    client.post("/auth/register", data=FORM)
    answer = client.post("/auth/login", data=form)
    assert answer.status_code == 200
    assert "That is not right." in answer.text


def test_a_name_is_taken_once(client: FlaskClient) -> None:
    client.post("/auth/register", data=FORM)
    answer = client.post("/auth/register", data=FORM)
    assert answer.status_code == 400
    assert "Legado says 400: That name is taken." in answer.text


def test_who_logs_out_is_a_stranger(user: FlaskClient) -> None:
    assert user.get("/").status_code == 200
    assert user.get("/auth/logout").status_code == 302
    assert user.get("/").headers["Location"] == "/auth/login"
