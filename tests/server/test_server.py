"""The production server, as a process of its own."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support import (
    FAILING_PLUGIN,
    JID,
    NUMBER,
    TIMEOUT,
    Answer,
    call,
    free_port,
    install_plugin,
    run_upstream,
    wait_until,
)
from support.serving import COMMAND, ENVIRONMENT, Served, accepts, answers, block, run_to_end, serve

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return the sandbox, served from a folder that has nothing in it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    with serve(cwd=folder) as served:
        yield served
    assert list(folder.iterdir()) == []


def write_wuts(path: Path, address: str, keys: bool = False) -> Path:
    path.write_text(
        '[accounts.support]\nprovider = "wuts"\ntoken = { env = "WUTS_TOKEN" }\n'
        f'base_url = "{address}"\n'
        + (
            '[keys.crm]\nsecret = { env = "CRM_KEY" }\nscopes = ["block"]\naccounts = ["*"]\n'
            if keys
            else ""
        )
    )
    return path


@pytest.mark.parametrize("account", ["memory", "wuts", "wappfy", "session-gateway"])
def test_the_sandbox_is_served_from_any_folder_with_its_whole_path(
    sandbox: Served, account: str
) -> None:
    answer = block(sandbox.address, account)
    assert answer.status == 200
    assert answer.json["data"]["account"] == account


def test_the_address_that_is_shown_is_loopback_and_has_the_documentation(sandbox: Served) -> None:
    assert urlsplit(sandbox.address).hostname == "127.0.0.1"
    assert f"docs at {sandbox.address}/docs" in sandbox.log
    assert call(sandbox.address, "GET", "/docs").status == 200
    assert call(sandbox.address, "GET", "/openapi.json").json["openapi"].startswith("3.1")


@pytest.mark.parametrize(
    ("method", "path", "route", "end"),
    [
        ("POST", f"/v1/contacts/block?number={NUMBER}", "/v1/contacts/block", "code=ok"),
        (
            "POST",
            "/v1/contacts/unblock?number=15005550012",
            "/v1/contacts/unblock",
            "code=session_not_connected",
        ),
        ("POST", f"/v1/contacts/block?jid={NUMBER}", "/v1/contacts/block", "code=invalid_target"),
        ("GET", "/v1/contacts/blocked", "/v1/contacts/blocked", "code=ok"),
        ("GET", f"/nowhere/{NUMBER}", "-", "code=not_found"),
        ("GET", "/v1/contacts/block", "-", "code=method_not_allowed"),
        ("GET", "/livez", "/livez", "code=ok"),
        (
            "POST",
            f"/dialects/session-gateway/api/v1/sessions/my-session/contacts/{JID}/block",
            "/dialects/session-gateway/<",
            "code=ok",
        ),
        ("GET", f"/dialects/wuts/{NUMBER}", "/dialects/wuts/<", "code=not_found"),
    ],
)
def test_a_request_is_one_line_of_the_log_with_its_id_and_no_number(
    sandbox: Served, method: str, path: str, route: str, end: str
) -> None:
    request_id = f"line-{len(sandbox.lines)}-x"
    call(sandbox.address, method, path, headers={"X-Request-Id": request_id})
    wait_until(lambda: request_id in sandbox.log, "the line of the request")
    call(sandbox.address, "GET", "/livez", headers={"X-Request-Id": f"{request_id}-after"})
    wait_until(lambda: f"{request_id}-after" in sandbox.log, "the line of the next request")
    (line,) = [
        each
        for each in sandbox.lines
        if each.endswith(f"request_id={request_id}\n") and " adapter request " in each
    ]
    assert f"method={method} route={route}" in line
    assert f" {end} " in line
    assert NUMBER not in sandbox.log
    assert "15005550012" not in sandbox.log


def test_the_line_of_a_change_shows_account_provider_and_the_masked_contact(
    sandbox: Served,
) -> None:
    block(sandbox.address, "wappfy", headers={"X-Request-Id": "masked"})
    wait_until(lambda: "request_id=masked\n" in sandbox.log, "the line of the request")
    lines = [each for each in sandbox.lines if "request_id=masked\n" in each]
    ours = next(each for each in lines if "route=/v1/contacts/block" in each)
    assert "account=wappfy provider=wappfy action=block contact=551*******999 code=ok" in ours
    assert "upstream=201 attempts=1" in ours
    assert " status=200 " in ours


@pytest.mark.parametrize("given", [NUMBER, f"+{NUMBER}", f"id:{NUMBER}", JID])
def test_a_number_that_a_caller_uses_as_request_id_is_masked_in_the_log(
    sandbox: Served, given: str
) -> None:
    call(sandbox.address, "GET", "/v1/accounts", headers={"X-Request-Id": given})
    call(
        sandbox.address, "GET", "/livez", headers={"X-Request-Id": f"after-{len(given)}-{given[0]}"}
    )
    wait_until(lambda: f"=after-{len(given)}-{given[0]}\n" in sandbox.log, "the next line")
    found = NUMBER in sandbox.log
    sandbox.lines[:] = [line for line in sandbox.lines if NUMBER not in line]
    assert not found


def test_a_body_of_three_megabytes_is_refused_and_the_server_goes_on(sandbox: Served) -> None:
    body = b'{"number": "' + b"5" * 3_000_000 + b'"}'
    headers = {"Content-Type": "application/json"}
    answer = call(sandbox.address, "POST", "/v1/contacts/block", body=body, headers=headers)
    assert answer.status == 413
    assert answer.code == "payload_too_large"
    assert block(sandbox.address).status == 200


def test_a_chunked_body_is_read_like_any_other_and_bounded_too(sandbox: Served) -> None:
    parts = urlsplit(sandbox.address)
    for chunks, status in (
        ([b'{"number": ', b'"+5511999999999"}'], 200),
        ([b'{"number": "', b"5" * 40_000, b"5" * 40_000, b'"}'], 413),
    ):
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=TIMEOUT)
        headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
        connection.request("POST", "/v1/contacts/block", iter(chunks), headers, encode_chunked=True)
        response = connection.getresponse()
        response.read()
        connection.close()
        assert response.status == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/dialects/session-gateway/api/v1/sessions/my-session/contacts/{jid}/block", 204),
        ("/nowhere", 404),
        ("/livez", 405),
    ],
)
def test_a_body_that_nobody_reads_does_not_spoil_the_next_call_on_its_connection(
    sandbox: Served, path: str, status: int
) -> None:
    parts = urlsplit(sandbox.address)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=TIMEOUT)
    body = b"GET /stolen HTTP/1.1\r\nHost: x\r\n\r\n"
    try:
        connection.request("POST", path.format(jid=JID), body)
        first = connection.getresponse()
        first.read()
        connection.request("GET", "/v1/accounts")
        second = connection.getresponse()
        document = second.read()
    finally:
        connection.close()
    assert (first.status, second.status) == (status, 200)
    assert b'"accounts"' in document


def test_a_bug_shows_neither_caller_nor_log_the_number(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    install_plugin(site, "failing", FAILING_PLUGIN)
    config = tmp_path / "adapter.toml"
    config.write_text('[accounts.memory]\nprovider = "failing"\n')
    env = {**ENVIRONMENT, "PYTHONPATH": str(site)}
    with serve("--config", str(config), env=env) as served:
        answer = block(served.address)
        served.stop()
    assert answer.status == 500
    assert answer.code == "internal_error"
    assert "ZeroDivisionError: cannot divide 551*******999@s.whatsapp.net" in served.log
    assert NUMBER not in served.log + answer.body.decode()


def test_sigterm_lets_the_call_in_flight_finish_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with run_upstream(held=True) as upstream:
        upstream.will_answer(200, {"success": True, "data": {"blocked": True}})
        config = write_wuts(tmp_path / "adapter.toml", upstream.address)
        with serve("--config", str(config)) as served:
            found: list[Answer] = []
            caller = threading.Thread(target=lambda: found.append(block(served.address, "support")))
            caller.start()
            assert upstream.arrived.wait(TIMEOUT)
            served.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "Handling signal: term" in served.log, "the signal's arrival")
            assert served.process.poll() is None
            upstream.release.set()
            caller.join(TIMEOUT)
            assert served.process.wait(TIMEOUT) == 0
            wait_until(lambda: not served.survivors(), "the end of all its processes")
    assert found[0].status == 200
    assert found[0].json["data"]["blocked"] is True
    assert not accepts(served.address)
    assert "their-token" not in served.log
    assert "Traceback" not in served.log


def test_a_provider_that_hangs_leaves_the_server_its_threads(tmp_path: Path) -> None:
    with run_upstream(held=True) as upstream:
        config = write_wuts(tmp_path / "adapter.toml", upstream.address)
        config.write_text(config.read_text() + '[accounts.other]\nprovider = "memory"\n')
        with serve("--config", str(config)) as served:
            found: list[Answer] = []
            callers = [
                threading.Thread(target=lambda: found.append(block(served.address, "support")))
                for _ in range(270)
            ]
            for caller in callers:
                caller.start()
            wait_until(lambda: len(found) == 270 - 256, "the refusal of all that are too many")
            assert {answer.code for answer in found} == {"overloaded"}
            assert block(served.address, "other").status == 200
            assert len(found) == 270 - 256
            upstream.release.set()
            for caller in callers:
                caller.join(TIMEOUT)


def test_a_client_that_never_stops_asking_leaves_the_others_their_turn(sandbox: Served) -> None:
    parts = urlsplit(sandbox.address)
    asked = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 500
    with socket.create_connection((str(parts.hostname), parts.port), TIMEOUT) as greedy:

        def ask() -> None:
            with suppress(OSError):
                while True:
                    greedy.sendall(asked)

        def listen() -> None:
            with suppress(OSError):
                while greedy.recv(1 << 20):
                    pass

        threads = [threading.Thread(target=each) for each in (ask, listen)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: sandbox.log.count("route=/livez") > 1000, "the flood")
            assert block(sandbox.address).status == 200
        finally:
            greedy.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(TIMEOUT)


def test_an_idle_server_stops_at_once_with_success() -> None:
    with serve() as served:
        assert served.stop() == 0
        assert not served.survivors()


def test_with_keys_it_serves_their_holders_only(tmp_path: Path) -> None:
    with run_upstream() as upstream:
        upstream.will_answer(200, {"success": True, "data": {"blocked": True}})
        config = write_wuts(tmp_path / "adapter.toml", upstream.address, keys=True)
        with serve("--config", str(config), "--workers", "1") as served:
            without = block(served.address, "support")
            wrong = block(served.address, "support", headers={"X-API-Key": "wrong"})
            right = block(served.address, "support", headers={"Authorization": "Bearer our-key"})
            served.stop()
    assert (without.status, wrong.status, right.status) == (401, 401, 200)
    assert upstream.connections == 1
    assert "our-key" not in served.log


def test_a_page_in_a_browser_cannot_use_the_sandbox(sandbox: Served) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Host": "rebound.example"}):
        assert block(sandbox.address, headers=headers).status == 403


# What it refuses to do


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_without_keys_it_listens_for_nobody_else(host: str) -> None:
    status, said = run_to_end("--host", host, "--port", "0")
    assert status == 1
    assert "no API key is configured" in said
    assert "--allow-unauthenticated" in said
    assert "Traceback" not in said


def test_another_loopback_address_is_loopback_too() -> None:
    with serve("--host", "127.0.0.2") as served:
        assert urlsplit(served.address).hostname == "127.0.0.2"
        assert block(served.address).status == 200


def test_it_serves_everyone_where_it_is_told_to() -> None:
    with serve("--host", "127.0.0.2", "--allow-unauthenticated") as served:
        answer = block(served.address, headers={"Host": "adapter.internal"})
        assert answer.status == 200


def test_a_port_that_is_taken_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = run_to_end("--port", str(port))
    assert status == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("prefix", ["/wa", "/wa/"])
def test_script_name_in_the_environment_serves_below_that_path_and_nowhere_else(
    prefix: str,
) -> None:
    with serve(env={**ENVIRONMENT, "SCRIPT_NAME": prefix}) as served:
        root = served.address.removesuffix("/wa")
        assert served.address == f"{root}/wa"
        for account in ("memory", "wuts"):  # which calls this server, below the path
            assert block(served.address, account).status == 200
        outside = call(root, "GET", "/livez")
    assert (outside.status, outside.code) == (404, "not_found")
    assert outside.headers["X-Request-Id"]


@pytest.mark.parametrize(
    "name", ["wa", "/wä", "/a b", "/wa?x", "/wa#x", "//evil.example", "/a//b", "/..", "/wa/./b"]
)
def test_a_script_name_that_is_no_path_is_explained(name: str) -> None:
    status, said = run_to_end("--port", "0", env={**ENVIRONMENT, "SCRIPT_NAME": name})
    assert status == 1
    assert "SCRIPT_NAME must be a path" in said


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "Script-Name", "PATH_INFO", "X-Forwarded-Proto"])
def test_no_header_says_where_the_app_is_mounted(sandbox: Served, name: str) -> None:
    answer = call(sandbox.address, "GET", "/v1/accounts", headers={name: "/v1"})
    assert answer.status in (
        200,
        401,
    )  # 401: whatever a proxy adds makes a keyless caller a stranger
    assert call(sandbox.address, "GET", "/v1/livez", headers={name: "/v1"}).status == 404


def test_several_workers_warn_of_block_lists_in_memory_once_and_name_the_accounts() -> None:
    with serve("--workers", "2") as served:
        wait_until(lambda: served.log.count("Booting worker") == 2, "both workers")
        assert served.stop() == 0
    (line,) = [each for each in served.lines if "block list in each" in each]
    assert " WARNING adapter with 2 workers, these accounts" in line
    assert ": memory; use one worker" in line


def test_a_worker_that_is_added_while_it_runs_warns_too() -> None:
    with serve() as served:
        assert "block list in each" not in served.log
        served.process.send_signal(signal.SIGTTIN)
        wait_until(lambda: "with 2 workers, these accounts" in served.log, "the warning")
        wait_until(lambda: served.log.count("Booting worker") == 2, "both workers")
        assert served.stop() == 0


def test_several_workers_are_silent_where_no_list_is_in_memory(tmp_path: Path) -> None:
    config = write_wuts(tmp_path / "adapter.toml", "http://127.0.0.1:1")
    with serve("--config", str(config), "--workers", "2") as served:
        wait_until(lambda: served.log.count("Booting worker") == 2, "both workers")
        assert served.stop() == 0
    assert "block list in each" not in served.log


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to play")
@pytest.mark.parametrize("redirect", ["2>/dev/full", "2>&-"])
def test_a_log_that_cannot_be_written_stops_no_server(tmp_path: Path, redirect: str) -> None:
    port = free_port()
    line = f'exec "$0" serve --port {port} {redirect}'
    with subprocess.Popen(["/bin/sh", "-c", line, COMMAND], env=ENVIRONMENT) as process:
        address = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: answers(address) or process.poll() is not None, "an answer")
            assert block(address).status == 200
        finally:
            process.terminate()
            process.wait(TIMEOUT)


def test_a_host_that_is_none_is_explained() -> None:
    status, said = run_to_end("--host", "256.0.0.1", "--port", "0")
    assert status == 1
    assert "cannot listen on 256.0.0.1" in said
    assert "Traceback" not in said
