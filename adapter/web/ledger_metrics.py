"""Prometheus metrics of the ledger."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from adapter.errors import LedgerUnavailable
from adapter.results import Result

if TYPE_CHECKING:
    from adapter.ledger.ledger import Ledger


_UPDATE_EVERY: Final = 1.0
"""Seconds between two updates of the gauges by calls."""


class LedgerMetrics:
    """The metrics of the ledger of one service; the gauges are those of this process.

    They are made by the first call or request of a process: a metric without labels has a file as
    soon as it is made, and the values of a master would count as those of a worker.
    """

    def __init__(self, ledger: Ledger, registry: CollectorRegistry) -> None:
        self._ledger, self._registry = ledger, registry
        self._updated_at = 0.0
        self._lock = threading.Lock()
        self._made: _Series | None = None

    @property
    def _series(self) -> _Series:
        if self._made is None:
            with self._lock:
                self._made = self._made or _Series(self._registry)
        return self._made

    def count(self, result: Result) -> None:
        """Count a call that has ended, and keep the gauges of this worker up to date."""
        self._series.recorded[bool(result.recorded)].inc()
        if time.monotonic() - self._updated_at >= _UPDATE_EVERY:
            self.update()

    def update_batches(self) -> None:
        """Set the gauges of batches to what the ledger has; while it is gone, they stay."""
        from adapter.batches import read_overview

        with suppress(LedgerUnavailable):
            overview = read_overview(self._ledger)
            for status, amount in overview.batches.items():
                self._series.batches.labels(status).set(amount)
            for account, until in overview.paused_until.items():
                self._series.paused_until.labels(account).set(until)

    def update(self) -> None:
        """Set the gauges to the state of the ledger."""
        self._updated_at = time.monotonic()
        series, health = self._series, self._ledger.health
        series.available.set(float(health.available))
        series.waiting.set(health.waiting)
        series.swept_at.set(health.swept_at or 0)
        for kind in fields(health.sweep):
            series.sweep.labels(kind.name).set(getattr(health.sweep, kind.name))


class _Series:
    """The counters and gauges of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        calls = Counter(
            "contact_adapter_ledger_calls",
            "Calls by whether they are in the ledger: true, or false (it was slow or gone).",
            ["recorded"],
            registry=registry,
        )
        self.recorded = {value: calls.labels(str(value).lower()) for value in (True, False)}
        self.available = Gauge(
            "contact_adapter_ledger_available",
            "1 while the database could be used; with several workers, the lowest.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.waiting = Gauge(
            "contact_adapter_ledger_queue",
            "Events that wait to be recorded.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.swept_at = Gauge(
            "contact_adapter_ledger_swept_timestamp_seconds",
            "End of the last clean-up, in seconds since 1970; 0 before the first.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.sweep = Gauge(
            "contact_adapter_ledger_swept_rows",
            "Rows of the last clean-up: calls closed as unknown, calls and keys deleted, contacts "
            "erased.",
            ["kind"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.batches = Gauge(
            "contact_adapter_batches",
            "Batches that have not ended, by status: planned, ready, running or paused.",
            ["status"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.paused_until = Gauge(
            "contact_adapter_batches_paused_until_timestamp_seconds",
            "When the batches of an account that wait for it go on, in seconds since 1970; 0 where "
            "they do not wait.",
            ["account"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
