"""Counts in messages."""

from __future__ import annotations


def count_of(amount: int, noun: str) -> str:
    """Return the amount with its noun, such as `1 row` or `2 rows`."""
    return f"{amount} {noun}{'' if amount == 1 else 's'}"
