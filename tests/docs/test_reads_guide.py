"""The reads and the batches in the guide to providers: its classes keep the contract."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from support.pages import page
from support.toy import contract_for, failures, write_answers

from adapter import plugin as p
from adapter.plugin_checks import check_provider
from adapter.provider_batches import ProviderBatches
from adapter.provider_reads import ProviderReads
from adapter.response_rules import read_part, split_response

GUIDE = page("providers/README.md")


def blocks(language: str) -> list[str]:
    return [block.text for block in GUIDE.blocks(language)]


def run_block(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "acme"}
    exec(text, names)
    return names


@pytest.fixture
def provider() -> type[p.Provider]:
    """Return the provider of the guide, with its reads, and its changes of many contacts."""
    changes, reads, many = map(run_block, blocks("python"))
    bases = (many["AcmeBatches"], reads["AcmeReads"], changes["AcmeProvider"])
    routes = {**bases[2].routes, **bases[1].routes}
    return type("AcmeProvider", bases, {"__module__": __name__, "routes": routes})


def exchanges() -> list[dict[str, Any]]:
    """Return the responses of both sections, and the other readings of the three that are shown."""
    (changes, reads) = map(json.loads, blocks("json"))
    status, lookup, state = reads["exchanges"]
    offline, other, gone, absent, unblocked = map(
        copy.deepcopy, (status, status, status, lookup, state)
    )
    offline["response"]["body"]["state"] = "offline"
    offline["outcome"] = {"status": "not_connected", "word": "offline"}
    other["response"]["body"]["state"] = "asleep"
    other["outcome"] = {"status": "unknown"}
    gone["response"] = {"status": 404, "body": {"ok": False, "error": "NO_SESSION"}}
    gone["outcome"] = {"code": "session_not_found"}
    del gone["evidence"]
    absent["response"]["body"]["results"] = [{"phone": "5511999999999", "exists": False}]
    absent["outcome"] = {"lookups": [{"on_whatsapp": False}]}
    absent["evidence"].remove("/results/0/jid")
    unblocked["response"]["body"]["blocked"] = False
    unblocked["outcome"] = {"blocked": False}
    reads["exchanges"] += [offline, other, gone, absent, unblocked]
    return [
        {**shared, **each}
        for document in (changes, reads)
        for shared in [{name: document[name] for name in ("source", "date", "provenance")}]
        for each in document["exchanges"]
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("few_statuses")
def test_the_reads_of_the_guide_keep_the_contract(
    provider: type[p.Provider], tmp_path: Path
) -> None:
    folder = write_answers(tmp_path / "acme", exchanges())
    assert failures(contract_for(folder, provider, options={"session": "my-session"})) == {}


def test_every_declaration_and_method_of_reads_is_in_the_guide() -> None:
    section = GUIDE.text.partition("\n### Reads\n")[2].partition("\n## ")[0]
    names = [name for name in vars(ProviderReads) if not name.startswith("_")]
    assert len(names) >= 14
    assert [name for name in names if name not in section] == []


def test_the_declaration_and_the_methods_of_batches_are_in_the_guide() -> None:
    section = GUIDE.text.partition("\n### Many contacts in one request\n")[2].partition("\n## ")[0]
    names = [name for name in vars(ProviderBatches) if not name.startswith("_")]
    assert [name for name in names if name not in section] == []
    assert len(names) == 3


RESULTS = [
    {"phone": "5511999999999", "ok": True, "blocked": True},
    {"phone": "14155550123", "ok": False, "error": "SESSION_OFFLINE"},
]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"results": RESULTS}, [None, "session_not_connected", "provider_bad_response"]),
        (200, {"results": RESULTS * 2}, ["provider_bad_response"] * 3),
        (200, {"ok": True, "blocked": True}, ["provider_bad_response"] * 3),
        (409, {"ok": False, "error": "SESSION_OFFLINE"}, ["session_not_connected"] * 3),
        (500, {}, ["provider_error"] * 3),
    ],
    ids=str,
)
def test_the_batches_of_the_guide_have_an_outcome_for_each_contact(
    provider: type[p.Provider], status: int, body: dict[str, Any], expected: list[str | None]
) -> None:
    check_provider(provider)
    acme = provider({"token": p.Secret("t"), "session": "s"})
    numbers = ["5511999999999", "14155550123", "16505550000"]
    commands = [p.Command(p.Action.BLOCK, p.Contact(number)) for number in numbers]
    request = acme.build_batch_request(commands)
    assert (request.path, request.json) == ("/sessions/s/block", {"phones": numbers})
    response = p.json_response(status, body)
    parts = split_response(acme, commands, response)
    codes = [read_part(acme, *each, response).code for each in zip(commands, parts, strict=True)]
    assert [code and code.value for code in codes] == expected
