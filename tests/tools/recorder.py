"""Call live services, and write their responses as the contract kit reads them.

The files hold neither secrets nor phone numbers: each is replaced by a placeholder, the same one in
every place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from adapter.account import Account
from adapter.plugin import (
    Action,
    Command,
    Contact,
    Headers,
    HttpRequest,
    HttpResponse,
    LocalProvider,
    Outcome,
    Provider,
    Secret,
    json_response,
)
from adapter.service import Service, new_request_id
from adapter.settings.loader import load_settings
from adapter.settings.toml_file import read_toml
from adapter.strict_json import write_json
from adapter.testing import LIVE_FILE, PLAIN_NUMBER, Provenance, mutations
from adapter.testing.exchanges import ANY_SUCCESS_STATUS

KEPT_HEADERS = ("Content-Type", "Date", "Retry-After")
_NUMBER = re.compile(r"[0-9](?:[\s().-]{0,3}[0-9]){7,}")
"""Eight digits or more, written in one of the ways in which people write phone numbers."""

Seen = tuple[Command, HttpRequest, HttpResponse]


def record_live(config: Path, contact: Contact, answers: Path) -> list[str]:
    """Call the service of every account of a configuration; return a line for each written file.

    The contact is blocked and, whatever the result, unblocked. Raises AssertionError with every
    call that did not succeed; for an account with such a call, nothing is written.
    """
    service = Service(load_settings(read_toml(config)))
    try:
        return record_accounts(service.accounts.values(), contact, answers)
    finally:
        service.close()


def record_accounts(accounts: Iterable[Account], contact: Contact, answers: Path) -> list[str]:
    """Call each account whose provider has a service; see `record_live`."""
    day = datetime.now(UTC).date().isoformat()
    recorded: dict[type[Provider], list[dict[str, Any]]] = {}
    faults: list[str] = []
    for account in accounts:
        if isinstance(account.provider, LocalProvider):
            continue
        seen, failed = call(account, contact)
        faults += failed
        if not failed:
            exchanges = recorded.setdefault(type(account.provider), [])
            exchanges += Scrubbed(account.provider, contact).exchanges(seen)
    written = []
    for provider, exchanges in recorded.items():
        path = answers / provider.name / LIVE_FILE
        path.parent.mkdir(exist_ok=True)
        shared = {
            "source": "the live service",
            "date": day,
            "provenance": Provenance.SEEN_LIVE,
        }
        document = {**shared, "exchanges": exchanges}
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
        written.append(f'{path}: read it, and set verified_on = "{day}" in {provider.__name__}')
    assert not faults, "\n".join([*faults, *written])
    return written


def call(account: Account, contact: Contact) -> tuple[list[Seen], list[str]]:
    """Block and unblock the contact, reading the list after each change, if there is one.

    Return every request with its response, and a line for each call that did not succeed.
    """
    seen: list[Seen] = []
    faults: list[str] = []
    send = account.send
    for action in (Action.BLOCK, Action.LIST, Action.UNBLOCK, Action.LIST):
        command = Command(action, None if action is Action.LIST else contact)
        if action not in account.provider.actions():
            continue

        def remember(
            request: HttpRequest, *rest: Any, command: Command = command
        ) -> HttpResponse | Outcome:
            answer = send(request, *rest)
            if isinstance(answer, HttpResponse):
                seen.append((command, request, answer))
            return answer

        account.send = remember
        try:
            outcome, _ = account.call(command, new_request_id())
        except Exception as error:  # noqa: BLE001 - the contact must not stay blocked for our bug
            faults.append(f"{account.name}: {action} raised {type(error).__name__}")
            continue
        finally:
            account.send = send
        if outcome.code is not None:
            upstream = outcome.upstream_status
            faults.append(f"{account.name}: {action} became {outcome.code.value} ({upstream})")
    return seen, faults


class Scrubbed:
    """Replaces the secrets of a provider, and the people in its exchanges, by placeholders."""

    def __init__(self, provider: Provider, contact: Contact) -> None:
        self._others = count(100)
        self._digits = {contact.number: PLAIN_NUMBER}
        fields = type(provider).Options().fields
        keys = {each.attribute or name: each.data_key or name for name, each in fields.items()}
        given = {place: provider.options[place] for place in keys if place in provider.options}
        secrets = {place: each for place, each in given.items() if isinstance(each, Secret)}
        self._secrets = {
            written: f"<{keys[place]}>"
            for place, secret in secrets.items()
            for written in (secret.reveal(), quote(secret.reveal(), safe=""))
        }
        plain = {place: self.json(each) for place, each in given.items() if place not in secrets}
        self._options = {keys[place]: each for place, each in plain.items()}
        self._right, self._provider = provider, type(provider)({**plain, **secrets})

    def exchanges(self, seen: list[Seen]) -> Iterator[dict[str, Any]]:
        """Yield the exchanges in the format of the answers files."""
        for command, request, response in seen:
            yield self._exchange(command, request, response)

    def text(self, text: str) -> str:
        """Return the text with placeholders for every secret and every number."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, self._secrets[secret])
        return _NUMBER.sub(lambda found: self._placeholder(found[0]), text)

    def json(self, value: Any) -> Any:
        """Return a JSON value, or a mapping of texts, with placeholders in all of it."""
        if isinstance(value, Mapping):
            return {self.text(key): self.json(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.json(item) for item in value]
        if isinstance(value, int) and not isinstance(value, bool):
            return int(self.text(str(value)))
        return self.text(value) if isinstance(value, str) else value

    def _placeholder(self, written: str) -> str:
        digits = re.sub(r"[^0-9]", "", written)
        if digits not in self._digits:
            self._digits[digits] = f"1415555{next(self._others):04}"
        return self._digits[digits]

    def _exchange(
        self, command: Command, request: HttpRequest, response: HttpResponse
    ) -> dict[str, Any]:
        contact = command.contact and Contact.from_jid(self.text(str(command.contact.jid)))
        scrubbed = Command(command.action, contact)
        scrubbed_response = self._response(response)
        outcome = self._provider.parse_response(scrubbed, scrubbed_response)
        real = self._right.parse_response(command, response)
        same = (outcome.code, outcome.confirmation) == (real.code, real.confirmation)
        assert same, f"{command.action}: without the numbers the response has another outcome"
        written: dict[str, Any] = {
            "title": f"{command.action}: {response.status}",
            "options": self._options,
            "command": {"action": command.action.value, "contact": contact and contact.jid},
            "request": self._request(request),
            "response": {
                "status": scrubbed_response.status,
                "headers": dict(scrubbed_response.headers),
            },
            "outcome": write_outcome(outcome),
        }
        if scrubbed_response.document is not None:
            written["response"]["body"] = scrubbed_response.document
        else:
            written["response"]["text"] = scrubbed_response.body.decode()
        if outcome.ok:
            written["evidence"] = find_evidence(self._provider, scrubbed, scrubbed_response)
        if outcome.contacts is not None:
            following = self._right.build_next_page(command, response)
            written["next"] = following and self._request(following)
        return written

    def _request(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "method": request.method,
            "path": self.text(request.path),
            "headers": self.json(request.headers),
            "query": self.json(request.query),
            "json": self.json(request.json),
        }

    def _response(self, response: HttpResponse) -> HttpResponse:
        headers = {
            name: self.text(response.headers[name]) if name != "Date" else response.headers[name]
            for name in KEPT_HEADERS
            if name in response.headers
        }
        if response.document is not None:
            return json_response(response.status, self.json(response.document), headers)
        body = self.text(response.body.decode("utf-8", "replace"))
        return HttpResponse(response.status, Headers(headers), body.encode())


def write_outcome(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome in the format of the answers files."""
    contacts = None
    if outcome.contacts is not None:
        contacts = [
            {"number": each.number, "lid": each.lid, "user_id": each.user_id}
            for each in outcome.contacts
        ]
    written = {
        "code": outcome.code and outcome.code.value,
        "confirmation": outcome.confirmation and outcome.confirmation.value,
        "contacts": contacts,
        "others": outcome.others or None,
        "retry_after": outcome.retry_after,
        "fields": list(outcome.fields) or None,
        "provider_code": outcome.provider_code,
    }
    return {key: value for key, value in written.items() if value is not None}


def find_evidence(provider: Provider, command: Command, response: HttpResponse) -> list[str]:
    """Return the evidence of a success: the values of which every change ends it."""

    def succeeds(status: int, body: bytes) -> bool:
        changed = HttpResponse(status, response.headers, body)
        return provider.parse_response(command, changed).ok

    if response.document is None:
        return []
    ends: dict[str, bool] = {}
    optional = set()
    for pointer, what, document in mutations(response.document):
        survived = succeeds(response.status, write_json(document))
        if what != "nothing":
            ends[pointer] = ends.get(pointer, True) and not survived
        elif survived:
            optional.add(pointer)
    proving = [pointer for pointer, all_end in ends.items() if pointer and all_end]
    parts = [
        pointer
        for pointer in proving
        if not any(other.startswith(f"{pointer}/") for other in proving)
    ]
    found = [f"{pointer}?" if pointer in optional else pointer for pointer in parts]
    others = set(range(200, 227)) - {response.status}
    several = any(succeeds(each, response.body) for each in others)
    return [*found, ANY_SUCCESS_STATUS] if several else found
