from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/contacts/blocked", 404),
        ("PUT", "/customers", 405),
        ("GET", "/v1/accounts", 403),
        ("POST", "/auth/register", 400),
    ],
)
def test_an_error_has_a_page_of_its_own(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == status
    assert answer.mimetype == "text/html"
    assert f"Legado says {status}" in answer.text


def test_a_failure_has_a_page_of_its_own_too(
    create_app: Callable[..., Flask], tmp_path: Path
) -> None:
    app = create_app({"DATABASE": str(tmp_path / "legacy.sqlite")})
    answer = app.test_client().get("/report")
    assert answer.status_code == 500
    assert "Legado is sorry." in answer.text


def test_in_its_tests_a_failure_is_raised(client: FlaskClient) -> None:
    with pytest.raises(ZeroDivisionError):
        client.get("/report")


@pytest.mark.parametrize("path", ["/", "/nowhere", "/auth/login", "/static/style.css"])
def test_every_answer_has_its_headers_and_no_others(client: FlaskClient, path: str) -> None:
    with client.get(path) as answer:
        headers = answer.headers
    assert headers["X-Served-By"] == "legacy"
    assert headers["X-Frame-Options"] == "DENY"
    assert [name for name, _ in headers if name.startswith("X-")] == [
        "X-Served-By",
        "X-Frame-Options",
    ]


def test_the_addresses_of_its_pages_are_what_they_were(app: Flask) -> None:
    with app.test_request_context():
        assert app.url_for("auth.login") == "/auth/login"
        assert app.url_for("customers.delete", customer=7) == "/customers/7/delete"
        assert app.url_for("static", filename="style.css") == "/static/style.css"


def test_its_defaults_are_what_they_were(create_app: Callable[..., Flask]) -> None:
    app = create_app()
    assert not app.testing
    assert app.config["DATABASE"] == "legacy.sqlite"
