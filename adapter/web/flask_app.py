"""Flask for the standalone app: the same meaning, with less work per request.

Each method that is overridden here does what Flask's own does, which is called for every case but
the usual one. The host app of the extension stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flask import Flask, Request, Response, request_tearing_down
from flask.sessions import NullSession, SessionInterface
from werkzeug.routing import MapAdapter, Rule

# A name in lower case, as Werkzeug writes it, without an address in brackets; a port without the
# defaults of http and https, which Werkzeug removes.
_PLAIN_HOST = re.compile(
    r"(?:[a-z0-9-]{1,63}\.)*[a-z0-9-]{1,63}(?::(?!80$|443$)[1-9][0-9]{0,3}|:[1-5][0-9]{4})?"
)


class _NullSessionInterface(SessionInterface):
    """No sessions: one empty session serves all requests, and no cookie is parsed."""

    _session = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:
        """Return the empty session."""
        return self._session

    def save_session(self, app: Flask, session: object, response: Response) -> None:
        """Do nothing."""


class _UrlAdapter(MapAdapter):
    """Werkzeug's adapter, which remembers the rules without variable parts.

    A match of such a rule depends on the method and the path alone. Flask allows no new rules once
    it serves requests. Werkzeug's match, with its search for redirects, takes 6 % of a request.
    """

    fixed_rules: dict[tuple[str, str], Rule]

    def match(  # type: ignore[override]
        self,
        path_info: str | None = None,
        method: str | None = None,
        return_rule: bool = False,
        query_args: Any = None,
        websocket: bool | None = None,
    ) -> tuple[str | Rule, Any]:
        """Return the endpoint or the rule, and the values of its variable parts."""
        if not return_rule or not path_info is method is query_args is websocket is None:
            return super().match(path_info, method, return_rule, query_args, websocket)  # type: ignore[call-overload,no-any-return]
        key = self.default_method, self.path_info
        rule = self.fixed_rules.get(key)
        if rule is not None:
            return rule, {}
        rule, values = super().match(return_rule=True)
        if (
            not values
            and rule.rule == self.path_info
            and self.default_method in (rule.methods or ())
        ):
            self.fixed_rules[key] = rule
        return rule, values


class StandaloneFlask(Flask):
    """Flask without sessions and without coroutines, for less work per request."""

    session_interface: SessionInterface = _NullSessionInterface()

    def __init__(self, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self._fixed_rules: dict[tuple[str, str], Rule] = {}

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function unchanged: no view of this app is a coroutine."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return the adapter that Flask makes; directly for a plain host and path.

        Flask and Werkzeug validate the host one after the other, and encode and decode each part:
        5 % of a request.
        """
        if request is None:
            return super().create_url_adapter(request)
        environ, config, url_map = request.environ, self.config, self.url_map
        host = environ.get("HTTP_HOST", "")
        script, path = environ.get("SCRIPT_NAME"), environ.get("PATH_INFO")
        query = environ.get("QUERY_STRING")
        if (
            script is None
            or path is None
            or query is None
            or not (script.isascii() and path.isascii() and query.isascii())
            or not _is_plain_host(host)
            or "HTTP_UPGRADE" in environ
            or config.get("TRUSTED_HOSTS") is not None
            or request.trusted_hosts is not None
            or config["SERVER_NAME"] is not None
            or self.subdomain_matching
            or url_map.host_matching
        ):
            return super().create_url_adapter(request)
        request.host = host
        subdomain, scheme = url_map.default_subdomain or "", environ["wsgi.url_scheme"]
        method = environ["REQUEST_METHOD"]
        adapter = _UrlAdapter(url_map, host, script, subdomain, scheme, path, method, query)
        adapter.fixed_rules = self._fixed_rules
        return adapter

    def preprocess_request(self, *arguments: Any) -> Any:
        """Run the functions before a request, if there are any.

        Flask searches them by the names of the blueprints: 2 % of a request, here and below.
        """
        if self.url_value_preprocessors or self.before_request_funcs:
            return super().preprocess_request(*arguments)
        return None

    def do_teardown_request(self, *arguments: Any) -> None:
        """Run the functions after a request, if there are any."""
        # Flask 2.2 without the package blinker has a signal without receivers.
        if self.teardown_request_funcs or getattr(request_tearing_down, "receivers", None):
            super().do_teardown_request(*arguments)


@lru_cache(maxsize=256)
def _is_plain_host(host: str) -> bool:
    return _PLAIN_HOST.fullmatch(host) is not None
