"""A server without keys serves requests from its own machine, and no forwarded request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from support import DIALECTS, JID, NUMBER, SESSION, call, key_for, run_app

from adapter import ContactAdapter
from adapter.web.app import build_app, create_app, service_state
from adapter.web.auth import AnonymousAccess
from adapter.web.forwarded import find_proxy_header

CONFIG = {
    "accounts": {"support": {"provider": "memory", "aliases": [SESSION]}},
    "dialects": {"enabled": list(DIALECTS)},
}
PROXY_HEADERS = [
    "Forwarded",
    "X-Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "X-Forwarded-Scheme",
    "X-Forwarded-Ssl",
    "X-Forwarded-Client-Cert",
    "Forwarded-For",
    "X-Real-IP",
    "Via",
    "CF-Connecting-IP",
    "CF-Connecting-IPv6",
    "CF-Ray",
    "CF-IPCountry",
    "CDN-Loop",
    "True-Client-IP",
    "X-Client-IP",
    "Client-IP",
    "X-Cluster-Client-IP",
    "Fastly-Client-IP",
    "Fly-Client-IP",
    "X-Original-For",
    "X-Original-Forwarded-For",
    "X-Original-Host",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Vercel-Forwarded-For",
    "X-Envoy-External-Address",
    "X-Azure-ClientIP",
    "X-Azure-SocketIP",
    "X-Appengine-User-IP",
    "X-ProxyUser-Ip",
    "WL-Proxy-Client-IP",
    "Proxy-Client-IP",
    "X-Amzn-Trace-Id",
    "CloudFront-Viewer-Address",
    "X-Nf-Client-Connection-Ip",
    "DO-Connecting-IP",
    "X-Remote-IP",
    "X-Remote-Addr",
    "x-FORWARDED-for",
]
ORDINARY_HEADERS = [
    "Host",
    "Accept",
    "Accept-Encoding",
    "Authorization",
    "Connection",
    "Content-Type",
    "Cookie",
    "Origin",
    "Referer",
    "User-Agent",
    "X-API-Key",
    "X-Request-Id",
    "X-Requested-With",
    "apikey",
    "traceparent",
    "X-Forward",
    "Viable",
    "Sec-Fetch-Site",
    "Upgrade-Insecure-Requests",
    "DNT",
    "Idempotency-Key",
]


def environ_name(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")


@pytest.fixture(scope="module")
def local() -> Iterator[FlaskClient]:
    app = build_app(CONFIG, access=AnonymousAccess.LOOPBACK)
    yield app.test_client()
    service_state(app).service.close()


@pytest.mark.parametrize("header", PROXY_HEADERS)
def test_forwarded_request_is_401_with_the_advice_to_configure_keys(
    local: FlaskClient, header: str
) -> None:
    response = local.post("/v1/contacts/block", json={"number": NUMBER}, headers={header: "1"})
    error = response.get_json()["error"]
    assert (response.status_code, error["code"]) == (401, "unauthenticated")
    ((name, (message,)),) = error["fields"].items()
    assert name.lower() == header.lower()
    assert "configure [keys]" in message


@pytest.mark.parametrize("header", ORDINARY_HEADERS)
def test_ordinary_headers_are_not_proxy_headers(header: str) -> None:
    assert find_proxy_header([environ_name(header)]) is None


@given(st.sampled_from(PROXY_HEADERS), st.lists(st.sampled_from(ORDINARY_HEADERS)))
def test_proxy_header_is_found_among_any_others(proxy_header: str, others: list[str]) -> None:
    names = [*map(environ_name, others), environ_name(proxy_header)]
    assert find_proxy_header(names) is not None
    assert find_proxy_header(reversed(names)) is not None


@given(st.from_regex(r"X_FORWARDED_[A-Z_]{1,40}", fullmatch=True))
def test_every_forwarded_header_is_a_proxy_header(name: str) -> None:
    found = find_proxy_header([f"HTTP_{name}"])
    assert found is not None
    assert len(found) <= 64


CALLS = [
    ("GET", "/v1/contacts/blocked"),
    ("GET", "/v1/accounts"),
    ("GET", "/v1/providers"),
    ("GET", "/metrics"),
    ("GET", "/dialects/wuts/contacts/blocklist"),
    ("POST", "/dialects/wappfy/api/contacts/block"),
    ("POST", "/dialects/waha/api/contacts/block"),
    ("POST", f"/dialects/evolution-api/chat/updateBlockStatus/{SESSION}"),
    ("POST", f"/dialects/session-gateway/api/v1/sessions/{SESSION}/contacts/{JID}/block"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_forwarded_request_is_401_in_every_api(local: FlaskClient, method: str, path: str) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9", "Via": "1.1 proxy"}
    response = local.open(path, method=method, headers=headers)
    assert response.status_code == 401
    assert "configure [keys]" in response.text
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_forwarded_request_is_rejected_over_a_socket_and_a_direct_one_is_served() -> None:
    with run_app(lambda _: build_app(CONFIG, access=AnonymousAccess.LOOPBACK)) as address:
        path = f"/v1/contacts/block?number={NUMBER}"
        forwarded = {"X-Forwarded-For": "203.0.113.9", "Via": "1.1 nginx"}
        assert call(address, "POST", path, headers=forwarded).status == 401
        assert call(address, "POST", path).status == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/openapi.json", "/docs/"])
def test_health_and_docs_are_served_behind_a_proxy(local: FlaskClient, path: str) -> None:
    assert local.get(path, headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 200


def test_forwarded_request_with_a_key_is_served() -> None:
    app = build_app({**CONFIG, "keys": {"crm": key_for("k")}}, access=AnonymousAccess.LOOPBACK)
    headers = {"X-API-Key": "k", "X-Forwarded-For": "203.0.113.9", "Host": "api.example"}
    assert app.test_client().get("/v1/accounts", headers=headers).status_code == 200
    service_state(app).service.close()


def test_forwarded_request_is_served_with_access_for_everyone() -> None:
    headers = {"X-Forwarded-For": "203.0.113.9", "Via": "1.1 nginx", "X-Real-IP": "203.0.113.9"}
    app = create_app(CONFIG, allow_unauthenticated=True)
    assert app.test_client().get("/v1/accounts", headers=headers).status_code == 200
    host = Flask("host")
    ContactAdapter(host, CONFIG, allow_unauthenticated=True)
    response = host.test_client().get("/contact-adapter/v1/accounts", headers=headers)
    assert response.status_code == 200
    service_state(app).service.close()


def test_403_of_another_origin_names_the_origin_header(local: FlaskClient) -> None:
    headers = {"Origin": "https://evil.example"}
    error = local.get("/v1/accounts", headers=headers).get_json()["error"]
    assert error["code"] == "permission_denied"
    assert list(error["fields"]) == ["Origin"]
    assert "API key" not in error["message"]


def test_403_of_another_host_name_names_the_host_header(local: FlaskClient) -> None:
    error = local.get("/v1/accounts", headers={"Host": "rebound.example"}).get_json()["error"]
    assert error["code"] == "permission_denied"
    assert list(error["fields"]) == ["Host"]


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"/dialects/evolution-api/chat/updateBlockStatus/{SESSION}", "number=%s&status=block"),
        ("/dialects/waha/api/contacts/block", "contactId=%s&session=my-session"),
    ],
)
def test_form_of_another_origin_changes_nothing(
    local: FlaskClient, path: str, body: str, kind: str
) -> None:
    headers = {"Origin": "https://evil.example"}
    response = local.post(path, data=body % "5511977777777", content_type=kind, headers=headers)
    assert response.status_code == 403
    listed = local.get("/v1/contacts/blocked").get_json()["data"]["contacts"]
    assert "5511977777777" not in [each["number"] for each in listed]
