"""Strict JSON: the accepted documents, the refused bytes, and what is written."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
