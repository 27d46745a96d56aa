"""Headers, requests and responses as values; repr hides their content."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.http import Headers, HttpRequest, HttpResponse, json_response


def test_header_names_are_case_insensitive() -> None:
    headers = Headers({"Content-Type": "a", "X-API-Key": "b"})
    assert headers["content-type"] == headers["CONTENT-TYPE"] == headers["Content-Type"] == "a"
    assert headers.get("x-api-key") == "b"
    assert "x-ApI-kEy" in headers
    assert "Authorization" not in headers
    assert headers.get("Authorization") is None


def test_headers_keep_their_names_as_written() -> None:
    assert list(Headers({"X-API-Key": "b", "accept": "c"})) == ["X-API-Key", "accept"]


def test_headers_are_equal_in_any_case_and_order() -> None:
    assert Headers({"A": "1", "B": "2"}) == Headers({"b": "2", "a": "1"})
    assert Headers({"A": "1"}) == {"a": "1"}
    assert Headers({"A": "1"}) != Headers({"A": "2"})
    assert Headers({"A": "x"}) != Headers({"A": "X"})
    assert Headers({"A": "1"}) != Headers({"A": "1", "B": "2"})
    assert Headers() != "a"


def test_the_last_of_two_equal_header_names_is_kept() -> None:
    headers = Headers({"Token": "1", "TOKEN": "2"})
    assert len(headers) == len(list(headers)) == 1
    assert headers["token"] == "2"


@given(st.dictionaries(st.text(alphabet="abcXYZ-", min_size=1), st.text(), max_size=5))
def test_every_iterated_header_is_found(fields: dict[str, str]) -> None:
    headers = Headers(fields)
    assert len(headers) == len({name.lower() for name in fields})
    assert all(headers[name.swapcase()] == headers[name] for name in headers)


def test_repr_of_a_request_shows_only_the_method() -> None:
    request = HttpRequest(
        "POST",
        "/sessions/canary-session/contacts/5511999999999@c.us/block",
        Headers({"Authorization": "Bearer canary-token"}),
        {"q": "canary-query"},
        {"jid": "5511999999999"},
    )
    for shown in (repr(request), str(request), f"{request}", repr([request])):
        assert "canary" not in shown
        assert "5511" not in shown
        assert "sessions" not in shown
        assert "POST" in shown


def test_repr_of_a_response_shows_neither_headers_nor_body() -> None:
    response = HttpResponse(200, Headers({"X": "canary-value"}), b'{"jid": "canary-5511999999999"}')
    for shown in (repr(response), str(response), repr((response,))):
        assert "canary" not in shown
        assert "5511" not in shown
        assert "200" in shown


def test_repr_of_headers_shows_only_the_names() -> None:
    shown = repr(Headers({"Authorization": "Bearer canary-token"}))
    assert "Authorization" in shown
    assert "canary" not in shown


def test_requests_are_immutable_and_equal_by_value() -> None:
    one = HttpRequest("POST", "/a", Headers({"X": "1"}), json={"jid": "x"})
    assert one == HttpRequest("POST", "/a", Headers({"x": "1"}), json={"jid": "x"})
    assert one != HttpRequest("POST", "/a", Headers({"x": "1"}), json={"jid": "y"})
    with pytest.raises(AttributeError):
        one.path = "/b"  # type: ignore[misc]


@pytest.mark.parametrize("body", [b"", b"null", b"<html>", b'{"a": 1, "a": 2}', b"\xff", b"{} x"])
def test_a_body_that_is_not_strict_json_has_no_document(body: bytes) -> None:
    assert HttpResponse(200, body=body).document is None


def test_the_document_does_not_depend_on_the_content_type() -> None:
    assert HttpResponse(500, Headers({"Content-Type": "text/html"}), b'{"a": 1}').document == {
        "a": 1
    }


def test_a_json_response_has_its_content_type_and_further_headers() -> None:
    response = json_response(429, {"a": [1]}, {"Retry-After": "3"})
    assert response.status == 429
    assert response.body == b'{"a":[1]}'
    assert response.headers == {"content-type": "application/json", "retry-after": "3"}
    assert response.document == {"a": [1]}
