"""The asynchronous alternative with the work of the adapter: strict JSON, a possible number, the
API key, the account, a masked log line, metrics, a deadline, a breaker, the same envelope."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import phonenumbers
import prometheus_client as prometheus
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

CODES, IMPOSSIBLE = json.loads(os.environ["CODES"]), os.environ["IMPOSSIBLE"]  # the adapter's
UPSTREAM, CA_FILE = os.environ["UPSTREAM"], os.environ.get("CA_FILE")
ACCOUNTS = {"account-0": {"Authorization": "Bearer " + os.environ["TOKEN"]}}
KEYS = {hashlib.sha256(os.environ["API_KEY"].encode()).digest(): {"account-0"}}
THRESHOLD, PAUSE, DEADLINE, MAX_BODY = 5, 30.0, 15.0, 64 * 1024
LABELS, SEPARATORS = ["account", "provider", "action"], str.maketrans("", "", "+ ().-")
REQUEST_ID, LONG_NUMBER = re.compile(r"[\x21-\x7e]{1,128}"), re.compile(r"\b\d{8,20}\b")
counter = prometheus.Counter("calls", "Calls by their code, or ok.", [*LABELS, "code"])
duration = prometheus.Histogram("call_duration_seconds", "Whole calls.", LABELS)
gauge = prometheus.Gauge("in_flight", "Calls in flight.", LABELS, multiprocess_mode="livesum")
failures, opened_until = dict.fromkeys(ACCOUNTS, 0), dict.fromkeys(ACCOUNTS, 0.0)
logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")


class CallError(Exception):
    def __init__(self, code: str, upstream: int | None = None, **fields: list[str]) -> None:
        self.code, self.upstream, self.fields = code, upstream, fields


def mask(digits: str) -> str:
    keep = min(4, len(digits) // 4)
    return digits[:keep] + "*" * (len(digits) - 2 * keep) + digits[len(digits) - keep :]


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError
    return found


async def parse(request: Request) -> tuple[str, str]:
    key = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
    if (accounts := KEYS.get(hashlib.sha256(key).digest())) is None:
        raise CallError("unauthenticated")
    if len(body := await request.body()) > MAX_BODY:
        raise CallError("payload_too_large")
    if request.headers.get("Content-Type", "").partition(";")[0] != "application/json":
        raise CallError("unsupported_media_type")
    try:
        document = json.loads(body.decode(), object_pairs_hook=unique, parse_constant=int)
    except (ValueError, RecursionError):
        raise CallError("invalid_json") from None
    match {"account": "account-0", **document} if isinstance(document, dict) else None:
        case {"account": str(account), "number": str(number), **rest} if not rest:
            digits = number.translate(SEPARATORS)
        case _:
            raise CallError("validation_error")
    if account not in ACCOUNTS or account not in accounts:
        raise CallError("account_not_found")
    try:
        parsed = phonenumbers.parse(f"+{digits}") if digits.isdecimal() else None
        possible = parsed is not None and phonenumbers.is_possible_number(parsed)
    except phonenumbers.NumberParseException:
        possible = False
    if not possible:
        raise CallError("invalid_target", number=[IMPOSSIBLE])
    return account, digits


async def call(app: Starlette, account: str, action: str, jid: str, request_id: str) -> None:
    if failures[account] >= THRESHOLD and time.monotonic() < opened_until[account]:
        raise CallError("circuit_open")
    opened_until[account] = time.monotonic() + PAUSE  # where it is open, this call is the probe
    headers, healthy = {**ACCOUNTS[account], "X-Request-Id": request_id}, False
    sending = app.state.session.post(f"/contacts/{action}", json={"jid": jid}, headers=headers)
    try:
        async with sending as response:
            status, document = response.status, await response.json()
        healthy = status < 500
    except (TimeoutError, aiohttp.ClientError, ValueError) as error:
        late = isinstance(error, TimeoutError)
        raise CallError("provider_timeout" if late else "provider_connection_lost") from None
    finally:
        failures[account] = 0 if healthy else failures[account] + 1
    if status != 200 or document["data"]["blocked"] is not (action == "block"):
        raise CallError("provider_error", status)


async def change(request: Request) -> JSONResponse:
    started, action = time.monotonic(), request.url.path.rpartition("/")[2]
    given = request.headers.get("X-Request-Id", "")
    request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
    headers = {"X-Request-Id": request_id, "Cache-Control": "no-store"}
    facts: dict[str, Any] = {"method": request.method, "route": request.url.path}
    code, status, upstream, attempts, data, error = "ok", 200, None, 0, None, None
    try:
        account, digits = await parse(request)
        facts |= {"account": account, "provider": "wuts", "action": action}
        facts["contact"], labels, attempts = mask(digits), (account, "wuts", action), 1
        contact = {"jid": f"{digits}@s.whatsapp.net", "number": digits, "lid": None}
        with gauge.labels(*labels).track_inprogress(), duration.labels(*labels).time():
            await call(request.app, account, action, str(contact["jid"]), request_id)
        data = {"action": action, "account": account, "blocked": action == "block"}
        data |= {"confirmation": "provider_state", "contact": {**contact, "user_id": None}}
        upstream, data = 200, {**data, "verified": None, "verified_reason": "no_read"}
    except CallError as failed:
        code, upstream, (status, error) = failed.code, failed.upstream, CODES[failed.code]
        error, attempts = error | {"fields": failed.fields}, attempts * (code != "circuit_open")
        if status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="contact-adapter"'
    if "account" in facts:
        counter.labels(*labels, code).inc()
    ms = round((time.monotonic() - started) * 1000)
    facts |= {"code": code, "upstream": upstream, "attempts": attempts, "ms": ms, "status": status}
    facts |= {"request_id": request_id} | ({"key": "bench"} if code != "unauthenticated" else {})
    line = " ".join(f"{name}={fact}" for name, fact in facts.items() if fact is not None)
    logging.info("request %s", LONG_NUMBER.sub(lambda run: mask(run.group()), line))
    meta = {"request_id": request_id, "attempts": attempts, "reads": 0, "duration_ms": ms}
    meta |= {"provider": facts.get("provider"), "upstream": {"status": upstream, "code": None}}
    meta["recorded"] = None
    envelope = {"success": error is None, "data": data, "error": error, "meta": meta}
    return JSONResponse(envelope, status, headers)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    tls = ssl.create_default_context(cafile=CA_FILE) if CA_FILE else True
    connector, timeout = aiohttp.TCPConnector(limit=2048, ssl=tls), aiohttp.ClientTimeout(DEADLINE)
    async with aiohttp.ClientSession(UPSTREAM, connector=connector, timeout=timeout) as session:
        app.state.session = session
        yield


paths = [f"/v1/contacts/{action}" for action in ("block", "unblock")]
app = Starlette(routes=[Route(path, change, methods=["POST"]) for path in paths], lifespan=lifespan)
