"""The recorder of live responses: their format, without secrets and people.

The services are on loopback here: our own dialects, and a server of the tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support import BUILT_IN, DIALECTS, Upstream, account_for, free_port
from support.contracts import ANSWERS, CONTRACTS
from tools import recorder
from tools.recorder import Scrubbed, record_accounts, record_live

from adapter.account import Account
from adapter.plugin import Contact, HttpRequest, HttpResponse, json_response
from adapter.service import Service
from adapter.settings.loader import load_settings
from adapter.testing import LIVE_FILE, ProviderContract, read_answers

pytestmark = [pytest.mark.slow, pytest.mark.no_cover, pytest.mark.usefixtures("few_statuses")]

PERSON = Contact("5531987650123")
THIRD_PARTY = Contact("4915112345678")
TOKEN = "live-token-5f1b"


def account(provider: str, address: str, **more: Any) -> Account:
    table = {**account_for(provider, address, token=TOKEN), **more}
    return Service(load_settings({"accounts": {"live": table}})).accounts["live"]


def record(live: Account, answers: Path) -> str:
    """Record an account beside the provider's other responses; return the text of the file."""
    name = live.provider.name
    shutil.copytree(ANSWERS / name, answers / name)
    try:
        (line,) = record_accounts([live], PERSON, answers)
    finally:
        live.close()
    assert f"in {type(live.provider).__name__}" in line
    return (answers / name / LIVE_FILE).read_text("utf-8")


def keeps_its_contract(name: str, answers: Path) -> None:
    """Run the contract of a provider that is verified on the day of its live responses."""
    day = json.loads((answers / name / LIVE_FILE).read_text("utf-8"))["date"]
    verified = type("Verified", (BUILT_IN[name],), {"verified_on": day})
    attributes = {"provider": verified, "answers": answers / name}
    contract = type("Contract", (CONTRACTS[name],), attributes)
    for clause in ProviderContract.clauses():
        getattr(contract(), clause)()


@pytest.mark.parametrize("name", DIALECTS)
def test_recorded_responses_keep_the_contract_and_name_nobody(
    name: str, origin: str, tmp_path: Path
) -> None:
    live = account(name, f"{origin}/dialects/{name}")
    written = record(live, tmp_path)
    for private in (TOKEN, PERSON.number, origin):
        assert str(private) not in written
    actions = [each["command"]["action"] for each in json.loads(written)["exchanges"]]
    listed = ["list"] if "list" in live.provider.actions() else []
    assert actions == ["block", *listed, "unblock", *listed]
    keeps_its_contract(name, tmp_path)


class Scripted:
    """In place of a network: a service that sends its responses one after the other."""

    def __init__(self, *responses: HttpResponse) -> None:
        self.responses = list(responses)

    def __call__(self, request: HttpRequest, *_: Any) -> HttpResponse:
        return self.responses.pop(0)


def meta_user(key: str) -> HttpResponse:
    user = {"input": f"+{PERSON.number}", "wa_id": PERSON.number}
    return json_response(200, {"messaging_product": "whatsapp", "block_users": {key: [user]}})


def meta_page(*people: Contact, after: str | None = None) -> HttpResponse:
    paging = {"paging": {"cursors": {"after": after}}} if after else {}
    users = [{"messaging_product": "whatsapp", "wa_id": each.number} for each in people]
    return json_response(200, {"data": users, **paging})


def test_pages_of_a_list_are_recorded_with_the_request_for_the_next(tmp_path: Path) -> None:
    live = account("meta-cloud", "http://127.0.0.1:1", phone_number_id="100200300400500")
    live.send = Scripted(
        meta_user("added_users"),
        meta_page(PERSON, THIRD_PARTY, after=f"cursor-{THIRD_PARTY.number}"),
        meta_page(Contact("12025550143"), after="cursor-3"),
        meta_page(),
        meta_user("removed_users"),
        meta_page(THIRD_PARTY),
    )
    written = record(live, tmp_path)
    for private in (TOKEN, PERSON.number, THIRD_PARTY.number, "100200300400500"):
        assert str(private) not in written
    exchanges = read_answers(tmp_path / "meta-cloud", {"token": "x"})
    live_ones = [each for each in exchanges if each.file == LIVE_FILE]
    pages = [each for each in live_ones if each.outcome.contacts is not None]
    assert [len(each.outcome.contacts or ()) for each in pages] == [2, 1, 0, 1]
    leads_on = [each.next == following.request for each, following in pairwise(pages)]
    assert leads_on == [True, True, False]
    first, last = pages[0].outcome.contacts, pages[3].outcome.contacts
    assert first is not None
    assert last is not None
    same = {first[1].number, last[0].number}
    assert len(same) == 1, "a person has the same placeholder everywhere"
    keeps_its_contract("meta-cloud", tmp_path)


