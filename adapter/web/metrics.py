"""Numbers about the calls, for Prometheus. No label can hold a person, a path or a credential."""

from __future__ import annotations

import os
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector

from adapter.account import Account
from adapter.results import Command, Result
from adapter.service import Service
from adapter.settings.model import MULTIPROCESS_VARIABLE
from adapter.transport.breaker import BREAKER_STATES

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)


class Metrics:
    """The metrics of one service, which it watches from the moment it is made."""

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry()
        self._calls = Counter(
            "contact_adapter_calls",
            "Calls by their outcome: a code of the table, or ok.",
            ["account", "provider", "action", "code"],
            registry=self._registry,
        )
        self._duration = Histogram(
            "contact_adapter_call_duration_seconds",
            "Whole calls, their retries included.",
            ["account", "provider", "action"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._retries = Counter(
            "contact_adapter_retries",
            "Attempts beyond the first of a call.",
            ["account", "provider"],
            registry=self._registry,
        )
        self._in_flight = Gauge(
            "contact_adapter_in_flight",
            "Calls that are on their way.",
            ["account", "provider"],
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._breaker = Gauge(
            "contact_adapter_breaker_state",
            "0 closed, 1 half-opened, 2 opened; of several workers, the worst.",
            ["account", "provider"],
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        self._service = service
        self._shown: dict[str, str] = {}
        self._children: dict[tuple[object, ...], Any] = {}
        service.observer = self

    def _of(self, metric: MetricWrapperBase, *labels: str) -> Any:
        """Return the metric with these labels, which its own method would look up at more cost."""
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def call_started(self, account: Account) -> None:
        """Count a call that has begun."""
        self._of(self._in_flight, account.name, account.provider.name).inc()

    def call_ended(
        self, account: Account, command: Command, result: Result | None, seconds: float
    ) -> None:
        """Count a call that is over; without a result it raised."""
        names = (account.name, account.provider.name)
        self._of(self._in_flight, *names).dec()
        self._of(self._duration, *names, command.action.value).observe(seconds)
        code = "internal_error" if result is None else result.code.value if result.code else "ok"
        self._of(self._calls, *names, command.action.value, code).inc()
        if result is not None and result.attempts > 1:
            self._of(self._retries, *names).inc(result.attempts - 1)
        self._show_breaker(account)

    def _show_breaker(self, account: Account) -> None:
        state = account.resilience.state
        if self._shown.get(account.name) != state:
            self._shown[account.name] = state
            names = (account.name, account.provider.name)
            self._of(self._breaker, *names).set(BREAKER_STATES.index(state))

    def expose(self) -> bytes:
        """Return the numbers in Prometheus's text format, of all workers together."""
        for account in self._service.accounts.values():
            self._show_breaker(account)
        if MULTIPROCESS_VARIABLE not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
