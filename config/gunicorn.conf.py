"""How `contact-adapter serve` runs gunicorn. What the command line says goes first.

To run gunicorn yourself: gunicorn --config gunicorn.conf.py 'adapter:create_app()'

With several workers, set PROMETHEUS_MULTIPROC_DIR to an empty folder then, so that /metrics is of
all of them; `contact-adapter serve --workers N` does that by itself.
"""

import gc
import os

# A call waits for a provider, not for a processor. As greenlets, a thousand waiting calls take
# little memory and no turns at the interpreter. What was tried, with this app, on two cores in
# November 2026 (gunicorn 27.0, gevent 26.9, granian 2.8, Python 3.11); requests/s as ratios, one
# worker for quick calls (32 connections), two for 1000 calls that wait 500 ms (max_in_flight 1024):
#
#   gunicorn, gevent (this)       quick 1.0     slow 1.0, 145 MiB
#   gunicorn, threads             quick 0.5     slow 0.3
#   granian, 600 threads          quick 1.05    slow 0.9, 250 MiB
#   granian, one thread           quick 1.6     slow: one call at a time
#   waitress, threads             half of gevent's rate for an empty app; not tried further
#
# granian has no limit of time for the body of a request, and a thread waits for it.
worker_class = "adapter.server.worker.Worker"

# One worker keeps what is held in memory (the sandbox's block lists) in one place.
workers = 1

# More than the calls that a few hanging providers may hold (256 each, max_in_flight), so that the
# others keep their speed.
worker_connections = 4000

# Connections of clients that wait for their next request. Above the idle time of usual proxies
# (60 s), so that it is never this side that closes first under a request.
keepalive = 75

# On SIGTERM and SIGHUP, calls in flight may take their whole deadline (15 s by default) and a
# little more. Lists are the exception: they may take longer (60 s), and are cut after this time.
graceful_timeout = 20

# A worker of this kind that is busy still answers its heartbeat; this finds one that is stuck.
timeout = 60

# The app writes its own line per request, with contacts masked; an access log would show paths.
# That line needs a log that is set up: `serve` does it; with gunicorn by yourself, you do.
accesslog = None

# No header of a request may say where the app is mounted, whatever address it comes from. To serve
# below a path, set SCRIPT_NAME in the environment (SCRIPT_NAME=/wa); a proxy then passes the path
# whole. Nor may one say that the connection is https; the app needs neither.
forwarder_headers = ""
forwarded_allow_ips = ""

# gunicorn's remote control leaves a socket in the home directory; signals are enough.
control_socket_disable = True


def post_worker_init(_worker):
    """Let the collector of garbage pass over what is here to stay, and come by less often.

    A call leaves few cycles behind (the matcher of routes makes one, a failure some more), and
    looking for them as often as by default costs each request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def child_exit(_server, worker):
    """Forget what a worker that has ended said of itself as it is now: its calls in flight."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)
