"""Logging: a line per call and per failed attempt, with facts and without phone numbers."""

from __future__ import annotations

import http.client
import io
import json
import logging
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import MakeApp
from flask import Flask
from support import JID, NUMBER, SESSION, Upstream, account_for, call, wait_until
from support.raw_server import Peer, RawServer, always, http_response
from support.serving import ENVIRONMENT, Served, serve

import adapter.logs
from adapter import ContactAdapter
from adapter.api_keys import ANONYMOUS
from adapter.client import Client
from adapter.privacy import escape_controls
from adapter.secret import Secret
from adapter.service import Service
from adapter.settings.loader import load_settings

MASKED = "551*******999"
BLOCK = "/v1/contacts/block"


class Lines(logging.Handler):
    """The records of the one logger, and their facts."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def keep(self, record: logging.LogRecord) -> bool:
        """Pass every record on, as a filter does."""
        self.records.append(record)
        return True

    def of(self, event: str) -> list[dict[str, Any]]:
        return [each.facts for each in self.records if getattr(each, "event", None) == event]


@pytest.fixture
def lines() -> Iterator[Lines]:
    logger = logging.getLogger("adapter")
    kept, level = Lines(), logger.level
    logger.addHandler(kept)
    logger.setLevel(logging.DEBUG)
    yield kept
    logger.removeHandler(kept)
    logger.setLevel(level)


# --- the lines


def test_a_request_and_an_attempt_have_one_line_each_with_the_request_id_of_the_upstream(
    make_app: MakeApp, upstream: Upstream, lines: Lines
) -> None:
    upstream.will_answer(200, {"success": True, "data": {"blocked": True}})
    client = make_app({"accounts": {"a": account_for("wuts", upstream.address)}}).test_client()
    response = client.post(BLOCK, json={"jid": JID}, headers={"X-Request-Id": "r-42"})
    (attempt,), (request,) = lines.of("attempt"), lines.of("request")
    assert upstream.seen[0].headers["X-Request-Id"] == "r-42"
    assert response.headers["X-Request-Id"] == response.get_json()["meta"]["request_id"] == "r-42"
    for facts in (attempt, request):
        assert isinstance(facts.pop("ms"), int)
    common = {"account": "a", "provider": "wuts", "contact": MASKED, "code": "ok", "upstream": 200}
    assert attempt == {**common, "action": "block", "request_id": "r-42"}
    assert request == {
        **common,
        "action": "block",
        "method": "POST",
        "route": BLOCK,
        "status": 200,
        "attempts": 1,
        "request_id": "r-42",
    }


def test_a_successful_attempt_is_logged_at_debug(make_app: MakeApp, lines: Lines) -> None:
    script = [http_response(503), http_response(200, {"success": True, "data": {"blocked": True}})]

    def play(peer: Peer) -> None:
        while peer.read_request():
            peer.write(script.pop(0))

    with RawServer(play, b"") as server:
        account = account_for("wuts", f"http://127.0.0.1:{server.port}")
        client = make_app({"accounts": {"a": account}}).test_client()
        client.post(BLOCK, json={"jid": JID})
    shown = [(each.event, each.levelname, each.facts["code"]) for each in lines.records]
    assert shown == [
        ("attempt", "INFO", "provider_unavailable"),
        ("attempt", "DEBUG", "ok"),
        ("request", "INFO", "ok"),
    ]


@pytest.mark.parametrize("given", [None, "not a sane id", "x" * 129])
def test_a_request_without_a_valid_id_gets_a_new_one(
    make_app: MakeApp, upstream: Upstream, lines: Lines, given: str | None
) -> None:
    upstream.will_answer(204)
    account = account_for("session-gateway", upstream.address)
    client = make_app({"accounts": {"a": account}}).test_client()
    headers = {} if given is None else {"X-Request-Id": given}
    response = client.post(BLOCK, json={"jid": JID}, headers=headers)
    ids = {
        response.headers["X-Request-Id"],
        upstream.seen[0].headers["X-Request-Id"],
        *(facts["request_id"] for facts in (*lines.of("attempt"), *lines.of("request"))),
    }
    assert len(ids) == 1
    assert re.fullmatch(r"[0-9a-f]{32}", ids.pop())


def test_every_attempt_has_a_line_with_the_request_id(make_app: MakeApp, lines: Lines) -> None:
    with RawServer(always(http_response(503)), b"") as server:
        account = account_for("wuts", f"http://127.0.0.1:{server.port}")
        config = {"accounts": {"a": {**account, "verify": "never"}}}
        client = make_app(config).test_client()
        client.post(BLOCK, json={"jid": JID}, headers={"X-Request-Id": "r-1"})
        assert server.request_count == 2
    attempts = lines.of("attempt")
    assert [(facts["upstream"], facts["code"]) for facts in attempts] == [
        (503, "provider_unavailable")
    ] * 2
    assert {facts["request_id"] for facts in attempts} == {"r-1"}
    (request,) = lines.of("request")
    assert (request["attempts"], request["status"], request["request_id"]) == (2, 503, "r-1")


def test_a_native_request_has_one_line(make_app: MakeApp, upstream: Upstream, lines: Lines) -> None:
    upstream.will_answer(204)
    account = account_for("session-gateway", upstream.address)
    app = make_app({"accounts": {"a": account}, "dialects": {"enabled": ["session-gateway"]}})
    path = f"/dialects/session-gateway/api/v1/sessions/a/contacts/{JID}/unblock"
    app.test_client().post(path, headers={"X-Request-Id": "r-1"})
    (attempt,), (request,) = lines.of("attempt"), lines.of("request")
    assert attempt["action"] == "unblock"
    assert attempt["request_id"] == request["request_id"] == "r-1"
    assert request["contact"] == attempt["contact"] == MASKED
    assert request["status"] == 204
    assert upstream.seen[0].headers["X-Request-Id"] == "r-1"
    assert NUMBER not in request["route"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/livez", 200),
        ("HEAD", "/livez", 200),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/docs", 200),
        ("GET", "/docs/", 200),
        ("GET", "/docs/swagger-ui.css", 200),
        ("GET", "/docs/nothing.css", 404),
        ("GET", "/nowhere", 404),
        ("DELETE", BLOCK, 405),
        ("OPTIONS", BLOCK, 200),
        ("POST", BLOCK, 422),
        ("GET", "/v1/accounts", 200),
        ("GET", "/dialects/wuts", 404),
        ("GET", "/dialects/wuts/", 404),
        ("POST", f"/dialects/wuts?number={NUMBER}", 404),
        ("POST", f"//dialects/wuts/contacts/block?number={NUMBER}", 404),
        ("PURGE", "/dialects/wuts/contacts/block", 405),
    ],
)
def test_any_request_has_one_line_and_no_response_repeats_a_number(
    make_app: MakeApp, lines: Lines, method: str, path: str, status: int
) -> None:
    config = {"accounts": {"a": {"provider": "memory"}}, "dialects": {"enabled": ["wuts"]}}
    client = make_app(config).test_client()
    response = client.open(path, method=method, headers={"X-Request-Id": "r-1"})
    shown = f"{response.headers} {response.text if method == 'POST' else ''}"
    response.close()
    (facts,) = lines.of("request")
    assert (response.status_code, facts["status"]) == (status, status)
    shown_method = "-" if method == "PURGE" else method
    assert (facts["method"], facts["request_id"]) == (shown_method, "r-1")
    assert NUMBER not in f"{shown} {lines.records[-1].getMessage()}"


@pytest.mark.parametrize("path", [BLOCK, "/dialects/wuts/block", "/metrics", "/v1/providers"])
def test_a_request_line_has_the_name_of_the_api_key(
    make_app: MakeApp, lines: Lines, path: str
) -> None:
    keys = {
        "crm": {"secret": Secret("k" * 20), "scopes": ["block", "read"], "accounts": ["a"]},
        "prometheus": {"secret": Secret("p" * 20), "scopes": ["metrics"], "accounts": ["*"]},
    }
    app = make_app(
        {
            "accounts": {"a": {"provider": "memory"}},
            "dialects": {"enabled": ["wuts"]},
            "keys": keys,
        }
    )
    method = "POST" if path.endswith("block") else "GET"
    name, secret = ("prometheus", "p" * 20) if path == "/metrics" else ("crm", "k" * 20)
    headers = {"Authorization": f"Bearer {secret}"}
    app.test_client().open(path, method=method, json={"jid": JID}, headers=headers)
    app.test_client().open(path, method=method, json={"jid": JID})
    known, unknown = lines.of("request")
    assert known["key"] == name
    assert "key" not in unknown
    texts = [each.getMessage() for each in lines.records if each.event == "request"]
    assert f" key={name} " in texts[0]
    assert all(secret not in text for text in texts)


def test_the_name_of_an_api_key_shows_no_digits_of_the_contact(
    make_app: MakeApp, lines: Lines
) -> None:
    key = {"secret": Secret("k" * 20), "scopes": ["block"], "accounts": ["a"]}
    config = {"accounts": {"a": {"provider": "memory"}}, "keys": {f"crm-{NUMBER[-7:]}": key}}
    client = make_app(config).test_client()
    client.post(BLOCK, json={"jid": JID}, headers={"X-API-Key": "k" * 20})
    (facts,) = lines.of("request")
    assert facts["key"] == "crm-*******"


def test_a_call_from_python_has_a_line_with_the_request_id_of_its_result(lines: Lines) -> None:
    service = Service(load_settings({"accounts": {"a": {"provider": "memory"}}}))
    result = Client(service, ANONYMOUS).block(NUMBER)
    (attempt,), (line,) = lines.of("attempt"), lines.of("call")
    assert attempt["request_id"] == line["request_id"] == result.request_id
    assert (line["action"], line["contact"], line["code"]) == ("block", MASKED, "ok")
    assert lines.of("request") == []


def test_a_call_from_python_that_is_not_sent_has_a_line(lines: Lines) -> None:
    service = Service(load_settings({"accounts": {"a": {"provider": "memory"}}}))
    result = Client(service, ANONYMOUS).block("12")
    assert [(each["code"], each["request_id"]) for each in lines.of("call")] == [
        ("invalid_target", result.request_id)
    ]


def test_a_line_has_equal_text_and_facts(lines: Lines) -> None:
    adapter.logs.log_event("seen", a="x", b=None, c=NUMBER, d=3)
    (record,) = lines.records
    assert record.getMessage() == f"seen a=x c={MASKED} d=3"
    assert (record.event, record.facts) == ("seen", {"a": "x", "c": MASKED, "d": 3})
    assert (record.name, record.levelno) == ("adapter", logging.INFO)


@pytest.mark.parametrize("control", ["\n", "\r", "\x1b[2K", "\x7f", "\x85", "\u2028", "\u2029"])
def test_control_characters_in_a_fact_forge_no_line(lines: Lines, control: str) -> None:
    forged = f"x{control}2026-11-25 INFO adapter call account=a code=ok"
    adapter.logs.log_event("call", account=forged, code="bad")
    (record,) = lines.records
    shown = forged.replace(control, escape_controls(control))
    assert record.getMessage() == f'call account="{shown}" code=bad'
    assert record.facts == {"account": shown, "code": "bad"}
    text = adapter.logs.MaskingFormatter("%(levelname)s %(message)s").format(record)
    assert text == f"INFO {record.getMessage()}"
    document = json.loads(adapter.logs.JsonFormatter().format(record))
    assert document["account"] == shown


def test_an_error_is_one_record_with_an_indented_and_masked_traceback(
    lines: Lines,
) -> None:
    error = ValueError(f"x{NUMBER}\n2026-11-25 INFO adapter call code=ok\u2028y")
    adapter.logs.log_exception("internal_error", error, request_id="a\nb", code=None)
    (record,) = lines.records
    assert record.levelno == logging.ERROR
    first, *below = record.getMessage().splitlines()
    assert first == r"internal_error request_id=a\nb"
    assert below
    assert all(line.startswith("    ") for line in below)
    assert NUMBER not in record.getMessage()
    document = json.loads(adapter.logs.JsonFormatter().format(record))
    assert document["request_id"] == r"a\nb"
    assert document["exception"].splitlines() == below


def test_a_disabled_level_builds_no_line(lines: Lines) -> None:
    logging.getLogger("adapter").setLevel(logging.WARNING)
    adapter.logs.log_event("seen", a="x")
    assert lines.records == []


# --- lines without a record

LINE_FORMS = ["text", "json"]


@contextmanager
def sole_handler(form: str) -> Iterator[tuple[adapter.logs.LineHandler, io.StringIO]]:
    """Give the handler of `configure` as the only one of this process, with its output."""
    root, logger = logging.getLogger(), logging.getLogger("adapter")
    handlers, level = root.handlers, logger.level
    handler, output = adapter.logs.LineHandler(form), io.StringIO()
    handler.setStream(output)
    root.handlers = [handler]
    logger.setLevel(logging.INFO)
    try:
        yield handler, output
    finally:
        root.handlers = handlers
        logger.setLevel(level)


@pytest.mark.parametrize("form", LINE_FORMS)
@pytest.mark.parametrize(
    "facts",
    [
        {"a": "x", "b": None, "c": NUMBER, "d": 3},
        {"account": 'with "quotes" and spaces', "code": "x\ny\u2028\x1b[2K"},
        {"request_id": "d7115e99817d2fe6b117c9a9954b5ad7", "name": "caf\u00e9 \U0001f600 \ud800"},
        {},
    ],
)
def test_a_line_is_the_same_with_and_without_a_record(form: str, facts: dict[str, Any]) -> None:
    with sole_handler(form) as (_, output):
        for level in (logging.INFO, logging.WARNING, logging.ERROR):
            adapter.logs.log_event("seen", level=level, **facts)
        direct = output.getvalue()
        output.truncate(0)
        output.seek(0)
        other = Lines()
        logging.getLogger().addHandler(other)
        for level in (logging.INFO, logging.WARNING, logging.ERROR):
            adapter.logs.log_event("seen", level=level, **facts)
        assert len(other.records) == 3
        by_record = output.getvalue()
    times = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:,\d{3}|[+-]\d{4})"
    assert direct.count("\n") == len(re.findall(times, direct)) == 3
    assert re.sub(times, "", direct) == re.sub(times, "", by_record)


@pytest.mark.parametrize("form", LINE_FORMS)
def test_a_line_without_a_record_has_the_time_of_a_record(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sole_handler(form) as (handler, output):
        for now in (1_764_000_000.25, 1_764_000_000.75, 1_780_000_001.5):
            monkeypatch.setattr(time, "time", lambda now=now: now)
            adapter.logs.log_event("seen", a="x")
            record = logging.makeLogRecord(
                {"name": "adapter", "levelname": "INFO", "msg": "seen a=x", "created": now}
                | {"msecs": now % 1 * 1000, "event": "seen", "facts": {"a": "x"}}
            )
            assert output.getvalue().splitlines()[-1] == handler.format(record)


def _add_handler(handler: logging.Handler, seen: Lines) -> None:
    logging.getLogger("adapter").addHandler(seen)


def _add_root_handler(handler: logging.Handler, seen: Lines) -> None:
    logging.getLogger().addHandler(seen)


def _add_filter(handler: logging.Handler, seen: Lines) -> None:
    logging.getLogger("adapter").addFilter(seen.keep)


def _add_handler_filter(handler: logging.Handler, seen: Lines) -> None:
    handler.addFilter(seen.keep)


def _set_formatter(handler: logging.Handler, seen: Lines) -> None:
    class Recording(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            seen.records.append(record)
            return ""

    handler.setFormatter(Recording())


def _set_record_factory(handler: logging.Handler, seen: Lines) -> None:
    def make(*arguments: Any, **named: Any) -> logging.LogRecord:
        record = logging.LogRecord(*arguments, **named)
        seen.records.append(record)
        return record

    logging.setLogRecordFactory(make)


@pytest.mark.parametrize(
    "change",
    [
        _add_handler,
        _add_root_handler,
        _add_filter,
        _add_handler_filter,
        _set_formatter,
        _set_record_factory,
    ],
)
def test_whatever_is_added_to_the_logging_gets_records(
    change: Callable[[logging.Handler, Lines], None],
) -> None:
    logger, seen = logging.getLogger("adapter"), Lines()
    handlers, filters, factory = (
        logger.handlers[:],
        logger.filters[:],
        logging.getLogRecordFactory(),
    )
    with sole_handler("text") as (handler, _):
        try:
            adapter.logs.log_event("seen", a="before")
            change(handler, seen)
            adapter.logs.log_event("seen", a="after")
        finally:
            logger.handlers, logger.filters = handlers, filters
            logging.setLogRecordFactory(factory)
    assert seen.of("seen") in ([{"a": "after"}], [])
    assert [record.getMessage() for record in seen.records] == ["seen a=after"]


def test_levels_of_the_handler_and_the_logger_hold_for_lines_without_a_record() -> None:
    with sole_handler("text") as (handler, output):
        adapter.logs.log_event("seen", level=logging.DEBUG, a="x")
        handler.setLevel(logging.ERROR)
        adapter.logs.log_event("seen", a="x")
        handler.setLevel(logging.NOTSET)
        logging.getLogger("adapter").propagate = False
        try:
            adapter.logs.log_event("seen", a="x")
        finally:
            logging.getLogger("adapter").propagate = True
        assert output.getvalue() == ""


def test_a_stream_that_breaks_fails_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[logging.LogRecord] = []
    with sole_handler("text") as (handler, output):
        output.close()
        monkeypatch.setattr(handler, "handleError", failed.append)
        adapter.logs.log_event("seen", a="x")
    assert [record.levelno for record in failed] == [logging.INFO]


# --- embedded


@contextmanager
def logging_as_it_was() -> Iterator[None]:
    """Fail where the block has changed anything about the logging of its process."""

    def now() -> object:
        loggers = [logging.getLogger(name) for name in (None, "adapter", "werkzeug", "urllib3")]
        return [
            (each.name, each.level, list(each.handlers), each.propagate, list(each.filters))
            for each in loggers
        ]

    before, disabled = now(), logging.root.manager.disable
    yield
    assert now() == before
    assert logging.root.manager.disable == disabled


def test_the_extension_configures_no_logging_of_the_host_app(upstream: Upstream) -> None:
    upstream.will_answer(200, {"success": True, "data": {"blocked": True}})
    config = {
        "accounts": {"a": account_for("wuts", upstream.address)},
        "log": {"level": "debug", "format": "json"},
    }
    with logging_as_it_was():
        host = Flask("host")
        contacts = ContactAdapter(host, config)
        with host.app_context():
            assert contacts.block(NUMBER).ok
        host.test_client().post("/contact-adapter/v1/contacts/block", json={"jid": JID})
        host.extensions["contact_adapter"].service.close()
    assert logging.getLogger("adapter").handlers == []


def test_the_app_in_a_third_party_server_configures_no_logging(make_app: MakeApp) -> None:
    with logging_as_it_was():
        config = {"accounts": {"a": {"provider": "memory"}}, "log": {"format": "json"}}
        assert make_app(config).test_client().get("/livez").status_code == 200


def test_a_host_app_with_plain_logging_gets_plain_lines(caplog: pytest.LogCaptureFixture) -> None:
    host = Flask("host")
    contacts = ContactAdapter(host, {"accounts": {"a": {"provider": "memory"}}})
    with caplog.at_level(logging.INFO), host.app_context():
        contacts.block(NUMBER)
    assert re.search(
        rf"call account=a provider=memory action=block contact={re.escape(MASKED)} "
        r"code=ok upstream=200 attempts=1 ms=\d+ request_id=[0-9a-f]{32}\n",
        caplog.text,
    )


# --- our server


@contextmanager
def logging_server(folder: Path, log: str) -> Iterator[Served]:
    """Serve a memory behind the gateway's dialect, and a gateway in front of that."""
    config = folder / "adapter.toml"
    (folder / "token").write_text("any")
    config.write_text(f"""
default_account = "memory"
accounts.memory = {{ provider = "memory", aliases = ["{SESSION}"] }}
dialects.enabled = ["session-gateway"]
log = {{ {log} }}

[accounts.gateway]
provider = "session-gateway"
base_url = {{ self = "/dialects/session-gateway" }}
token = {{ file = "token" }}
session = "{SESSION}"
""")
    with serve("--config", str(config), env=ENVIRONMENT) as served:
        yield served


