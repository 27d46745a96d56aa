"""The messenger: "look at batch 42" for the workers of this process, or of others.

Huey carries the messages. They may be lost: all that counts is in the ledger, and the sweeper of
every worker finds each running batch there. A message has the id of a batch alone, as JSON: no
number is in the queue, and whoever can write to it runs no code here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, Final

from huey.api import Huey
from huey.consumer import Consumer
from huey.registry import Message
from huey.serializer import Serializer

from adapter.errors import ConfigurationError, ConfigurationProblem
from adapter.ledger.threads import is_cooperative
from adapter.secret import Secret
from adapter.settings.model import QueueSettings

MAX_WAITING: Final = 100
"""Messages that wait; a batch that is woken beyond them is found by the sweeper."""

TIMEOUT: Final = 3
"""Seconds until a queue that does not respond is taken as gone: a request may wait for it."""

MAX_ID: Final = 2**63 - 1
"""The largest id that a database takes."""

_LOOK: Final = "look"


class _JsonSerializer(Serializer):  # type: ignore[misc]
    """Messages as JSON, in place of pickles: the id of the message, and that of a batch."""

    def serialize(self, data: Any) -> bytes:
        """Return the bytes of a message."""
        return json.dumps([data.id, data.args[0]]).encode()

    def deserialize(self, data: bytes) -> Any:
        """Return the message; one that is not ours is about batch 0, which does not exist."""
        number, batch_id = "", 0
        try:
            match json.loads(data):
                case [str(given), int(found)] if 0 < found <= MAX_ID:
                    number, batch_id = given, found
        except (ValueError, RecursionError):
            pass
        return Message(number, f"{__name__}.{_LOOK}", args=(batch_id,), kwargs={}, retries=0)


class _Consumer(Consumer):  # type: ignore[misc]
    """A consumer that leaves the process's signals alone, so that any thread may start it."""

    def _set_signal_handlers(self) -> None:
        pass


class Messenger:
    """Sends ids of batches, and calls `look` with those that arrive. For one process.

    `prefix` is that of the ledger's tables: it keeps the queues of several ledgers apart. The queue
    is connected by the first message. Every method raises what the queue raises, within a few times
    `TIMEOUT` where it does not respond.

    Raises ConfigurationError, with the command that installs it, for a missing library.
    """

    def __init__(self, settings: QueueSettings, prefix: str, look: Callable[[int], None]) -> None:
        self._new_huey = _huey_maker(settings, prefix)
        self._look = look
        self._made: tuple[Huey, Any] | None = None
        self._consumer: Any = None

    def wake(self, batch_id: int) -> None:
        """Send the id of a batch, unless very many wait."""
        huey, task = self._connect()
        if huey.pending_count() < MAX_WAITING:
            task(batch_id)

    def start(self) -> None:
        """Start the thread, or greenlet, that calls `look`."""
        huey, _ = self._connect()
        # Else it logs each of its looks at a queue that is gone, many a second, with a traceback.
        logging.getLogger("huey").setLevel(logging.CRITICAL)
        self._consumer = _Consumer(
            huey,
            workers=1,
            worker_type="greenlet" if is_cooperative() else "thread",
            periodic=False,
            initial_delay=0.05,
            max_delay=0.5,
            check_worker_health=False,
        )
        self._consumer.start()

    def stop(self) -> None:
        """End the thread, and close the connection."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.stop(graceful=True)
        if self._made is not None:
            self._made[0].storage.close()

    def _connect(self) -> tuple[Huey, Any]:
        if self._made is None:
            huey, look = self._new_huey(), self._look

            def task(batch_id: int) -> None:
                look(batch_id)

            self._made = huey, huey.task(name=_LOOK)(task)
        return self._made


def _huey_maker(settings: QueueSettings, prefix: str) -> Callable[[], Huey]:
    """Return what makes the queue. The library is imported here, the connection opened there."""
    name = f"contact-adapter.{prefix}"
    options: dict[str, Any] = {"results": False, "serializer": _JsonSerializer()}
    url = settings.url.reveal() if isinstance(settings.url, Secret) else settings.url
    try:
        if url.startswith("postgresql"):
            import psycopg  # noqa: F401
            from huey.api import PostgresHuey

            # Without `blocking` it looks every half second, over no further connection per thread.
            options |= {"dsn": url.replace("+psycopg", "", 1), "blocking": False}
            options["table_prefix"] = f"{prefix}queue"
            # By default psycopg waits for 130 seconds, and without end once it is connected.
            options |= {"connect_timeout": TIMEOUT, "tcp_user_timeout": TIMEOUT * 1000}
            return lambda: PostgresHuey(name, **options)
        import redis
        from huey.api import RedisHuey
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        extra = "postgresql,queue" if error.name == "psycopg" else "queue"
        message = f"needs {error.name}; run: pip install 'contact-adapter[{extra}]'"
        raise ConfigurationError([ConfigurationProblem("queue", message)]) from error

    def make() -> Huey:
        # By default redis-py 5 waits without end, and later ones try several times.
        pool = redis.ConnectionPool.from_url(
            url,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        return RedisHuey(name, connection_pool=pool, **options)

    return make
