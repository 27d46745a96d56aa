"""The parts of a request, by the functions on the stack of a sample."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import adapter

PARSE: Final = "server: parse, environ"
SEND: Final = "server: send the response"
SERVER: Final = "server: worker, event loop"
FLASK: Final = "Flask"
VIEW: Final = "view"
AUTH: Final = "auth, account lookup"
BODY: Final = "body, validation"
CONTACT: Final = "contact parsing"
SERVICE: Final = "service"
PROVIDER: Final = "provider: build, parse"
TRANSPORT: Final = "transport"
RESILIENCE: Final = "resilience"
ENVELOPE: Final = "envelope"
RESPONSE: Final = "response"
LOG: Final = "log line"
METRICS: Final = "metrics"
DIALECT: Final = "dialect"
_CALLER: Final = ""
"""The part of helpers: their time counts for their caller."""


class Function(NamedTuple):
    """A function by its file and its qualified name."""

    file: str
    name: str


class Rule(NamedTuple):
    """The part of the functions of a module or a package, or of some of them by their names."""

    module: str
    part: str
    names: str = ""


RULES: Final = (
    Rule("adapter/strict_json.py", _CALLER),
    Rule("adapter/containment.py", _CALLER),
    Rule("adapter/codes.py", _CALLER),
    Rule("adapter/http.py", _CALLER),
    Rule("adapter/logs.py", LOG),
    Rule("adapter/privacy.py", LOG),
    Rule("adapter/redaction.py", LOG),
    Rule("adapter/api_keys.py", AUTH),
    Rule("adapter/settings/account_names.py", AUTH),
    Rule("adapter/request_fields.py", CONTACT),
    Rule("adapter/contacts/", CONTACT),
    Rule("adapter/results.py", ENVELOPE),
    Rule("adapter/service.py", LOG, "describe"),
    Rule("adapter/service.py", AUTH, r"\.choose_account"),
    Rule("adapter/service.py", CONTACT, "contact"),
    Rule("adapter/service.py", SERVICE),
    Rule("adapter/account.py", LOG, "_log"),
    Rule("adapter/account.py", PROVIDER, "_Call"),
    Rule("adapter/account.py", SERVICE),
    Rule("adapter/transport/resilience.py", RESILIENCE),
    Rule("adapter/transport/breaker.py", RESILIENCE),
    Rule("adapter/transport/intents.py", RESILIENCE),
    Rule("adapter/transport/", TRANSPORT),
    Rule("adapter/web/context.py", BODY, "body"),
    Rule("adapter/web/context.py", LOG, r"\.log"),
    Rule("adapter/web/context.py", ENVELOPE, "envelope"),
    Rule("adapter/web/context.py", RESPONSE),
    Rule("adapter/web/body.py", BODY),
    Rule("adapter/web/request_schemas.py", BODY),
    Rule("adapter/web/auth.py", AUTH),
    Rule("adapter/web/metrics.py", METRICS),
    Rule("adapter/web/app.py", FLASK),
    Rule("adapter/web/dialect_views.py", DIALECT),
    Rule("adapter/web/views.py", BODY, "^_(read|parse)_"),
    Rule("adapter/web/", VIEW),
    Rule("adapter/dialect.py", DIALECT),
    Rule("providers/", DIALECT, "Dialect"),
    Rule("providers/", PROVIDER),
    Rule("adapter/provider.py", PROVIDER),
    Rule("adapter/error_rules.py", PROVIDER),
    Rule("adapter/route.py", PROVIDER),
    Rule("adapter/evidence.py", PROVIDER),
)
"""The first rule that fits the innermost function of the project; libraries count for it."""

OUTER_RULES: Final = (
    Rule("flask/", FLASK),
    Rule("werkzeug/", FLASK),
    Rule("gunicorn/http/wsgi.py", SEND, r"^(Response|FileWrapper)"),
    Rule("gunicorn/util.py", SEND, "^write"),
    Rule("gunicorn/http/", PARSE),
    Rule("gunicorn/config.py", _CALLER),
    Rule("adapter/server/", SEND, "Response"),
    Rule("adapter/server/", PARSE, "(?i)environ|parse"),
    Rule("adapter/server/", SERVER),
    Rule("gunicorn/", SERVER),
)
"""Rules for a stack without a function of the project but the server's; without a fit, `SERVER`."""

_ROOT: Final = Path(adapter.__file__).parents[1]
_STANDARD: Final = Path(sysconfig.get_path("stdlib"))
_OUTER: Final = ("adapter/server/", "adapter/__main__.py", "adapter/cli.py")
"""Modules of the project that are on the stack of every request."""


def module_of(file: str) -> str:
    """Return the path of a module below site-packages, the project or the standard library."""
    path = Path(file)
    if "site-packages" in path.parts:
        return "/".join(path.parts[path.parts.index("site-packages") + 1 :])
    for root in (_ROOT, _STANDARD):
        if path.is_relative_to(root):
            return str(path.relative_to(root))
    return path.name


def part_of(stack: Sequence[Function]) -> str:
    """Return the part of a stack, whose innermost function is the first."""
    for function in stack:
        module = module_of(function.file)
        part = _find(RULES, module, function.name)
        if part is None and module.startswith("adapter/") and not module.startswith(_OUTER):
            part = f"other: {module}"
        if part:
            return part
    for function in stack:
        part = _find(OUTER_RULES, module_of(function.file), function.name)
        if part:
            return part
    return SERVER


def _find(rules: Sequence[Rule], module: str, name: str) -> str | None:
    for rule in rules:
        if module.startswith(rule.module) and re.search(rule.names, name):
            return rule.part
    return None