def block(served: Served, request_id: str, account: str = "memory") -> None:
    body = {"number": NUMBER, "account": account}
    headers = {"X-Request-Id": request_id}
    assert call(served.address, "POST", BLOCK, json_body=body, headers=headers).status == 200


def send_no_http(served: Served) -> None:
    """Send a request that the server below the app rejects."""
    parts = urlsplit(served.address)
    with socket.create_connection((str(parts.hostname), parts.port), 20) as connection:
        connection.sendall(f"POST /contacts/{JID}/block?q={NUMBER} HTTP/9.9\r\n\r\n".encode())
        while connection.recv(65536):
            pass


@pytest.mark.slow
def test_in_json_every_line_is_an_object_with_time_level_logger_and_facts(
    tmp_path: Path,
) -> None:
    with logging_server(tmp_path, 'format = "json"') as served:
        block(served, "r-7", "gateway")
        send_no_http(served)
        wait_until(lambda: "bad_request" in served.log, "the log line of the server")
        assert served.stop() == 0
    documents = [json.loads(line) for line in served.lines]
    for document in documents:
        assert {"time", "level", "logger"} < set(document)
        assert ("event" in document) is not ("message" in document)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", document["time"])
        assert document["level"] in adapter.logs.LEVELS
    ours = [each for each in documents if each.get("request_id") == "r-7"]
    # The call comes in, goes out to the dialect of the same server, and goes on to the memory.
    assert sorted((each["event"], each["account"]) for each in ours) == [
        ("request", "gateway"),
        ("request", "memory"),
    ]
    for each in ours:
        assert (each["level"], each["logger"], each["contact"]) == ("info", "adapter", MASKED)
        assert isinstance(each["ms"], int)
    assert NUMBER not in served.log


