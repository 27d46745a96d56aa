"""Masked numbers, escaped control characters and hidden secrets."""

from __future__ import annotations

import copy
import logging
import pickle
import re
import sys
import traceback
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.logs import MaskingFormatter
from adapter.privacy import (
    escape_controls,
    mask_digit_runs,
    mask_number,
    mask_phone_numbers,
    mask_traceback,
)
from adapter.secret import Secret

NUMBER = "5511999999999"
digits = st.text(alphabet="0123456789", min_size=8, max_size=20)


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("5511999999999", "551*******999"),
        ("551199999999", "551******999"),
        ("15005550006", "15*******06"),
        ("37612345", "37****45"),
        ("6907290", "6*****0"),
        ("123456789012345678901", "1234*************8901"),
        ("12345", "1***5"),
        ("1234", "****"),
        ("1", "*"),
        ("", ""),
    ],
)
def test_the_middle_of_a_number_is_masked(number: str, masked: str) -> None:
    assert mask_number(number) == masked


@given(st.text(alphabet="0123456789", min_size=1, max_size=40))
def test_a_masked_number_keeps_its_length_and_at_most_half_of_its_digits(number: str) -> None:
    masked = mask_number(number)
    assert len(masked) == len(number)
    assert masked.count("*") >= len(number) / 2
    assert number not in masked
    assert not re.search(r"\d{5}", masked)


@given(before=st.text(), number=digits, after=st.text())
def test_every_long_run_of_digits_is_masked(before: str, number: str, after: str) -> None:
    masked = mask_digit_runs(before + number + after)
    assert not re.search(r"\d{7}", masked)


def test_a_text_without_numbers_is_unchanged() -> None:
    text = "HTTP 200 in 123456 ms, session sess_01HZX"
    assert mask_digit_runs(text) == text


@pytest.mark.parametrize(
    "around", ["{}", "<{}>", "a{}b", "{}@s.whatsapp.net", "/block/{}?x", "_{}"]
)
def test_a_number_is_masked_in_any_context(around: str) -> None:
    assert mask_digit_runs(around.format(NUMBER)) == around.format("551*******999")


@pytest.mark.parametrize(
    "number",
    [
        *("+55 11 99999-9999", "+55 (11) 99999-9999", "55.11.99999.9999", "0049/491/713920"),
        *("5 5 1 1 9 9 9 9 9 9 9 9 9", "5511\u00a099999\u00a09999", "55 11 9999", "1234 5678"),
    ],
)
def test_a_number_in_groups_is_masked_in_a_traceback(number: str) -> None:
    masked = mask_traceback(f"ValueError: bad contact {number}")
    assert number not in masked
    shown = re.sub(r"[^0-9]", "", masked)
    assert len(shown) <= len(re.sub(r"[^0-9]", "", number)) / 2
    assert len(masked) == len(f"ValueError: bad contact {number}")
    assert number not in formatted("x", error=ValueError(number))


def test_paths_and_line_numbers_of_a_traceback_are_unchanged() -> None:
    text = (
        'File "/opt/python3.11/site-packages/x/1.2.3/y.py", line 1234, in a\n  5, 12345, 127.0.0.1'
    )
    assert mask_traceback(text) == text


def formatted(message: str, *args: object, error: BaseException | None = None) -> str:
    info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("adapter", logging.INFO, "x.py", 1, message, args, info)
    return MaskingFormatter("%(levelname)s %(message)s").format(record)


@pytest.mark.parametrize(
    "around", ["{}", "to {} done", "jid={}@c.us", '"{}"', "+{}", "/contacts/{}/block", "({})"]
)
def test_numbers_in_a_log_line_are_masked(around: str) -> None:
    assert NUMBER not in formatted(around.format(NUMBER))
    assert "551*******999" in formatted(around.format(NUMBER))
    assert NUMBER not in formatted("%s", around.format(NUMBER))


