"""Prometheus metrics of the calls. No label holds a contact, a path or a credential."""

from __future__ import annotations

import os
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from adapter.account import Account
from adapter.codes import Action
from adapter.results import Command, Result
from adapter.service import Service, describe_verification
from adapter.settings.locations import MULTIPROCESS_VARIABLE
from adapter.transport.breaker import BREAKER_STATES
from adapter.web.ledger_metrics import LedgerMetrics

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)
_ON_WHATSAPP: Final = {True: "true", False: "false", None: "unknown"}
_OF_SEVERAL_REQUESTS: Final = (Action.LOOKUP, Action.STATE)
"""The actions whose attempts after the first one may be other requests."""


class Metrics:
    """The metrics of one service. The constructor sets itself as the service's observer."""

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry()
        self._calls = Counter(
            "contact_adapter_calls",
            "Calls by outcome: an error code, or ok.",
            ["account", "provider", "action", "code"],
            registry=self._registry,
        )
        self._duration = Histogram(
            "contact_adapter_call_duration_seconds",
            "Duration of calls, retries included.",
            ["account", "provider", "action"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._retries = Counter(
            "contact_adapter_retries",
            "Attempts after the first one of a change, a list or a status.",
            ["account", "provider"],
            registry=self._registry,
        )
        self._reads = Counter(
            "contact_adapter_reads",
            "Attempts to read a change back.",
            ["account", "provider"],
            registry=self._registry,
        )
        self._verifications = Counter(
            "contact_adapter_verifications",
            "Changes that were read back: true, false (the opposite was seen), or why neither.",
            ["account", "provider", "action", "verified"],
            registry=self._registry,
        )
        self._lookups = Counter(
            "contact_adapter_lookups",
            "Numbers that were looked up, by whether they are on WhatsApp: true, false, unknown.",
            ["account", "provider", "on_whatsapp"],
            registry=self._registry,
        )
        self._fallbacks = Counter(
            "contact_adapter_fallback_calls",
            "Calls that went on to the account's fallback, by outcome: an error code, or ok.",
            ["account", "fallback", "action", "code"],
            registry=self._registry,
        )
        self._in_flight = Gauge(
            "contact_adapter_in_flight",
            "Calls in flight.",
            ["account", "provider"],
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._breaker = Gauge(
            "contact_adapter_breaker_state",
            "0 closed, 1 half-opened, 2 opened; with several workers, the highest.",
            ["account", "provider"],
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        ledger = service.ledger
        self._ledger = None if ledger is None else LedgerMetrics(ledger, self._registry)
        self._service = service
        self._last_states: dict[str, str] = {}
        self._children: dict[tuple[object, ...], Any] = {}
        service.observer = self

    def _child(self, metric: Counter | Gauge | Histogram, *labels: str) -> Any:
        """Return the metric's child of these labels. This cache is faster than `labels()`."""
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def call_started(self, account: Account) -> None:
        """Count the call as in flight."""
        self._child(self._in_flight, account.name, account.provider.name).inc()

    def call_ended(
        self, account: Account, command: Command, result: Result, seconds: float
    ) -> None:
        """Count the finished call; `result` is an `internal_error` where it raised.

        It is one of the requested account, and of the provider whose response counts.
        """
        self._child(self._in_flight, account.name, account.provider.name).dec()
        names = (account.name, result.provider or account.provider.name)
        self._child(self._duration, *names, command.action.value).observe(seconds)
        code = result.code.value if result.code else "ok"
        self._child(self._calls, *names, command.action.value, code).inc()
        if result.replayed:  # the first call was counted
            return
        accounts = 1 if result.route is None else max(1, len(result.route))
        if result.attempts > accounts and command.action not in _OF_SEVERAL_REQUESTS:
            self._child(self._retries, *names).inc(result.attempts - accounts)
        verification = result.outcome.verification
        if verification.reads:
            self._child(self._reads, *names).inc(verification.reads)
            verified = describe_verification(verification)
            self._child(self._verifications, *names, command.action.value, verified).inc()
        if result.recorded is not None and self._ledger is not None:
            self._ledger.count(result)
        for lookup in result.lookups or ():
            self._child(self._lookups, *names, _ON_WHATSAPP[lookup.on_whatsapp]).inc()
        self._update_breaker(account)
        if accounts > 1 and account.fallback is not None:
            other = account.fallback
            self._child(self._fallbacks, account.name, other.name, command.action.value, code).inc()
            self._update_breaker(other)

    def _update_breaker(self, account: Account) -> None:
        state = account.resilience.state
        if self._last_states.get(account.name) != state:
            self._last_states[account.name] = state
            names = (account.name, account.provider.name)
            self._child(self._breaker, *names).set(BREAKER_STATES.index(state))

    def expose(self) -> bytes:
        """Return the metrics of all workers in the text format of Prometheus."""
        for account in self._service.accounts.values():
            self._update_breaker(account)
        if self._ledger is not None:
            self._ledger.update()
            self._ledger.update_batches()
        if MULTIPROCESS_VARIABLE not in os.environ:
            return generate_latest(self._registry)
        merged = CollectorRegistry()
        MultiProcessCollector(merged)  # type: ignore[no-untyped-call]
        return generate_latest(merged)
