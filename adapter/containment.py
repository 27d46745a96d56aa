"""Call a plugin so that it can fail, and can not end the process."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from adapter.errors import PluginError

_SCHEDULERS: Final = frozenset({"gevent", "greenlet", "eventlet"})

ParametersT = ParamSpec("ParametersT")
ReturnedT = TypeVar("ReturnedT")


def contain(
    call: Callable[ParametersT, ReturnedT],
    *args: ParametersT.args,
    **options: ParametersT.kwargs,
) -> ReturnedT:
    """Call a plugin; what it raises to end the process becomes PluginError.

    What its surroundings raise to end the call goes through: Ctrl-C, and the timeouts and kills of
    a scheduler.
    """
    try:
        return call(*args, **options)
    except Exception:
        raise
    except BaseException as error:
        if is_from_outside(error):
            raise
        raise PluginError(f"the plugin raised {type(error).__name__}") from error


def is_from_outside(error: BaseException) -> bool:
    """Whether an exception is how the surroundings end a call, and not a fault of a plugin.

    GeneratorExit is none: it is raised where a generator waits, and none does here. Ctrl-C raises
    KeyboardInterrupt where Python's own handler has the signal; in a worker of ours it does not.
    """
    if isinstance(error, KeyboardInterrupt):
        return signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return any(kind.__module__.partition(".")[0] in _SCHEDULERS for kind in type(error).__mro__)