@pytest.mark.slow
def test_an_api_key_in_a_header_without_a_colon_is_not_logged(tmp_path: Path) -> None:
    with logging_server(tmp_path, 'format = "text"') as served:
        parts = urlsplit(served.address)
        with socket.create_connection((str(parts.hostname), parts.port), 20) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nAuthorization Bearer my-own-key\r\n\r\n")
            while connection.recv(65536):
                pass
        wait_until(lambda: "bad_request" in served.log, "the log line of the server")
        assert served.stop() == 0
    assert "my-own-key" not in served.log


@pytest.mark.slow
def test_in_text_every_line_has_time_level_and_logger(tmp_path: Path) -> None:
    with logging_server(tmp_path, 'format = "text"') as served:
        block(served, "r-8")
        send_no_http(served)
        wait_until(lambda: "bad_request" in served.log, "the log line of the server")
        assert served.stop() == 0
    first, *lines = served.lines
    assert first.startswith("serving ")
    for line in lines:
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [a-z.]+ ", line), line
    assert sum(line.endswith("request_id=r-8\n") for line in lines) == 1
    assert NUMBER not in served.log


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "least", "most"),
    [
        ("debug", {"DEBUG", "INFO", "WARNING"}, {"DEBUG", "INFO", "WARNING"}),
        ("warning", {"WARNING"}, {"WARNING"}),
        ("error", set(), set()),
    ],
)
def test_lines_below_the_level_are_not_logged(
    tmp_path: Path, level: str, least: set[str], most: set[str]
) -> None:
    with logging_server(tmp_path, f'level = "{level}"') as served:
        block(served, "r-9", "gateway")
        send_no_http(served)
        if "WARNING" in least:
            wait_until(lambda: "bad_request" in served.log, "the log line of the server")
        assert served.stop() == 0
    logged = set(re.findall(r"\b(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b", served.log))
    assert least <= logged <= most
    assert ("request_id=r-9" in served.log) is ("INFO" in most)
    assert "urllib3" not in served.log  # its lines hold paths
    assert NUMBER not in served.log


@pytest.mark.slow
def test_a_caller_that_disconnects_leaves_no_number_in_the_log(tmp_path: Path) -> None:
    with logging_server(tmp_path, 'format = "text"') as served:
        parts = urlsplit(served.address)
        native = f"/dialects/session-gateway/api/v1/sessions/{SESSION}/contacts/{JID}/block"
        for target in (native, f"{BLOCK}?number={NUMBER}"):
            connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
            connection.putrequest("POST", target)
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", "100")
            connection.endheaders(b'{"number":')
            connection.close()
        block(served, "r-10")
        assert served.stop() == 0
    assert NUMBER not in served.log
