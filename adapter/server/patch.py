"""Patch the standard library for gevent.

This comes before any other module takes a socket or a lock from the standard library.
"""

from __future__ import annotations

from contextlib import suppress


def patch_standard_library() -> None:
    """Patch the standard library, so that blocking calls switch greenlets.

    Without gevent nothing is patched: `serve` then reports the missing extra.
    """
    with suppress(ImportError):
        from gevent import monkey

        monkey.patch_all()
