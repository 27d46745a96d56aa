"""Read a file that a configuration names: at once, to the end, and not beyond a bound."""

from __future__ import annotations

import errno
import os
import stat
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Final

MAX_SECRET: Final = 64 * 1024
"""Most bytes of a file that holds a secret."""

MAX_CONFIG: Final = 1024 * 1024
"""Most bytes of a configuration, or of a file of certificates."""

_FLAGS: Final = os.O_RDONLY | reduce(
    or_, (getattr(os, f"O_{name}", 0) for name in ("NONBLOCK", "NOCTTY", "CLOEXEC", "BINARY"))
)
"""How files are opened. Windows has none of the first three, and nowhere else is the last."""

_REMEDIES: Final = {
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EACCES: "let the user that runs this read it",
    errno.ELOOP: "its links lead back to it",
}

_KINDS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class FileError(Exception):
    """The file cannot be used; the text says why, and how to mend it. It holds no path."""


def read_file(path: str | Path, most: int) -> bytes:
    """Return what is in the file, which must be a regular one, or a link to one.

    Nothing is waited for: a FIFO, a device or an endless file is refused at once. Raises FileError.
    """
    try:
        opened = os.open(path, _FLAGS)
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "name a regular file")
        raise FileError(f"{error.strerror}; {remedy}") from None
    except ValueError:  # a NUL, or what no file system can name
        raise FileError("no file can have that name; check the path") from None
    try:
        mode = os.fstat(opened).st_mode
        if not stat.S_ISREG(mode):
            kind = next((kind for is_kind, kind in _KINDS if is_kind(mode)), "something else")
            raise FileError(f"it is {kind}; name a regular file")
        content = b""
        while len(content) <= most and (piece := os.read(opened, most + 1 - len(content))):
            content += piece
    except OSError as error:
        raise FileError(f"{error.strerror}; name a regular file") from None
    finally:
        os.close(opened)
    if len(content) > most:
        raise FileError(f"it is larger than {most // 1024} KiB; name the right file")
    return content
