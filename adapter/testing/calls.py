"""Calls of a provider's methods, and of an account, whose exceptions are findings."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from adapter.account import Account
from adapter.codes import Code
from adapter.errors import RequestError
from adapter.http import HttpRequest, HttpResponse
from adapter.provider import LocalProvider, Provider
from adapter.results import Command, Outcome
from adapter.settings.model import AccountSettings, TransportSettings
from adapter.testing.isolation import Guard
from adapter.testing.naming import as_json
from adapter.testing.pointers import same
from adapter.testing.reporting import describe_exception


@dataclass(frozen=True, slots=True)
class Failed:
    """A wrong return value or an exception, as text. `is_refusal`: it was a RequestError.

    `detail`, the text of an exception, does not count in comparisons.
    """

    text: str
    is_refusal: bool = False
    detail: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.text}{self.detail}"


def try_building(provider: Provider, command: Command) -> HttpRequest | Failed:
    """Return the request of a command, or what was raised."""
    try:
        with Guard():
            built = provider.request_for(command)
    except Exception as error:  # noqa: BLE001 - any exception is the finding
        return _failed("build_request raises", error, provider)
    if isinstance(built, HttpRequest):
        return built
    return Failed(f"build_request returns {type(built).__name__}")  # type: ignore[unreachable, unused-ignore]


def try_paging(
    provider: Provider, command: Command, response: HttpResponse
) -> HttpRequest | Failed | None:
    """Return the request for the next page, or what happened in its place."""
    fresh = HttpResponse(response.status, response.headers, response.body)
    try:
        with Guard():
            built = provider.build_next_page(command, fresh)
    except Exception as error:  # noqa: BLE001 - any exception is the finding
        return _failed("build_next_page raises", error, provider)
    if built is None or isinstance(built, HttpRequest):
        return built
    return Failed(f"build_next_page returns {type(built).__name__}")  # type: ignore[unreachable, unused-ignore]


def try_parsing(provider: Provider, command: Command, response: HttpResponse) -> Outcome | Failed:
    """Return the outcome of a response, or what happened in its place."""
    try:
        with Guard():
            outcome = provider.parse_response(command, response)
    except Exception as error:  # noqa: BLE001 - any exception is the finding
        return _failed("parsing it raises", error, provider)
    if isinstance(outcome, Outcome):
        return outcome
    return Failed(f"it is parsed as {type(outcome).__name__}")  # type: ignore[unreachable, unused-ignore]


def _failed(what: str, error: Exception, provider: Provider) -> Failed:
    place, colon, detail = describe_exception(error, type(provider)).partition(": ")
    return Failed(f"{what} {place}", isinstance(error, RequestError), f"{colon}{detail}")


def is_success(outcome: Outcome | Failed) -> bool:
    """Whether a response was parsed, as a success."""
    return isinstance(outcome, Outcome) and outcome.ok


def same_outcome(one: Outcome | Failed, other: Outcome | Failed) -> bool:
    """Whether two outcomes agree in everything, the upstream status and code included."""
    if isinstance(one, Failed) or isinstance(other, Failed):
        return one == other
    return (
        one == other
        and one.upstream_status == other.upstream_status
        and one.provider_code == other.provider_code
    )


def differences(built: HttpRequest | Failed | None, recorded: HttpRequest | None) -> Iterator[str]:
    """Yield each part in which a request is not the recorded one."""
    if isinstance(built, Failed):
        yield str(built)
        return
    if built is None or recorded is None:
        if built is not recorded:
            yield "a next page is recorded" if recorded else "no next page is recorded"
        return
    for part in ("method", "path", "headers", "query", "json"):
        is_now, should_be = getattr(built, part), getattr(recorded, part)
        if part == "headers":
            equal = is_now == should_be
            is_now, should_be = dict(is_now), dict(should_be)
        else:
            equal = same(as_json(is_now), should_be)
        if not equal:
            yield f"{part} is {is_now!r}, not {should_be!r}"


def call_account(
    provider: type[Provider], options: Mapping[str, Any], command: Command
) -> tuple[Outcome, list[str]]:
    """Run a command on an account; return its outcome, and what reached the server."""
    sent: list[str] = []
    called = provider
    if issubclass(called, LocalProvider):

        def handle_request(_: LocalProvider, request: HttpRequest) -> HttpResponse:
            sent.append(request.method)
            return HttpResponse(500)

        called = type(called.__name__, (called,), {"handle_request": handle_request})
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        account = Account(
            AccountSettings(
                name="contract",
                provider=called,
                base_url=address,
                options=options,
                aliases=(),
                transport=TransportSettings(connect_timeout=0.2, deadline=0.2),
            )
        )
        try:
            outcome, attempts = account.call(command, "contract")
        except Exception as error:  # noqa: BLE001 - any exception is the finding
            what = describe_exception(error, provider)
            return Outcome.failure(Code.INTERNAL_ERROR), [f"raised {what}"]
        finally:
            account.close()
        sent += ["a request"] * attempts
        with contextlib.suppress(BlockingIOError):
            server.accept()[0].close()
            sent.append("a connection")
    return outcome, sent


class Records(logging.Handler):
    """The records of every logger, at every level, while the context is open."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record as it would be written."""
        self.lines.append(f"{logging.Formatter().format(record)} {record.args!r}")

    def __enter__(self) -> None:
        root = logging.getLogger()
        self._level, self._disabled = root.level, root.manager.disable
        root.setLevel(logging.DEBUG)
        logging.disable(logging.NOTSET)
        root.addHandler(self)

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level)
        logging.disable(self._disabled)
