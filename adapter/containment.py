"""Call plugins: contain exceptions that would end the process, and locate those that they raise."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from traceback import walk_tb
from typing import Final, ParamSpec, TypeVar

from adapter.errors import PluginError, RequestError

_SCHEDULERS: Final = frozenset({"gevent", "greenlet", "eventlet"})

ParametersT = ParamSpec("ParametersT")
ReturnedT = TypeVar("ReturnedT")


def contain(
    call: Callable[ParametersT, ReturnedT],
    *args: ParametersT.args,
    **options: ParametersT.kwargs,
) -> ReturnedT:
    """Call a plugin; an exception that would end the process becomes PluginError.

    An exception from outside of the plugin is raised again: Ctrl-C, and the timeouts and kills of a
    scheduler.
    """
    try:
        return call(*args, **options)
    except Exception:
        raise
    except BaseException as error:
        if is_from_outside(error):
            raise
        raise PluginError(f"the plugin raised {type(error).__name__}") from error


def contain_after_sending(
    call: Callable[ParametersT, ReturnedT],
    *args: ParametersT.args,
    **options: ParametersT.kwargs,
) -> ReturnedT:
    """Call a plugin after a request was sent, when it can no longer refuse it."""
    try:
        return contain(call, *args, **options)
    except RequestError as error:
        raise PluginError("the plugin refused a request after it was sent") from error


def is_from_outside(error: BaseException) -> bool:
    """Whether an exception comes from outside of the plugin, to end its call.

    GeneratorExit does not count: Python raises it in a suspended generator, and a call of a plugin
    is not one. KeyboardInterrupt counts where Python's own handler has SIGINT, so that Ctrl-C
    raises it; our workers have another handler.
    """
    if isinstance(error, KeyboardInterrupt):
        return signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return any(kind.__module__.partition(".")[0] in _SCHEDULERS for kind in type(error).__mro__)


def find_line(error: BaseException, module: str) -> str | None:
    """Return file and line of the plugin's own code that raised: `plugin_acme.py, line 12`.

    `module` is the plugin's module; other modules of its package are its own code, too. None for an
    exception that passed no line of it. The text has no values.
    """
    own = module.rpartition(".")[0] or module
    lines = [
        f"{Path(frame.f_code.co_filename).name}, line {line}"
        for each in (error.__cause__, error)
        if each is not None
        for frame, line in walk_tb(each.__traceback__)
        if f"{frame.f_globals.get('__name__')}.".startswith(f"{own}.")
    ]
    return lines[-1] if lines else None
