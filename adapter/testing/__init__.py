"""The provider contract kit. Nothing in the adapter imports it.

A plugin's tests subclass `ProviderContract`; see `adapter.testing.contract`.
"""

from __future__ import annotations

from adapter.testing.contract import (
    CANARY,
    LIVE_FILE,
    Exchange,
    Provenance,
    ProviderContract,
    read_answers,
)

__all__ = ["CANARY", "LIVE_FILE", "Exchange", "Provenance", "ProviderContract", "read_answers"]