def test_a_number_in_any_notation_is_replaced() -> None:
    scrubbed = Scrubbed(account("wuts", "http://127.0.0.1:1").provider, PERSON)
    others: dict[str, str] = {}
    for text in (
        "5531987650123",
        "+55 31 98765-0123",
        "(+55) (31) 98765.0123",
        "5531987650123:12@s.whatsapp.net",
        "205227043110953@lid",
        f"Contact 4915112345678 of {TOKEN}",
    ):
        others[text] = scrubbed.text(text)
    assert others == {
        "5531987650123": "5511999999999",
        "+55 31 98765-0123": "+5511999999999",
        "(+55) (31) 98765.0123": "(+5511999999999",
        "5531987650123:12@s.whatsapp.net": "5511999999999:12@s.whatsapp.net",
        "205227043110953@lid": "14155550100@lid",
        f"Contact 4915112345678 of {TOKEN}": "Contact 14155550101 of <token>",
    }
    document = {"to": 5531987650123, "n": 7, "yes": True, "4915112345678": [None, "4915112345678"]}
    assert scrubbed.json(document) == {
        "to": 5511999999999,
        "n": 7,
        "yes": True,
        "14155550101": [None, "14155550101"],
    }


def test_a_failing_service_is_reported_and_not_recorded_and_the_contact_is_unblocked(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.will_answer(403, {"success": False, "error": f"{PERSON.number}"})
    live = account("wuts", upstream.address)
    with pytest.raises(AssertionError, match="live: block became provider_permission_denied") as e:
        record_accounts([live], PERSON, tmp_path)
    live.close()
    assert str(PERSON.number) not in str(e.value)
    assert "/contacts/unblock" in [each.path for each in upstream.seen]
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_service_is_reported(tmp_path: Path) -> None:
    live = account("wappfy", f"http://127.0.0.1:{free_port()}")
    seen, faults = recorder.call(live, PERSON)
    live.close()
    assert seen == []
    assert faults == [
        "live: block became provider_unreachable (None)",
        "live: unblock became provider_unreachable (None)",
    ]


def test_a_configuration_file_is_recorded_except_for_local_providers(
    origin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVE_TOKEN", TOKEN)
    config = tmp_path / "live.toml"
    config.write_text(
        '[accounts.here]\nprovider = "memory"\n[accounts.there]\nprovider = "wuts"\n'
        f'base_url = "{origin}/dialects/wuts"\ntoken = {{ env = "LIVE_TOKEN" }}\n'
    )
    answers = tmp_path / "answers"
    answers.mkdir()
    (line,) = record_live(config, PERSON, answers)
    assert "in WutsProvider" in line
    assert [path.name for path in answers.iterdir()] == ["wuts"]


def run_live(**environment: str) -> str:
    off = {key: each for key, each in os.environ.items() if "CONTACT_ADAPTER" not in key}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/live"],
        cwd=ANSWERS.parent.parent,
        env={**off, **environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout


def test_without_the_environment_no_live_service_is_called() -> None:
    out = run_live()
    assert "1 skipped" in out
    assert "set CONTACT_ADAPTER_LIVE" in out
    assert "passed" not in out
    assert "failed" not in out


def test_the_environment_turns_the_live_test_on(tmp_path: Path) -> None:
    missing = tmp_path / "live.toml"
    out = run_live(CONTACT_ADAPTER_LIVE=str(missing), CONTACT_ADAPTER_LIVE_CONTACT="+5531987650123")
    assert "1 failed" in out
    assert "ConfigurationError" in out
