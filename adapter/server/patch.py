"""Patch the standard library for gevent.

Has to run before any other module imports sockets or locks from the standard library.
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
