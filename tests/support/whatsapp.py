"""WhatsApp behind a provider, on loopback: who is who, what a change does, and what a list shows.

A `Wire` is how one provider writes it. To add a provider, add its wire to `WIRES`; the table in
providers/README.md then has it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from adapter import Action, Command, Contact, Result, Secret, verification
from adapter.codes import Verify
from adapter.service import Service
from adapter.settings.loader import load_settings
from support.raw_server import Peer, RawServer, http_response

LONG: Final = "5511999990001"
"""The number that is blocked."""
SHORT: Final = "551199990001"
"""Its form without the ninth digit, as which WhatsApp keeps it in one behaviour."""
LID: Final = "100000000000001@lid"
OTHER: Final = "14155550123"
"""A number that is in every list."""
OTHER_LID: Final = "100000000000002@lid"
USER_IDS: Final = {LID: "BR.13491208655302741918", OTHER_LID: "US.13491208655302741919"}
BLOCK: Final = Command(Action.BLOCK, Contact(LONG))


@dataclass(frozen=True)
class Entry:
    """A person in a list: the number as WhatsApp has it, and the LID."""

    number: str
    lid: str
    shows_number: bool = True


@dataclass(frozen=True)
class Wire:
    """How a provider writes what WhatsApp does.

    `changed` is the body after a change of an entry, with the requested number and the list; `read`
    is the body of the response to a read of this target (method and path), with the list and the
    person of the number that is blocked.
    """

    options: Mapping[str, Any]
    changed: Callable[[Entry, list[Entry]], Any]
    read: Callable[[str, list[Entry], Entry], Any]
    changed_status: int = 200


def _wuts_entry(entry: Entry) -> dict[str, Any]:
    if entry.shows_number:
        return {"jid": f"{entry.number}@s.whatsapp.net", "phone_number": entry.number}
    return {"jid": entry.lid, "phone_number": None}


def _wuts_list(_: str, entries: list[Entry], __: Entry) -> Any:
    items = [_wuts_entry(each) for each in entries]
    return {"success": True, "data": {"items": items, "count": len(items)}}


def _wuts_changed(entry: Entry, _: list[Entry]) -> Any:
    data = {**_wuts_entry(entry), "action": "block", "blocked": True}
    return {"success": True, "data": data}


def _meta_entry(entry: Entry) -> dict[str, Any]:
    return {"wa_id": entry.number} if entry.shows_number else {"user_id": USER_IDS[entry.lid]}


def _meta_list(_: str, entries: list[Entry], __: Entry) -> Any:
    return {"data": [{"messaging_product": "whatsapp", **_meta_entry(each)} for each in entries]}


def _meta_changed(entry: Entry, _: list[Entry]) -> Any:
    users = [{"input": f"+{LONG}", **_meta_entry(entry)}]
    return {"messaging_product": "whatsapp", "block_users": {"added_users": users}}


def _go_changed(_: Entry, entries: list[Entry]) -> Any:
    jids = [f"{each.number}@s.whatsapp.net" if each.shows_number else each.lid for each in entries]
    return {"message": "success", "data": {"JIDs": jids}}


def _go_read(target: str, entries: list[Entry], person: Entry) -> Any:
    if target != "POST /user/check":
        return _go_changed(person, entries)
    user = {"Query": f"+{LONG}", "IsInWhatsapp": True, "LID": person.lid}
    user["JID"] = f"{person.number}@s.whatsapp.net"
    return {"message": "success", "data": {"Users": [user]}}


def _waha_changed(_: Entry, __: list[Entry]) -> Any:
    return b""


def _waha_read(target: str, entries: list[Entry], person: Entry) -> Any:
    chat_id = f"{person.number}@c.us" if person.shows_number else person.lid
    if "check-exists" in target:
        return {"numberExists": True, "chatId": chat_id}
    return {"id": chat_id, "isBlocked": person in entries}


WIRES: Final[Mapping[str, Wire]] = {
    "evolution-go": Wire({"token": Secret("t")}, _go_changed, _go_read),
    "meta-cloud": Wire(
        {"token": Secret("t"), "phone_number_id": "1"},
        _meta_changed,
        _meta_list,
    ),
    "waha": Wire({"api_key": Secret("t")}, _waha_changed, _waha_read, changed_status=201),
    "wuts": Wire({"token": Secret("t")}, _wuts_changed, _wuts_list),
}
"""The wire of each provider that can read a change back."""


@dataclass(frozen=True)
class Behaviour:
    """What WhatsApp, or the provider in front of it, does with a change, and what its reads show.

    `applies`: after how many reads the change takes effect; None: never. `responds`: with a
    response, or the connection is lost. `status`: of the reads.
    """

    title: str
    applies: int | None = 0
    responds: bool = True
    number: str = LONG
    shows_numbers: bool = True
    status: int = 200


BEHAVIOURS: Final = (
    Behaviour("makes the change"),
    Behaviour("reports success, and changes nothing", applies=None),
    Behaviour("reports success, and makes the change 800 ms later", applies=1),
    Behaviour("makes the change, and loses the response", responds=False),
    Behaviour("loses the response, and changes nothing", applies=None, responds=False),
    Behaviour("loses the response, and makes the change 800 ms later", applies=1, responds=False),
    Behaviour("lists LIDs alone (Meta: user ids)", shows_numbers=False),
    Behaviour("lists LIDs alone, and loses the response", responds=False, shows_numbers=False),
    Behaviour("keeps the number without its ninth digit", number=SHORT),
    Behaviour(
        "keeps it without its ninth digit, and loses the response", number=SHORT, responds=False
    ),
    Behaviour("reports success, and its reads fail", status=500),
    Behaviour("loses the response, and its reads fail", responds=False, status=500),
)


@dataclass
class WhatsApp:
    """A script of `RawServer`: a provider with a behaviour, in front of one block list."""

    wire: Wire
    behaviour: Behaviour
    before_read: Callable[[Peer], object] = lambda _: None
    changes: int = 0
    reads: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def entries(self) -> list[Entry]:
        """Return the list as it is now: another person, and ours as soon as it is blocked."""
        shown = self.behaviour.shows_numbers
        found = [Entry(OTHER, OTHER_LID, shown)]
        applies = self.behaviour.applies
        if self.changes and applies is not None and self.reads >= applies:
            found.append(self.person)
        return found

    @property
    def person(self) -> Entry:
        """The person of the number that is blocked."""
        return Entry(self.behaviour.number, LID, self.behaviour.shows_numbers)

    def __call__(self, peer: Peer) -> None:
        """Respond to every request of a connection."""
        while peer.read_request():
            method = peer.request.split(b" ", 1)[0].decode()
            if method == "POST" and "block" in peer.target:
                with self.lock:
                    self.changes += 1
                    body = self.wire.changed(self.person, self.entries())
                if not self.behaviour.responds:
                    return
                peer.write(http_response(self.wire.changed_status, body))
                continue
            self.before_read(peer)
            with self.lock:
                body = self.wire.read(f"{method} {peer.target}", self.entries(), self.person)
                self.reads += 1
            status = self.behaviour.status
            peer.write(http_response(status, body if status == 200 else {"error": "failed"}))


@contextmanager
def service_with(
    provider: str, script: Callable[[Peer], None], **account: Any
) -> Iterator[tuple[Service, RawServer]]:
    """Open a service with the account `a` of a provider behind which WhatsApp is this script."""
    with RawServer(script) as server:
        table = {"provider": provider, "base_url": server.address, **WIRES[provider].options}
        service = Service(load_settings({"accounts": {"a": {**table, **account}}}))
        try:
            yield service, server
        finally:
            service.close()


@contextmanager
def without_delays() -> Iterator[None]:
    """Read a second time at once: the stub counts reads in place of milliseconds."""
    before = verification.RECHECK_DELAY
    verification.RECHECK_DELAY = 0.001  # type: ignore[misc]
    try:
        yield
    finally:
        verification.RECHECK_DELAY = before  # type: ignore[misc]


def block(provider: str, behaviour: Behaviour, verify: Verify) -> Result:
    """Return the result of blocking `LONG`, without the delay before a second read."""
    whatsapp = WhatsApp(WIRES[provider], behaviour)
    with without_delays(), service_with(provider, whatsapp, verify=verify.value) as (service, _):
        return service.perform("a", BLOCK)


def describe(result: Result) -> str:
    """Return what a caller gets, in a few words."""
    envelope = json.loads(json.dumps(result.envelope()))
    data, error = envelope["data"] or {}, envelope["error"]
    words = [f"`{error['code']}`" if error else f"`{data['confirmation']}`"]
    if error:
        words.append(error["outcome"])
    if result.outcome.verification.reads:
        reason = data["verified_reason"]
        shown = {True: "true", False: "false", None: f"null ({reason})"}[data["verified"]]
        words.append(f"verified: {shown}")
    return ", ".join(words)
