"""The Cloud API on loopback, for changes of many users in one request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapter import Secret
from support.raw_server import Peer, http_response

CHANGED = {"POST": "added_users", "DELETE": "removed_users"}
WHOLE_ERROR = {"message": "…", "type": "OAuthException", "code": 139100, "fbtrace_id": "x"}


def meta_account(address: str, **options: Any) -> dict[str, Any]:
    """Return the configuration of an account of the Cloud API at an address."""
    return {
        "provider": "meta-cloud",
        "base_url": address,
        "token": Secret("t"),
        "phone_number_id": "1",
        **options,
    }


@dataclass
class ManyUsers:
    """A script of `RawServer`, with the users of each request that has arrived, and its list.

    `failed` are the error codes of users whose change fails; `missing` users have no result.
    `before` is called with each request's users, and may return a response in place of the usual.
    A response is sent `delay` seconds after its changes.
    """

    failed: dict[str, int] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    before: Callable[[Sequence[str]], bytes | None] = lambda users: None
    requests: list[tuple[str, list[str]]] = field(default_factory=list)
    blocked: set[str] = field(default_factory=set)
    lists: int = 0
    delay: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, peer: Peer) -> None:
        while peer.read_request():
            head, _, body = peer.request.partition(b"\r\n\r\n")
            method = head.partition(b" ")[0].decode()
            if method == "GET":
                self.lists += 1
                users = [{"wa_id": number} for number in sorted(self.blocked)]
                peer.write(http_response(200, {"data": users}))
                continue
            named = [each["user"].lstrip("+") for each in json.loads(body)["block_users"]]
            with self.lock:
                self.requests.append((method, named))
            response = self.before(named) or self.change(method, named)
            threading.Event().wait(self.delay)
            peer.write(response)

    def change(self, method: str, named: Sequence[str]) -> bytes:
        """Change the users but those who fail, and return the response."""
        results: dict[str, list[Any]] = {CHANGED[method]: [], "failed_users": []}
        with self.lock:
            for number in named:
                user: dict[str, Any] = {"input": f"+{number}", "wa_id": number}
                if number in self.failed:
                    errors = [{"code": self.failed[number], "message": "…"}]
                    results["failed_users"].append(user | {"errors": errors})
                    continue
                (self.blocked.add if method == "POST" else self.blocked.discard)(number)
                if number not in self.missing:
                    results[CHANGED[method]].append(user)
        document = {"messaging_product": "whatsapp", "block_users": results}
        if not results["failed_users"]:
            del results["failed_users"]
            return http_response(200, document)
        return http_response(400, {**document, "error": WHOLE_ERROR})
