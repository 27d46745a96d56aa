"""Check the headers that an account adds to its requests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from adapter.config_names import display_key
from adapter.header_rules import HEADER_NAME, HEADER_VALUE, RESERVED_HEADERS
from adapter.provider import LocalProvider, Provider
from adapter.secret import Secret
from adapter.settings.validation import Validator

_CHANGES_MEANING: Final = re.compile(
    r"if-.*|range|content-range|idempotency-key|x-original-url|x-rewrite-url"
    r"|(x-)?http-method(-override)?|x-method-override"
)
"""Headers, in lower case, that change the meaning of the request that carries them."""


def check_headers(
    validator: Validator,
    path: str,
    provider: type[Provider],
    headers: Mapping[str, str | Secret],
) -> None:
    """Report invalid headers, and those that the adapter or the provider writes."""
    if headers and issubclass(provider, LocalProvider):
        validator.report(path, "this provider sends no requests; remove the table")
    written_by_provider = {name.lower() for name in provider.header_templates}
    found: set[str] = set()
    for name, value in headers.items():
        here, lower = f"{path}.{display_key(name)}", name.lower()
        text = value.reveal() if isinstance(value, Secret) else value
        if not re.fullmatch(HEADER_NAME, name):
            validator.report(path, "one of the names is not valid; use letters, digits and dashes")
        elif lower in found:
            validator.report(here, "is set twice, as case does not matter; remove one of them")
        elif lower in RESERVED_HEADERS or lower.startswith("proxy-"):
            validator.report(here, "is written by the adapter; remove it")
        elif _CHANGES_MEANING.fullmatch(lower):
            validator.report(here, "would change the meaning of the requests; remove it")
        elif lower in written_by_provider:
            validator.report(here, f"is written by the provider {provider.name}; remove it")
        elif not re.fullmatch(HEADER_VALUE, text):
            validator.report(here, "must be visible ASCII without leading or trailing spaces")
        found.add(lower)
