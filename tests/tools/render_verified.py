"""The table of what a block answers, by WhatsApp's behaviour and provider, from the stubs."""

from __future__ import annotations

from collections.abc import Iterator

from support.whatsapp import BEHAVIOURS, WIRES, block, describe

from adapter.codes import Verify

TITLES = ("behaviour", "providers", '`"verify": true`', '`verify = "unknown"`')


def rows() -> Iterator[tuple[str, ...]]:
    """Yield a line for each behaviour and provider; providers with the same answers share one."""
    for behaviour in BEHAVIOURS:
        lines: dict[tuple[str, str], list[str]] = {}
        for provider in sorted(WIRES):
            always, unknown = (
                describe(block(provider, behaviour, verify))
                for verify in (Verify.ALWAYS, Verify.UNKNOWN)
            )
            lines.setdefault((always, unknown), []).append(f"`{provider}`")
        for (always, unknown), providers in lines.items():
            yield behaviour.title, ", ".join(providers), always, unknown
