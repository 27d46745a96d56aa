"""gunicorn's settings for `contact-adapter serve`. Options of the command line override them.

To run gunicorn directly: gunicorn --config gunicorn.conf.py 'adapter:create_app()'

With several workers, then also set PROMETHEUS_MULTIPROC_DIR to an empty folder, so that /metrics
covers all of them; `contact-adapter serve --workers N` sets it itself.
"""

import gc
import os

# A call waits for the network, not for the CPU. A thousand waiting greenlets need little memory,
# and do not compete for the interpreter lock. Measured with this app on two cores in November 2026
# (gunicorn 27.0, gevent 26.9, granian 2.8, Python 3.11); requests/s as ratios, one worker for quick
# calls (32 connections), two for 1000 calls that wait 500 ms (max_in_flight 1024):
#
#   gunicorn, gevent (this)       quick 1.0     slow 1.0, 145 MiB
#   gunicorn, threads             quick 0.5     slow 0.3
#   granian, 600 threads          quick 1.05    slow 0.9, 250 MiB
#   granian, one thread           quick 1.6     slow: one call at a time
#   waitress, threads             half of gevent's rate for an empty app; not measured further
#
# granian has no timeout for a request body, and a thread waits for it.
worker_class = "adapter.server.worker.Worker"

# State in memory (the sandbox's block lists) is per worker; with one worker there is one state.
workers = 1

# More than the calls in flight of a few providers that hang (256 each, max_in_flight), so that
# calls of other providers are not delayed.
worker_connections = 4000

# Idle timeout of keep-alive connections, in seconds. Above the idle timeout of common proxies
# (60 s), so that this server does not close a connection on which a proxy is sending a request.
keepalive = 75

# After SIGTERM and SIGHUP, calls in flight have these seconds: their whole deadline (15 s by
# default), and a little more. Reads of block lists may take longer (60 s), and are cut off.
graceful_timeout = 20

# Seconds without a heartbeat after which a worker is killed. A busy gevent worker still sends its
# heartbeat; a blocked one does not.
timeout = 60

# The app logs each request itself, with contacts masked; an access log would show paths. `serve`
# configures logging; with gunicorn run directly, logging has to be configured separately.
accesslog = None

# No request header sets the mount point or the scheme of the app, from any address: the app needs
# neither. To serve below a path, set SCRIPT_NAME in the environment (SCRIPT_NAME=/wa); a proxy then
# has to pass the full path.
forwarder_headers = ""
forwarded_allow_ips = ""

# gunicorn's control socket would be left in the home directory; signals are sufficient.
control_socket_disable = True


def post_worker_init(_worker):
    """Freeze startup objects and raise the garbage collector's thresholds.

    A call creates few reference cycles (one in the route matcher, a few more in a failure), and
    collections as frequent as by default slow down every request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def child_exit(_server, worker):
    """Remove the gauges of a worker that has exited, such as its calls in flight."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)
