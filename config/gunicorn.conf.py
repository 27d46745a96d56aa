"""The gunicorn configuration of `contact-adapter serve`. Command-line options take precedence.

To run gunicorn directly: gunicorn --config gunicorn.conf.py 'adapter:create_app()'

With several workers, set PROMETHEUS_MULTIPROC_DIR to an empty folder, so that /metrics covers all
of them; `contact-adapter serve --workers N` sets it itself.
"""

import gc
import os

# Calls are bound by the network, not by the processor. As greenlets, a thousand waiting calls need
# little memory and no time of the interpreter. Measured with this app on two cores in November 2026
# (gunicorn 27.0, gevent 26.9, granian 2.8, Python 3.11); requests/s as ratios, with one worker for
# quick calls (32 connections), and two for 1000 calls that wait 500 ms (max_in_flight 1024):
#
#   gunicorn, gevent (this)       quick 1.0     slow 1.0, 145 MiB
#   gunicorn, threads             quick 0.5     slow 0.3
#   granian, 600 threads          quick 1.05    slow 0.9, 250 MiB
#   granian, one thread           quick 1.6     slow: one call at a time
#   waitress, threads             half of gevent's rate for an empty app; not measured further
#
# granian has no timeout for the body of a request, and a thread waits for it.
worker_class = "adapter.server.worker.Worker"

# With one worker, state in memory (the sandbox's block lists) is in one place.
workers = 1

# More than the calls that a few unresponsive providers can hold (256 each, max_in_flight), so that
# calls to the others are not delayed.
worker_connections = 4000

# Idle timeout of client connections, in seconds. Longer than that of common proxies (60 s):
# otherwise this side might close a connection while a request is on its way.
keepalive = 75

# On SIGTERM and SIGHUP, calls in flight have their whole deadline (15 s by default) and a margin.
# Lists are the exception: their deadline is longer (60 s), and they are aborted after this time.
graceful_timeout = 20

# A busy worker of this class still sends its heartbeat; this timeout finds a blocked one.
timeout = 60

# The app logs each request itself, with contacts masked; an access log would show paths. `serve`
# configures the logging for that; if you run gunicorn directly, configure it yourself.
accesslog = None

# No header of a request sets the path at which the app is mounted, or the scheme https, whatever
# address it comes from; the app needs neither. To serve below a path, set SCRIPT_NAME in the
# environment (SCRIPT_NAME=/wa); the proxy must then pass the whole path.
forwarder_headers = ""
forwarded_allow_ips = ""

# gunicorn's remote control creates a socket in the home directory; signals suffice.
control_socket_disable = True


def post_worker_init(_worker):
    """Freeze the objects of the startup and raise the thresholds of the garbage collector.

    A call leaves few reference cycles (the route matcher one, a failure some more); collecting them
    as often as by default slows each request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def child_exit(_server, worker):
    """Remove the gauges of a worker that has exited, such as its calls in flight."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)
