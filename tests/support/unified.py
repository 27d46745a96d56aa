"""Configurations, addresses and checks of the tests of the unified API."""

from __future__ import annotations

from importlib.metadata import version

from werkzeug.test import TestResponse

from support import (
    ENVELOPE_KEYS,
    JID,
    NUMBER,
    code_named,
)

OLD_WERKZEUG = version("werkzeug").startswith("2.")
"""Werkzeug 2: its test client cannot send invalid hosts, and it merges slashes in paths."""

MEMORY = {"accounts": {"support": {"provider": "memory"}}}
TWO = {
    "default_account": "support",
    "accounts": {"support": {"provider": "memory"}, "sales": {"provider": "memory"}},
}
BLOCK, UNBLOCK, BLOCKED = "/v1/contacts/block", "/v1/contacts/unblock", "/v1/contacts/blocked"
CONTACT = {"jid": JID, "number": NUMBER, "lid": None, "user_id": None}


def code_of(response: TestResponse) -> str | None:
    document = response.get_json()
    assert list(document) == ENVELOPE_KEYS
    assert document["success"] is (document["error"] is None) is (response.status_code == 200)
    if document["error"] is None:
        return None
    code = code_named(document["error"]["code"])
    assert document["data"] is None
    assert response.status_code == code.http_status
    assert document["error"]["outcome"] == code.applied
    assert document["error"]["retry"] == code.retry
    value: str = code.value
    return value
