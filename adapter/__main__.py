"""The entry of the command line: what has to happen before anything else is imported, then `cli`.

The server runs its calls as greenlets, for which the standard library is patched. That has to come
before any module takes a socket or a lock from it, and concerns this one command alone.
"""

from __future__ import annotations

import sys
from contextlib import suppress


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] == ["serve"]:
        with suppress(ImportError):  # not installed: `serve` says so, with the way to mend it
            from gevent import monkey

            monkey.patch_all()
    from adapter import cli

    cli.main()


if __name__ == "__main__":
    main()
