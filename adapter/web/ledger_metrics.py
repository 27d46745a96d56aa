"""Prometheus metrics of the ledger."""

from __future__ import annotations

import time
from dataclasses import fields
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from adapter.results import Result

if TYPE_CHECKING:
    from adapter.ledger.ledger import Ledger


_UPDATE_EVERY: Final = 1.0
"""Seconds between two updates of the gauges by calls."""


class LedgerMetrics:
    """The metrics of the ledger of one service; the gauges are those of this process."""

    def __init__(self, ledger: Ledger, registry: CollectorRegistry) -> None:
        calls = Counter(
            "contact_adapter_ledger_calls",
            "Calls by whether they are in the ledger: true, or false (it was slow or gone).",
            ["recorded"],
            registry=registry,
        )
        self._recorded = {value: calls.labels(str(value).lower()) for value in (True, False)}
        self._available = Gauge(
            "contact_adapter_ledger_available",
            "1 while the database could be used; with several workers, the lowest.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._waiting = Gauge(
            "contact_adapter_ledger_queue",
            "Events that wait to be recorded.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._swept_at = Gauge(
            "contact_adapter_ledger_swept_timestamp_seconds",
            "End of the last clean-up, in seconds since 1970; 0 before the first.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._sweep = Gauge(
            "contact_adapter_ledger_swept_rows",
            "Rows of the last clean-up: calls closed as unknown, calls and keys deleted, contacts "
            "erased.",
            ["kind"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )

        self._ledger = ledger
        self._updated_at = 0.0

    def count(self, result: Result) -> None:
        """Count a call that has ended, and keep the gauges of this worker up to date."""
        self._recorded[bool(result.recorded)].inc()
        if time.monotonic() - self._updated_at >= _UPDATE_EVERY:
            self.update()

    def update(self) -> None:
        """Set the gauges to the state of the ledger."""
        self._updated_at = time.monotonic()
        health = self._ledger.health
        self._available.set(float(health.available))
        self._waiting.set(health.waiting)
        self._swept_at.set(health.swept_at or 0)
        for kind in fields(health.sweep):
            self._sweep.labels(kind.name).set(getattr(health.sweep, kind.name))
