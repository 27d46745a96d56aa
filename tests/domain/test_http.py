"""Strict JSON, headers, and requests and responses that keep quiet about what they hold."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.http import Headers, HttpRequest, HttpResponse, json_response
from adapter.strict_json import MAX_DEPTH, StrictJsonError, read_json, write_json

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


def nested(levels: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * levels + closing * levels).encode()


# --- reading


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"{}", {}),
        (b" [1, 2.5, -3e2, true, false, null] \r\n\t", [1, 2.5, -300.0, True, False, None]),
        (b'"\\u00e9\\ud83d\\ude00"', "é😀"),
        ('"é😀"'.encode(), "é😀"),
        (b'{"a": {"a": 1}}', {"a": {"a": 1}}),
        (b"9" * 32, int("9" * 32)),
        (b"0", 0),
        (b"null", None),
    ],
)
def test_strict_json_is_parsed(body: bytes, value: object) -> None:
    assert read_json(body) == value


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"   ", id="blanks"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b'{"number": "5511999999999"', id="cut off behind a value"),
        pytest.param(b"{} {}", id="two documents"),
        pytest.param(b"{}x", id="trailing garbage"),
        pytest.param(b"{},", id="a trailing comma outside"),
        pytest.param(b"[1,]", id="a trailing comma inside"),
        pytest.param(b"{'a': 1}", id="single quotes"),
        pytest.param(b"{a: 1}", id="a bare key"),
        pytest.param(b'{"a": 1, "a": 1}', id="a key twice"),
        pytest.param(b'{"a": 1, "\\u0061": 2}', id="a key twice, once escaped"),
        pytest.param(b'[{"b": {"a": 1, "a": 2}}]', id="a key twice, deep inside"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b'{"a": NaN}', id="NaN inside"),
        pytest.param(b"Infinity", id="Infinity"),
        pytest.param(b"[-Infinity]", id="minus Infinity"),
        pytest.param(b"1e999", id="a number beyond floats"),
        pytest.param(b"[-1e999]", id="a negative number beyond floats"),
        pytest.param(b"9" * 33, id="an integer of 33 digits"),
        pytest.param(b"-" + b"9" * 5000, id="an integer of 5000 digits"),
        pytest.param(b"01", id="a leading zero"),
        pytest.param(b"+1", id="a leading plus"),
        pytest.param(b"0x10", id="hexadecimal"),
        pytest.param(b"1.", id="a bare decimal point"),
        pytest.param(b"// x\n1", id="a comment"),
        pytest.param(b'"\n"', id="a raw newline in a string"),
        pytest.param(b'"\0"', id="a raw NUL in a string"),
        pytest.param(b'"\\x41"', id="an escape that JSON has not"),
        pytest.param(b'"\\ud800"', id="half a surrogate pair"),
        pytest.param(b'"\\udc00\\ud800"', id="a surrogate pair the wrong way round"),
        pytest.param(b'[["a", {"b": "\\udfff"}]]', id="half a pair, deep inside"),
        pytest.param(b'{"\\ud800": 1}', id="half a pair in a key"),
        pytest.param(b'{"a": {"\\ud800": 1}}', id="half a pair in an inner key"),
        pytest.param(b'"\xed\xa0\x80"', id="half a pair, encoded"),
        pytest.param(b"\xef\xbb\xbf{}", id="a byte order mark"),
        pytest.param("{}".encode("utf-16"), id="UTF-16 with a mark"),
        pytest.param("{}".encode("utf-16-le"), id="UTF-16 without a mark"),
        pytest.param("{}".encode("utf-32"), id="UTF-32"),
        pytest.param('"é"'.encode("latin-1"), id="Latin-1"),
        pytest.param(b'"\xc0\xaf"', id="an overlong encoding"),
        pytest.param(b'"\xff"', id="a byte that UTF-8 has not"),
        pytest.param(nested(MAX_DEPTH + 1), id="one level too deep"),
        pytest.param(nested(100_000), id="a hundred thousand levels"),
        pytest.param(b"[" * 100_000, id="a hundred thousand openings"),
        pytest.param(nested(100_000, '{"a":', "1}"), id="objects as deep"),
    ],
)
def test_json_that_is_not_strict_is_refused(body: bytes) -> None:
    with pytest.raises(StrictJsonError):
        read_json(body)


def test_nesting_is_accepted_up_to_the_maximum_depth() -> None:
    value = read_json(nested(MAX_DEPTH))
    for _ in range(MAX_DEPTH - 1):
        (value,) = value
    assert value == []


@pytest.mark.parametrize(
    "body",
    [b'{"k5511999999999": 1, "k5511999999999": 2}', b'{"n": 5511999999999', b'["5511999999999\xff'],
)
def test_an_error_never_repeats_the_text(body: bytes) -> None:
    with pytest.raises(StrictJsonError) as caught:
        read_json(body)
    assert "5511" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@given(values)
def test_the_output_of_the_json_module_is_parsed_to_an_equal_value(value: object) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=2)):
        assert read_json(text.encode()) == value


@given(values)
def test_written_json_is_ascii_and_is_parsed_to_an_equal_value(value: object) -> None:
    written = write_json(value)
    assert written.isascii()
    assert read_json(written) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinities_are_never_written(value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json([value])


json_bytes = st.text(alphabet='{}[]":,0123456789.eE+-ntfNI\\u dD8c\n', max_size=40).map(str.encode)


@given(st.binary(max_size=60) | json_bytes)
def test_any_bytes_are_a_value_or_a_strict_json_error(body: bytes) -> None:
    try:
        value = read_json(body)
    except StrictJsonError:
        return
    assert read_json(write_json(value)) == value


# --- headers


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


# --- values


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
