"""Read the files that a configuration names, without waiting and up to a maximum size."""

from __future__ import annotations

import errno
import os
import stat
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Final

MAX_SECRET: Final = 64 * 1024
"""Maximum size, in bytes, of a file that holds a secret."""

MAX_CONFIG: Final = 1024 * 1024
"""Maximum size, in bytes, of a configuration or a file of certificates."""

_FLAGS: Final = os.O_RDONLY | reduce(
    or_, (getattr(os, f"O_{name}", 0) for name in ("NONBLOCK", "NOCTTY", "CLOEXEC", "BINARY"))
)
"""The flags for opening files. Windows lacks the first three; only Windows has the last."""

_REMEDIES: Final = {
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EACCES: "give the user of this process read permission",
    errno.ELOOP: "remove the loop of symbolic links",
}

_KINDS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class FileError(Exception):
    """The file cannot be used. The text gives the reason and the remedy, but not the path."""


def read_file(path: str | Path, max_bytes: int) -> bytes:
    """Return the content of a regular file, or of a link to one.

    The call never blocks: a FIFO, a device or an endless file is refused immediately. Raises
    FileError.
    """
    try:
        opened = os.open(path, _FLAGS)
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "name a regular file")
        raise FileError(f"{error.strerror}; {remedy}") from None
    except ValueError:  # a NUL, or characters that the file system cannot encode
        raise FileError("this is not a valid file name; check the path") from None
    try:
        mode = os.fstat(opened).st_mode
        if not stat.S_ISREG(mode):
            kind = next((kind for is_kind, kind in _KINDS if is_kind(mode)), "a special file")
            raise FileError(f"it is {kind}; name a regular file")
        content = b""
        while piece := os.read(opened, max_bytes + 1 - len(content)):
            content += piece
    except OSError as error:
        raise FileError(f"{error.strerror}; name a regular file") from None
    finally:
        os.close(opened)
    if len(content) > max_bytes:
        raise FileError(f"it is larger than {max_bytes // 1024} KiB; name the right file")
    return content
