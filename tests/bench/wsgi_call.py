"""Call a WSGI app in this thread, without a server."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from bench.load import Target
from bench.processes import MeasurementError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def environ_of(target: Target) -> dict[str, Any]:
    """Return the environ of the request; the URL of the target is its path alone."""
    headers = {name.upper().replace("-", "_"): value for name, value in target.headers.items()}
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": target.url,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1:8000",
        "CONTENT_TYPE": headers.pop("CONTENT_TYPE"),
        "CONTENT_LENGTH": str(len(target.body)),
        **{f"HTTP_{name}": value for name, value in headers.items()},
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }


def call(app: WSGIApplication, environ: dict[str, Any], body: bytes) -> bytes:
    """Make one call and return the body. Raises MeasurementError for any status but 200."""
    statuses: list[str] = []

    def start_response(status: str, *_: Any) -> Any:
        statuses.append(status)

    response: Iterable[bytes] = app({**environ, "wsgi.input": BytesIO(body)}, start_response)
    try:
        content = b"".join(response)
    finally:
        getattr(response, "close", lambda: None)()
    if not statuses[0].startswith("200"):
        raise MeasurementError(f"the app responded {statuses[0]} {content[:500]!r}")
    return content
