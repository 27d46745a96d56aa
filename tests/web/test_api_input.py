"""Invalid input of the unified API: the response names the field, and nothing is sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from conftest import MakeApp
from flask.testing import FlaskClient
from support import (
    FULL_WIDTH,
    NUMBER,
    Upstream,
    account_for,
    call,
    code_named,
    run_app,
    run_upstream,
)
from support.unified import BLOCK, BLOCKED, CONTACT, MEMORY, TWO, UNBLOCK, code_of

from adapter.web.app import create_app


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app(TWO).test_client()


@pytest.fixture(scope="module")
def _recorded() -> Iterator[tuple[str, Upstream]]:
    with run_upstream() as upstream:
        config = {"accounts": {"a": account_for("wuts", upstream.address)}}
        with run_app(lambda _: create_app(config, allow_unauthenticated=True)) as address:
            yield address, upstream


@pytest.fixture
def recorded(_recorded: tuple[str, Upstream]) -> tuple[str, Upstream]:
    """Return the address of a server, and its upstream without connections."""
    _recorded[1].connections = 0
    return _recorded


BAD_BODIES: list[tuple[bytes, str, set[str]]] = [
    (b"", "validation_error", {"number"}),
    (b"{}", "validation_error", {"number"}),
    (b'{"account": "a"}', "validation_error", {"number"}),
    (b'{"number": "+5511999999999", "jid": "5511988888888@c.us"}', "invalid_target", {"jid"}),
    (b'{"number": "+5511999999999", "jid": "5511999999999@lid"}', "invalid_target", {"jid"}),
    (b'{"phone": "+5511999999999"}', "validation_error", {"phone"}),
    (b'{"number": "+5511999999999", "Jid": "x"}', "validation_error", {"Jid"}),
    (b'{"number": "+5511999999999", "session": "s", "x": 1}', "validation_error", {"session", "x"}),
    (b'{"number": 5511999999999}', "validation_error", {"number"}),
    (b'{"number": 5511999999999, "jid": 5}', "validation_error", {"number", "jid"}),
    (b'{"number": 1e3}', "validation_error", {"number"}),
    (b'{"number": true}', "validation_error", {"number"}),
    (b'{"number": null}', "validation_error", {"number"}),
    (b'{"number": ["+5511999999999"]}', "validation_error", {"number"}),
    (b'{"number": {"e164": "+5511999999999"}}', "validation_error", {"number"}),
    (b'{"jid": null, "number": "+5511999999999"}', "validation_error", {"jid"}),
    (b'{"jid": ["5511999999999@c.us"]}', "validation_error", {"jid"}),
    (b'{"number": "+5511999999999", "account": 1}', "validation_error", {"account"}),
    (b'{"number": "+5511999999999", "account": null}', "validation_error", {"account"}),
    (b'{"number": ""}', "invalid_target", {"number"}),
    (b'{"jid": ""}', "invalid_target", {"jid"}),
    (b'{"number": "+5511999999999", "account": ""}', "account_not_found", set()),
    (b'{"number": "%s"}' % (b"5" * 10_000), "validation_error", {"number"}),
    (b'{"jid": "%s@c.us"}' % (b"5" * 10_000), "validation_error", {"jid"}),
    (f'{{"number": "{FULL_WIDTH}"}}'.encode(), "invalid_target", {"number"}),
    (f'{{"jid": "{FULL_WIDTH}@c.us"}}'.encode(), "invalid_target", {"jid"}),
    ('{"number": "+٥٥١١٩٩٩٩٩٩٩٩٩"}'.encode(), "invalid_target", {"number"}),
    (b'{"number": "+55119999\\n99999"}', "invalid_target", {"number"}),
    (b'{"number": "5511999999999.0"}', "invalid_target", {"number"}),
    (b'{"number": "(11) 99999-9999"}', "invalid_target", {"number"}),
    (b'{"user_id": "br.1"}', "invalid_target", {"user_id"}),
    (b'{"user_id": "5511999999999"}', "invalid_target", {"user_id"}),
    (b'{"user_id": 1}', "validation_error", {"user_id"}),
    (b'{"user_id": "%s"}' % (b"B" * 136), "validation_error", {"user_id"}),
    (b'{"number": "+5511999999999\\u0000"}', "invalid_target", {"number"}),
    (b'{"number": "+55 11 9999a-9999"}', "invalid_target", {"number"}),
    (b'{"number": "11 9999-9999"}', "invalid_target", {"number"}),
    (b'{"number": "+5511"}', "invalid_target", {"number"}),
    (b'{"number": "+55119999999999999"}', "invalid_target", {"number"}),
    (b'{"number": "+99999999999"}', "invalid_target", {"number"}),
    (b'{"number": "5511999999999@s.whatsapp.net"}', "invalid_target", {"number"}),
    (b'{"jid": "5511999999999"}', "invalid_target", {"jid"}),
    (b'{"jid": "+5511999999999@c.us"}', "invalid_target", {"jid"}),
    (b'{"jid": "5511999999999\\n@s.whatsapp.net"}', "invalid_target", {"jid"}),
    (b'{"jid": "../../admin@s.whatsapp.net"}', "invalid_target", {"jid"}),
    (b'{"jid": "..%2f5511999999999@s.whatsapp.net"}', "invalid_target", {"jid"}),
    (b'{"jid": "5511999999999@s.whatsapp.net/../x"}', "invalid_target", {"jid"}),
    (b'{"jid": "5511999999999@S.WHATSAPP.NET"}', "invalid_target", {"jid"}),
    (b'{"jid": "120363025246125486@g.us"}', "invalid_target", {"jid"}),
    (b'{"jid": "5511999999999-1400000000@g.us"}', "invalid_target", {"jid"}),
    (b'{"jid": "120363025246125486@newsletter"}', "invalid_target", {"jid"}),
    (b'{"jid": "5511999999999@broadcast"}', "invalid_target", {"jid"}),
    (b'{"jid": "status@broadcast"}', "invalid_target", {"jid"}),
    (b'{"number": "120363025246125486@g.us"}', "invalid_target", {"number"}),
    (b'["+5511999999999"]', "validation_error", {"body"}),
    (b"null", "validation_error", {"body"}),
    (b'"+5511999999999"', "validation_error", {"body"}),
    (b"5511999999999", "validation_error", {"body"}),
    (b" ", "invalid_json", {"body"}),
    (b"{", "invalid_json", {"body"}),
    (b"{'number': '+5511999999999'}", "invalid_json", {"body"}),
    (b'{"number": "+5511999999999",}', "invalid_json", {"body"}),
    (b'{"number": "+5511999999999"} x', "invalid_json", {"body"}),
    (b'{"number": "+5511999999999", "number": "+5511988888888"}', "invalid_json", {"body"}),
    (b'{"number": "+5511999999999", "x": {"a": 1, "a": 1}}', "invalid_json", {"body"}),
    (b'{"number": NaN}', "invalid_json", {"body"}),
    (b'{"number": -Infinity}', "invalid_json", {"body"}),
    (b'{"number": 1e999}', "invalid_json", {"body"}),
    (b'{"number": %s}' % (b"5" * 5000), "invalid_json", {"body"}),
    (b'{"number": "\\ud800"}', "invalid_json", {"body"}),
    (b'{"\\ud800": "+5511999999999"}', "invalid_json", {"body"}),
    (b"[" * 60_000, "invalid_json", {"body"}),
    (b'{"a":' * 12_000, "invalid_json", {"body"}),
    (b"[" * 33 + b"]" * 33, "invalid_json", {"body"}),
    (b'{"number": "\xff\xfe"}', "invalid_json", {"body"}),
    (b"\xc0\xaf", "invalid_json", {"body"}),
    ('{"number": "+5511999999999"}'.encode("utf-16"), "invalid_json", {"body"}),
    ('{"number": "+5511999999999"}'.encode("utf-16-le"), "invalid_json", {"body"}),
    ('{"number": "+5511999999999"}'.encode("utf-8-sig"), "invalid_json", {"body"}),
    (b'{"number": "%s"}' % (b" " * 66_000), "payload_too_large", set()),
]


@pytest.mark.parametrize("path", [BLOCK, UNBLOCK])
@pytest.mark.parametrize(
    ("body", "code", "fields"), BAD_BODIES, ids=[str(each[0][:48]) for each in BAD_BODIES]
)
def test_invalid_body_is_rejected_with_its_field_and_nothing_is_sent(
    recorded: tuple[str, Upstream], path: str, body: bytes, code: str, fields: set[str]
) -> None:
    address, upstream = recorded
    answer = call(address, "POST", path, body=body, headers={"Content-Type": "application/json"})
    assert answer.code == code
    assert answer.status == code_named(code).http_status
    assert 400 <= answer.status <= 499
    assert set(answer.json["error"]["fields"]) == fields
    assert all(answer.json["error"]["fields"].values())
    assert answer.json["error"]["outcome"] == "not_applied"
    assert answer.json["meta"]["attempts"] == 0
    assert upstream.connections == 0


GOOD = b'{"number": "+5511999999999"}'


@pytest.mark.parametrize(
    ("query", "body", "content_type", "code", "fields"),
    [
        ("", b"number=%2B5511999999999", "application/x-www-form-urlencoded", 415, "Content-Type"),
        ("", GOOD, "text/plain", 415, "Content-Type"),
        ("", GOOD, "multipart/form-data; boundary=x", 415, "Content-Type"),
        ("", GOOD, "application/json; charset=utf-16", 415, "Content-Type"),
        ("", GOOD, "application/json; charset=latin-1", 415, "Content-Type"),
        ("", GOOD, "", 415, "Content-Type"),
        ("?number=%2B5511999999999", GOOD, "application/json", 422, "query"),
        ("?account=a", GOOD, "application/json", 422, "query"),
        ("?acount=a", GOOD, "application/json", 422, "acount"),
        ("?number=%2B5511999999999&number=%2B5511999999999", b"", "", 422, "number"),
        ("?phone=1", b"", "", 422, "phone"),
        ("?number=", b"", "", 422, "number"),
        ("?jid=status%40broadcast", b"", "", 422, "jid"),
        ("?jid=5511999%0A999999%40c.us", b"", "", 422, "jid"),
        ("?user_id=x", b"", "", 422, "user_id"),
        ("?number=%FF%FE", b"", "", 422, "number"),
        (f"?number={quote(FULL_WIDTH)}", b"", "", 422, "number"),
    ],
)
def test_invalid_query_or_content_type_is_rejected_and_nothing_is_sent(
    recorded: tuple[str, Upstream],
    query: str,
    body: bytes,
    content_type: str,
    code: int,
    fields: str,
) -> None:
    address, upstream = recorded
    headers = {"Content-Type": content_type} if content_type else {}
    answer = call(address, "POST", BLOCK + query, body=body, headers=headers)
    assert answer.status == code
    assert list(answer.json["error"]["fields"]) == [fields]
    assert upstream.connections == 0


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"{BLOCKED}?number=1", "number"),
        (f"{BLOCKED}?account=a&account=a", "account"),
        ("/v1/accounts?account=a", "account"),
        ("/v1/providers?x=", "x"),
    ],
)
def test_unknown_parameters_of_reads_are_rejected(
    recorded: tuple[str, Upstream], path: str, field: str
) -> None:
    address, upstream = recorded
    answer = call(address, "GET", path)
    assert answer.code == "validation_error"
    assert list(answer.json["error"]["fields"]) == [field]
    assert upstream.connections == 0


def test_national_number_is_accepted_with_a_default_region(make_app: MakeApp) -> None:
    client = make_app({**MEMORY, "default_region": "BR"}).test_client()
    response = client.post(BLOCK, json={"number": "(11) 99999-9999"})
    assert response.get_json()["data"]["contact"] == CONTACT
    assert code_of(client.post(BLOCK, json={"number": "999"})) == "invalid_target"


def test_ambiguous_number_is_rejected_without_a_plus(make_app: MakeApp) -> None:
    client = make_app({**MEMORY, "default_region": "DE"}).test_client()
    for number, person in (
        ("491713920012", "491713920012"),
        ("+17139200123", "17139200123"),
        ("017139200123", "4917139200123"),
    ):
        data = client.post(BLOCK, json={"number": number}).get_json()["data"]
        assert data["contact"]["number"] == person
    response = client.post(BLOCK, json={"number": "17139200123"})
    assert code_of(response) == "invalid_target"
    assert "leading +" in response.get_json()["error"]["fields"]["number"][0]


def test_error_message_does_not_repeat_the_invalid_text(client: FlaskClient) -> None:
    for name in ("number", "jid"):
        response = client.post(BLOCK, json={name: "77777777777777777"})
        assert code_of(response) == "invalid_target"
        assert "7777777" not in response.text


def test_calls_above_max_in_flight_are_rejected_and_not_sent() -> None:
    with run_upstream(held=True) as upstream:
        upstream.will_answer(204)
        account = account_for("session-gateway", upstream.address)
        config = {"accounts": {"a": {**account, "transport": {"max_in_flight": 1}}}}
        with run_app(lambda _: create_app(config, allow_unauthenticated=True)) as address:
            answers = []
            first = threading.Thread(
                target=lambda: answers.append(call(address, "POST", f"{BLOCK}?number={NUMBER}"))
            )
            first.start()
            assert upstream.arrived.wait(20)
            second = call(address, "POST", f"{BLOCK}?number={NUMBER}")
            upstream.release.set()
            first.join()
    assert second.code == "overloaded"
    assert second.headers["Retry-After"] == "1"
    assert second.json["meta"]["attempts"] == 0
    assert answers[0].status == 200
    assert upstream.connections == 1
