"""The server under a sampler: `python -m bench.sampler FOLDER serve …`.

A timer of the process's own processor time (ITIMER_PROF) sends SIGPROF; its handler adds the time
since the sample before to the stack that runs. The kernel rounds the interval up to its tick, which
is 4 ms at 250 Hz. The handler's own time is left out. A signal during a function in C is handled
after it, in its caller; one during the event loop of gevent, in the loop or in the greenlet that it
resumes next. Nothing else of the server is changed, and without a signal nothing runs.

START begins, STOP ends and writes all samples so far to `FOLDER/<process id>.json`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

START: Final = signal.SIGRTMIN
STOP: Final = signal.SIGRTMIN + 1
INTERVAL: Final = 0.001

Stack = tuple[CodeType, ...]


class Sampler:
    """The samples of this process; a child process begins without any."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._samples: dict[Stack, tuple[int, int]] = {}
        self._before = 0

    def install(self) -> None:
        """Handle the three signals, in this process and in its children."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.signal(START, self._start)
        signal.signal(STOP, self._stop)
        os.register_at_fork(after_in_child=self._samples.clear)

    def _start(self, _number: int, _frame: FrameType | None) -> None:
        self._before = time.process_time_ns()
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        passed = time.process_time_ns() - self._before
        codes = []
        while frame is not None:
            codes.append(frame.f_code)
            frame = frame.f_back
        stack = tuple(codes)
        nanoseconds, count = self._samples.get(stack, (0, 0))
        self._samples[stack] = (nanoseconds + passed, count + 1)
        self._before = time.process_time_ns()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        document = [
            [nanoseconds, count, [[code.co_filename, code.co_qualname] for code in stack]]
            for stack, (nanoseconds, count) in self._samples.items()
        ]
        file = self._folder / f"{os.getpid()}.json"
        unfinished = file.with_suffix(".part")
        unfinished.write_text(json.dumps(document))
        unfinished.rename(file)


def main() -> None:
    """Run the command line of the adapter under the sampler."""
    _, folder, *rest = sys.argv
    sys.argv = ["contact-adapter", *rest]
    Sampler(Path(folder)).install()
    from adapter.__main__ import main as serve

    serve()


if __name__ == "__main__":
    main()
