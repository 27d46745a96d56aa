"""The docs page and the OpenAPI document below a prefix, however the prefix is set."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator
from support import NUMBER, call, key_for
from support.serving import ENVIRONMENT, serve
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client, TestResponse

from adapter.web.app import create_app, service_state

CONFIG: dict[str, Any] = {
    "accounts": {"support": {"provider": "memory"}},
    "dialects": {"enabled": ["wuts"], "wuts": {"host": "wuts.example"}},
}


@pytest.fixture(scope="module")
def app() -> Iterator[Flask]:
    made = create_app(CONFIG, allow_unauthenticated=True)
    yield made
    service_state(made).service.close()


Get = Callable[[str], TestResponse]
HOST = Flask("host")


def by_environ(app: Flask) -> Get:
    """Return a client of a server with SCRIPT_NAME."""
    client = Client(app)
    return lambda path: client.get(
        path.removeprefix("/wa"), environ_overrides={"SCRIPT_NAME": "/wa"}
    )


def by_mount(app: Flask) -> Get:
    """Return a client of a WSGI app in which the app is mounted."""
    return Client(DispatcherMiddleware(HOST, {"/wa": app})).get


def by_proxy(app: Flask) -> Get:
    """Return a client behind a proxy that removes the prefix and sends X-Forwarded-Prefix."""
    client = Client(ProxyFix(app, x_prefix=1))
    headers = {"X-Forwarded-Prefix": "/wa"}
    return lambda path: client.get(path.removeprefix("/wa"), headers=headers)


CLIENTS = [by_environ, by_mount, by_proxy]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "action")]


def links_of(page: str, response: TestResponse) -> list[str]:
    links = _Links()
    links.feed(response.text)
    (document,) = re.findall(r'"url": "([^"]+)"', response.text)
    (redirect,) = re.findall(r'"oauth2RedirectUrl": "([^"]+)"', response.text)
    found = [urljoin(f"http://localhost{page}", link) for link in (*links.found, document)]
    return [urlsplit(link).path for link in (*found, redirect)]


@pytest.mark.parametrize("client_of", CLIENTS)
@pytest.mark.parametrize("page", ["/wa/docs", "/wa/docs/", "/wa/docs/index.html"])
def test_links_of_the_docs_page_are_below_the_prefix_and_work(
    app: Flask, client_of: Callable[[Flask], Get], page: str
) -> None:
    get = client_of(app)
    response = get(page)
    assert response.status_code == 200
    links = links_of(page, response)
    assert len(links) >= 5
    for link in links:
        assert link.startswith("/wa/")
        if link.endswith("/oauth2-redirect.html"):  # for OAuth, which this API does not have
            continue
        answer = get(link)
        assert answer.status_code == 200
        answer.close()


@pytest.mark.parametrize("client_of", CLIENTS)
def test_document_server_is_the_prefix(app: Flask, client_of: Callable[[Flask], Get]) -> None:
    get = client_of(app)
    document = get("/wa/openapi.json").get_json()
    assert document["servers"] == [{"url": "/wa"}]
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    for path in ("/v1/accounts", "/livez", "/dialects/wuts/contacts/blocklist"):
        assert path in document["paths"]
        assert get(document["servers"][0]["url"] + path).status_code == 200


def test_without_a_prefix_everything_is_at_the_root(app: Flask) -> None:
    client = app.test_client()
    for page in ("/docs", "/docs/"):
        for link in links_of(page, client.get(page)):
            assert link.startswith(("/docs/", "/openapi.json"))
    assert client.get("/openapi.json").get_json()["servers"] == [{"url": "/"}]


def test_two_mount_points_of_one_app_are_independent(app: Flask) -> None:
    get = Client(DispatcherMiddleware(HOST, {"/one": app, "/two": app})).get
    for root in ("/one", "/two", "/one"):
        assert get(f"{root}/openapi.json").get_json()["servers"] == [{"url": root}]
        assert all(link.startswith(f"{root}/") for link in links_of("/", get(f"{root}/docs/")))


@pytest.mark.parametrize(
    "prefix",
    [
        "/</script><script>alert(1)</script>",
        '/"><img src=x>',
        "//evil.example",
        "///evil.example/",
        "/a b",
        "/caf\xc3\xa9",
        "/x'y",
        "/a\\b",
    ],
)
def test_hostile_prefix_stays_a_path_of_this_server(app: Flask, prefix: str) -> None:
    client = Client(app)
    response = client.get("/docs/", environ_overrides={"SCRIPT_NAME": prefix})
    assert response.text.count("<script") == client.get("/docs/").text.count("<script")
    assert "<img" not in response.text
    for link in links_of("/", response):
        assert not link.startswith("//")
    document = client.get("/openapi.json", environ_overrides={"SCRIPT_NAME": prefix}).get_json()
    assert re.fullmatch(r"/[^/\\\s<>\"'][^\\\s<>\"']*", document["servers"][0]["url"])


def test_more_prefixes_than_are_cached_are_served(app: Flask) -> None:
    client = Client(app)
    for number in [*range(20), 0]:
        root = {"SCRIPT_NAME": f"/p{number}"}
        document = client.get("/openapi.json", environ_overrides=root).get_json()
        assert document["servers"] == [{"url": f"/p{number}"}]


@pytest.mark.parametrize("client_of", CLIENTS)
def test_not_found_is_an_envelope_below_the_prefix(
    app: Flask, client_of: Callable[[Flask], Get]
) -> None:
    response = client_of(app)("/wa/docs/nothing-here.js")
    assert response.status_code == 404
    assert response.get_json()["error"]["code"] == "not_found"


def test_dialect_with_a_host_name_is_served_below_a_prefix(app: Flask) -> None:
    mounted = Client(DispatcherMiddleware(HOST, {"/wa": app}))
    response = mounted.get("/wa/contacts/blocklist", headers={"Host": "wuts.example"})
    assert response.status_code == 200
    assert response.headers["X-Contact-Adapter-Code"] == "ok"


@pytest.mark.slow
def test_script_name_of_the_environment_is_the_prefix(tmp_path: Path) -> None:
    with serve(cwd=tmp_path, env={**ENVIRONMENT, "SCRIPT_NAME": "/wa"}) as served:
        assert served.address.endswith("/wa")
        assert call(served.address, "GET", "/livez").status == 200
        assert call(served.address, "GET", "/openapi.json").json["servers"] == [{"url": "/wa"}]
        assert b'href="/wa/docs/index.css"' in call(served.address, "GET", "/docs").body


def test_unified_api_is_served_below_the_prefix() -> None:
    app = create_app({**CONFIG, "keys": {"crm": key_for("k")}})
    client = Client(DispatcherMiddleware(HOST, {"/wa": app}))
    response = client.post(
        "/wa/v1/contacts/block", json={"number": NUMBER}, headers={"X-API-Key": "k"}
    )
    assert response.status_code == 200
    service_state(app).service.close()
