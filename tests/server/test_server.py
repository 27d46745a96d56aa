"""The production server, as a separate process."""

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
    """Return the sandbox, served from an empty folder."""
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
def test_sandbox_is_served_from_any_folder(sandbox: Served, account: str) -> None:
    answer = block(sandbox.address, account)
    assert answer.status == 200
    assert answer.json["data"]["account"] == account


def test_printed_address_is_loopback_and_serves_the_docs(sandbox: Served) -> None:
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
        (
            "POST",
            f"/dialects/wuts/contacts/block?number={NUMBER}",
            "/dialects/wuts/contacts/block",
            "code=ok",
        ),
    ],
)
def test_request_is_one_log_line_with_its_id_and_no_number(
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


def test_log_line_of_a_change_has_account_provider_and_masked_contact(
    sandbox: Served,
) -> None:
    block(sandbox.address, "wappfy", headers={"X-Request-Id": "masked"})
    # The sandbox's upstream logs the same id, and may do so first.
    ours = sandbox.line_with("request_id=masked\n", "route=/v1/contacts/block")
    assert "account=wappfy provider=wappfy action=block contact=551*******999 code=ok" in ours
    assert "upstream=201 attempts=1" in ours
    assert " status=200 " in ours


@pytest.mark.parametrize("given", [NUMBER, f"+{NUMBER}", f"id:{NUMBER}", JID])
def test_phone_number_as_request_id_is_masked_in_the_log(sandbox: Served, given: str) -> None:
    call(sandbox.address, "GET", "/v1/accounts", headers={"X-Request-Id": given})
    call(
        sandbox.address, "GET", "/livez", headers={"X-Request-Id": f"after-{len(given)}-{given[0]}"}
    )
    wait_until(lambda: f"=after-{len(given)}-{given[0]}\n" in sandbox.log, "the next line")
    found = NUMBER in sandbox.log
    sandbox.lines[:] = [line for line in sandbox.lines if NUMBER not in line]
    assert not found


def test_large_body_is_rejected_and_the_server_keeps_serving(sandbox: Served) -> None:
    body = b'{"number": "' + b"5" * 3_000_000 + b'"}'
    headers = {"Content-Type": "application/json"}
    answer = call(sandbox.address, "POST", "/v1/contacts/block", body=body, headers=headers)
    assert answer.status == 413
    assert answer.code == "payload_too_large"
    assert block(sandbox.address).status == 200


def test_chunked_body_is_read_up_to_the_limit(sandbox: Served) -> None:
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
def test_unread_body_is_not_parsed_as_the_next_request(
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


def test_exception_in_a_provider_shows_no_number_in_response_and_log(tmp_path: Path) -> None:
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


def test_sigterm_waits_for_the_call_in_flight_and_ends_all_processes(tmp_path: Path) -> None:
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


def test_hanging_provider_does_not_block_other_accounts(tmp_path: Path) -> None:
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
            wait_until(lambda: len(found) == 270 - 256, "the rejected calls")
            assert {answer.code for answer in found} == {"overloaded"}
            assert block(served.address, "other").status == 200
            assert len(found) == 270 - 256
            upstream.release.set()
            for caller in callers:
                caller.join(TIMEOUT)


def test_pipelining_client_does_not_block_other_clients(sandbox: Served) -> None:
    parts = urlsplit(sandbox.address)
    requests = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 500
    with socket.create_connection((str(parts.hostname), parts.port), TIMEOUT) as client:

        def send() -> None:
            with suppress(OSError):
                while True:
                    client.sendall(requests)

        def receive() -> None:
            with suppress(OSError):
                while client.recv(1 << 20):
                    pass

        threads = [threading.Thread(target=each) for each in (send, receive)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: sandbox.log.count("route=/livez") > 1000, "the flood")
            assert block(sandbox.address).status == 200
        finally:
            client.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(TIMEOUT)


def test_idle_server_stops_at_once_with_exit_status_0() -> None:
    with serve() as served:
        assert served.stop() == 0
        assert not served.survivors()


def test_server_with_keys_needs_a_key(tmp_path: Path) -> None:
    with run_upstream() as upstream:
        upstream.will_answer(200, {"success": True, "data": {"blocked": True}})
        config = write_wuts(tmp_path / "adapter.toml", upstream.address, keys=True)
        with serve("--config", str(config), "--workers", "1") as served:
            without = block(served.address, "support")
            wrong = block(served.address, "support", headers={"X-API-Key": "wrong"})
            right = block(served.address, "support", headers={"Authorization": "Bearer our-key"})
            served.stop()
    assert (without.status, wrong.status, right.status) == (401, 401, 200)
    (warning,) = [line for line in served.lines if " WARNING " in line]
    assert " WARNING adapter keys.crm: the key has fewer than 16 characters" in warning
    assert upstream.connections == 1
    assert "our-key" not in served.log


def test_web_pages_cannot_call_the_sandbox(sandbox: Served) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Host": "rebound.example"}):
        assert block(sandbox.address, headers=headers).status == 403


# Start and listening address


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_server_without_keys_does_not_listen_on_all_interfaces(host: str) -> None:
    status, said = run_to_end("--host", host, "--port", "0")
    assert status == 1
    assert "no API key is configured" in said
    assert "--allow-unauthenticated" in said
    assert "Traceback" not in said


def test_server_without_keys_listens_on_any_loopback_address() -> None:
    with serve("--host", "127.0.0.2") as served:
        assert urlsplit(served.address).hostname == "127.0.0.2"
        assert block(served.address).status == 200


def test_allow_unauthenticated_serves_every_host_name() -> None:
    with serve("--host", "127.0.0.2", "--allow-unauthenticated") as served:
        answer = block(served.address, headers={"Host": "adapter.internal"})
        assert answer.status == 200


def test_port_in_use_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = run_to_end("--port", str(port))
    assert status == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("prefix", ["/wa", "/wa/"])
def test_script_name_of_the_environment_is_the_only_path_that_is_served(
    prefix: str,
) -> None:
    with serve(env={**ENVIRONMENT, "SCRIPT_NAME": prefix}) as served:
        root = served.address.removesuffix("/wa")
        assert served.address == f"{root}/wa"
        for account in ("memory", "wuts"):  # wuts calls this server, below the path
            assert block(served.address, account).status == 200
        outside = call(root, "GET", "/livez")
    assert (outside.status, outside.code) == (404, "not_found")
    assert outside.headers["X-Request-Id"]


@pytest.mark.parametrize(
    "name", ["wa", "/wä", "/a b", "/wa?x", "/wa#x", "//evil.example", "/a//b", "/..", "/wa/./b"]
)
def test_invalid_script_name_is_explained(name: str) -> None:
    status, said = run_to_end("--port", "0", env={**ENVIRONMENT, "SCRIPT_NAME": name})
    assert status == 1
    assert "SCRIPT_NAME must be a path" in said


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "Script-Name", "PATH_INFO", "X-Forwarded-Proto"])
def test_request_headers_do_not_change_the_mount_point(sandbox: Served, name: str) -> None:
    answer = call(sandbox.address, "GET", "/v1/accounts", headers={name: "/v1"})
    assert answer.status in (
        200,
        401,
    )  # 401: without keys, a forwarded request is rejected
    assert call(sandbox.address, "GET", "/v1/livez", headers={name: "/v1"}).status == 404