def test_a_request_id_stays_readable_in_a_log_line() -> None:
    line = "request_id=0123456789abcdef0123456789abcdef trace=a1b2-12345678-c3d4"
    assert formatted(line) == f"INFO {line}"


def test_process_ids_in_a_log_line_stay_readable() -> None:
    line = "Booting worker with pid: 4194304, port 65535, 1000000 ms"
    assert mask_phone_numbers(line) == line


def test_numbers_in_the_exception_of_a_log_line_are_masked() -> None:
    try:
        try:
            raise ValueError(f"no {NUMBER}@s.whatsapp.net")
        except ValueError as cause:
            raise RuntimeError(f"x{NUMBER}y and {NUMBER}") from cause
    except RuntimeError as error:
        line = formatted("failed", error=error)
    assert "RuntimeError" in line
    assert "ValueError" in line
    assert NUMBER not in line
    assert "551*******999" in line


CONTROLS = [
    *map(chr, (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0x202E, 0x2066, 0x200F, 0xD800)),
    "\r\n",
]
"""Line breaks, terminal controls, and marks of direction."""


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_control_characters_are_escaped_and_a_message_is_one_line(control: str) -> None:
    escaped = escape_controls(f"a{control}b")
    assert escaped == f"a{ascii(control)[1:-1]}b"
    line = formatted(f"a{control}2026-11-25 INFO adapter call code=ok")
    assert line == formatted("%s", f"a{control}2026-11-25 INFO adapter call code=ok")
    assert len(line.splitlines()) == 1
    assert control not in line


@given(st.text())
def test_escaped_text_is_one_printable_line(text: str) -> None:
    escaped = escape_controls(text)
    assert len(escaped.splitlines()) <= 1
    assert not [each for each in escaped if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp")]
    assert escape_controls(escaped) == escaped


@given(st.text())
def test_no_line_of_a_traceback_looks_like_a_record(text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError as error:
        first, *lines = formatted("failed", error=error).splitlines()
    assert first == "INFO failed"
    assert lines
    assert all(line.startswith("    ") for line in lines)


def test_the_formatter_masks_the_numbers_of_a_logger(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Keeper()
    handler.setFormatter(MaskingFormatter())
    logger = logging.Logger("adapter.test")
    logger.addHandler(handler)
    try:
        raise KeyError(NUMBER)
    except KeyError:
        logger.exception("no contact %s", NUMBER)
    assert len(lines) == 1
    assert "KeyError" in lines[0]
    assert NUMBER not in lines[0]


# --- secrets

CANARY = "canary-token-4711"


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{!r}".format,
        "{0}".format,
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - this way too
        lambda secret: f"{secret}",
        lambda secret: repr({"token": secret}),
        lambda secret: repr([secret]),
        lambda secret: repr(dir(secret)),
        lambda secret: repr(getattr(secret, "__dict__", {})),
    ],
)
def test_repr_and_formatting_hide_a_secret(show: object) -> None:
    assert CANARY not in show(Secret(CANARY))  # type: ignore[operator]


def test_reveal_returns_the_secret() -> None:
    assert Secret(CANARY).reveal() == CANARY


def test_secrets_are_equal_by_their_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert hash(Secret("a")) == hash(Secret("a"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_cannot_be_pickled(protocol: int) -> None:
    with pytest.raises(TypeError) as caught:
        pickle.dumps({"token": Secret(CANARY)}, protocol)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy])
def test_a_secret_cannot_be_copied(clone: object) -> None:
    with pytest.raises(TypeError):
        clone(Secret(CANARY))  # type: ignore[operator]


def test_a_traceback_with_local_variables_hides_a_secret() -> None:
    def fail(token: Secret) -> None:
        raise RuntimeError(f"cannot use {token}")

    try:
        fail(Secret(CANARY))
    except RuntimeError:
        shown = "".join(traceback.TracebackException(*sys.exc_info(), capture_locals=True).format())
    assert "Secret(***)" in shown
    assert "token-4711" not in shown.replace("CANARY", "")
