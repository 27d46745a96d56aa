"""Z-API: its token stands in the path, which is looked at before anything is sent."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest
from adapter.providers.z_api import ZApiProvider
from support import JID, NUMBER, Upstream

from adapter import ConfigurationError, Secret, connect
from adapter.plugin import (
    Action,
    Code,
    Command,
    Contact,
    Lookup,
    Session,
    SessionState,
    json_response,
)
from adapter.settings.loader import load_settings

PROVIDER = ZApiProvider({"instance_id": "3C1A", "token": Secret("t"), "client_token": Secret("c")})


def configure(address: str, **options: Any) -> dict[str, Any]:
    account = {"provider": "z-api", "base_url": address, "instance_id": "3C1A7B2E"}
    secrets = {"token": Secret("0A1B2C3D"), "client_token": Secret("F/9/8/7")}
    return {"accounts": {"a": {**account, **secrets, **options}}}


@pytest.mark.parametrize("token", ["../up", "a/b", "..", ".", "a\\b", "x" * 200])
def test_a_token_that_is_not_safe_in_a_path_is_a_configuration_error(token: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(configure("https://z.example", token=Secret(token)))
    problem = "accounts.a.token: the secret is sent in a path; it must be 1 to 128 characters"
    assert problem in str(caught.value)
    assert len(token) < 3 or token not in str(caught.value)


@pytest.mark.parametrize("instance", ["../up", "a/b", "", ".."])
def test_an_instance_that_is_not_safe_in_a_path_is_a_configuration_error(instance: str) -> None:
    with pytest.raises(ConfigurationError, match=r"accounts\.a\.instance_id"):
        load_settings(configure("https://z.example", instance_id=instance))


@pytest.mark.parametrize(
    "token",
    [
        *("0A1B2C3D", "a.b_c-d", "a=b", "a+b", "a:b", "a@b"),
        *("a?b", "a#b", "a%2fb", ".hidden", "a;b"),
    ],
)
def test_a_token_is_sent_as_it_is(upstream: Upstream, token: str) -> None:
    upstream.will_answer(200, {"value": True})
    with connect(configure(upstream.address, token=Secret(token))) as contacts:
        assert contacts.unblock(jid=JID).ok
    [sent] = upstream.seen
    [_, _, instance, _, shown, *rest] = sent.path.split("/")
    assert (instance, unquote(shown), rest) == ("3C1A7B2E", token, ["contacts", "modify-blocked"])
    assert sent.headers["Client-Token"] == "F/9/8/7"
    assert json.loads(sent.body) == {"phone": NUMBER, "action": "unblock"}


@pytest.mark.parametrize("text", ["You are already connected.", "", None, {"message": "x"}, 1])
def test_the_text_under_error_says_nothing_about_a_status(text: Any) -> None:
    document = {"connected": True, "error": text, "smartphoneConnected": True}
    outcome = PROVIDER.parse_response(Command(Action.STATUS), json_response(200, document))
    assert outcome.reading == Session(SessionState.CONNECTED)


@pytest.mark.parametrize("more", [{"errors": ["x"]}, {"success": False}, {"statusCode": 500}])
def test_another_error_beside_a_status_still_contradicts_it(more: dict[str, Any]) -> None:
    document = {"connected": True, "error": "You are already connected.", **more}
    outcome = PROVIDER.parse_response(Command(Action.STATUS), json_response(200, document))
    assert outcome.code is Code.PROVIDER_BAD_RESPONSE


def test_a_text_under_error_still_contradicts_a_change() -> None:
    command = Command(Action.BLOCK, Contact(NUMBER))
    outcome = PROVIDER.parse_response(command, json_response(200, {"value": True, "error": "x"}))
    assert outcome.code is Code.PROVIDER_BAD_RESPONSE


@pytest.mark.parametrize(
    ("exists", "found"),
    [
        *((True, True), ("true", True), (False, False), ("false", False)),
        *((None, None), ("True", None), ("yes", None), ("", None), (1, None), (0, None)),
        *(([], None), ({}, None)),
    ],
    ids=str,
)
def test_exists_is_a_boolean_or_its_text_and_anything_else_is_unknown(
    exists: Any, found: bool | None
) -> None:
    asked = Contact(NUMBER)
    entry = {"exists": exists, "inputPhone": NUMBER, "outputPhone": NUMBER}
    command = Command(Action.LOOKUP, contacts=(asked,))
    outcome = PROVIDER.parse_response(command, json_response(200, [entry]))
    if found is None:
        assert outcome.code is Code.PROVIDER_BAD_RESPONSE
    else:
        assert outcome.reading == (Lookup(asked, found, asked if found else None),)
