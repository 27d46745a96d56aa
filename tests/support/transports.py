"""Helpers of the transport tests: a Transport, its request, and calls that must end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from adapter.plugin import Headers, HttpRequest, HttpResponse, Outcome
from adapter.settings.model import TransportSettings
from adapter.transport.client import Transport
from support import TIMEOUT

ReturnedT = TypeVar("ReturnedT")

CANARY = "canary-token-4711"
POST = HttpRequest("POST", "/block", Headers({"Authorization": f"Bearer {CANARY}"}), json={"a": 1})


@contextmanager
def open_transport(address: str, **settings: Any) -> Iterator[Transport]:
    """Open a transport with a deadline that a busy machine does not reach."""
    opened = Transport(address, TransportSettings(**{"deadline": 5.0, **settings}))
    try:
        yield opened
    finally:
        opened.close()


def send(address: str, request: HttpRequest = POST, **settings: Any) -> HttpResponse | Outcome:
    """Send one request."""
    with open_transport(address, **settings) as transport:
        return transport.send(request, "r-1")


def send_ok(address: str, request: HttpRequest = POST, **settings: Any) -> HttpResponse:
    """Send one request, and return its response."""
    response = send(address, request, **settings)
    assert isinstance(response, HttpResponse), response
    return response


def send_failing(address: str, request: HttpRequest = POST, **settings: Any) -> Outcome:
    """Send one request, and return its failure, which contains no secret."""
    outcome = send(address, request, **settings)
    assert isinstance(outcome, Outcome), outcome
    assert CANARY not in repr(outcome)
    return outcome


def finish(call: Callable[[], ReturnedT]) -> ReturnedT:
    """Return what the call returns; fail where it does not end within `TIMEOUT` seconds."""
    found: list[ReturnedT] = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    assert not thread.is_alive(), "the call does not end"
    [returned] = found
    return returned
