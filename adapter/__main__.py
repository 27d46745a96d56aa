"""The entry point of the command line.

`serve` runs its calls as greenlets. The standard library is patched for that before `cli` and all
that it imports, and for this one command alone.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] == ["serve"]:
        from adapter.server.patch import patch_standard_library

        patch_standard_library()
    from adapter import cli

    cli.main()


if __name__ == "__main__":
    main()