def test_several_workers_log_one_warning_about_block_lists_in_memory() -> None:
    with serve("--workers", "2") as served:
        wait_until(lambda: served.log.count("Booting worker") == 2, "both workers")
        assert served.stop() == 0
    (line,) = [each for each in served.lines if "separate block list" in each]
    assert " WARNING adapter with 2 workers, these accounts" in line
    assert ": memory; use one worker" in line


def test_worker_added_at_run_time_logs_the_warning_about_block_lists() -> None:
    with serve() as served:
        assert "separate block list" not in served.log
        served.process.send_signal(signal.SIGTTIN)
        wait_until(lambda: "with 2 workers, these accounts" in served.log, "the warning")
        wait_until(lambda: served.log.count("Booting worker") == 2, "both workers")
        assert served.stop() == 0


def test_several_workers_without_block_lists_in_memory_log_no_warning(tmp_path: Path) -> None:
    config = write_wuts(tmp_path / "adapter.toml", "http://127.0.0.1:1")
    with serve("--config", str(config), "--workers", "2") as served:
        wait_until(lambda: served.log.count("Booting worker") == 2, "both workers")
        assert served.stop() == 0
    assert "separate block list" not in served.log


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is missing")
@pytest.mark.parametrize("redirect", ["2>/dev/full", "2>&-"])
def test_failing_log_output_does_not_stop_the_server(tmp_path: Path, redirect: str) -> None:
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


def test_invalid_host_is_explained() -> None:
    status, said = run_to_end("--host", "256.0.0.1", "--port", "0")
    assert status == 1
    assert "cannot listen on 256.0.0.1" in said
    assert "Traceback" not in said
