"""Who makes a call, by which way, and why: what the ledger records beside its command."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallContext:
    """Who calls, and why. `via`: api, dialect, python, cli or batch; `key_name`: the caller's key.

    `reason` and `ref` are the caller's own words, up to 64 and 128 characters. `wish` is the place
    of the call in the order of wishes, where that is earlier than its own: that of its batch.
    """

    via: str
    key_name: str | None = None
    request_id: str = ""
    reason: str | None = None
    ref: str | None = None
    wish: int | None = None
