"""Paths: ids cannot change them, and only the intended request is sent."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from adapter.providers.session_gateway import CONTACT
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import JID, NUMBER, SESSION, Upstream, account_for, call, run_app, run_upstream

from adapter import Action, ConfigurationError, PluginError
from adapter.client import connect
from adapter.route import Route
from adapter.settings.loader import load_settings
from adapter.web.app import create_app, service_state

ATTACKS = (
    *("", ".", "..", "...", "%2e%2e", "..%2f", "a/../b", "/", "//", "a/b", "a\\b", "\\\\host"),
    *("@host", "a@host", "a:80@host", "#", "a#b", "?", "a?b=c", ";", "a;b", "%", "%2F", "%00"),
    *(
        " ",
        "a b",
        "a\n",
        "\na",
        "a\r\nX-Evil: 1",
        "a\tb",
        "a\x00b",
        "\x7f",
        "é",
        "٠١٢",
        "\uff41",
        "\u2025",
    ),
    *(
        "a" * 129,
        "a" * 128,
        "a",
        "A1",
        "0",
        "a.b",
        "a..b",
        "a.",
        "sess_01HZX",
        "a&b",
        "{jid}",
        "a|b",
    ),
    *("a\u2028b", "\ud800", "~", "a~b", "'", '"', "<a>", "a,b", "a$b", "a*b", "a(b)", "!a"),
)
texts = st.one_of(
    st.text(max_size=140),
    st.text(alphabet=string.printable, max_size=20),
    st.text(alphabet="a0._@:=+-/%\\?#\r\n", max_size=12),
    st.sampled_from(ATTACKS),
)
NAMES = (
    *(
        "Loja Centro",
        "João",
        "Loja (2)",
        "#1",
        "a?b",
        "50%",
        "%2F",
        "%2e%2e",
        "a+b",
        "a&b=c",
        "a;b",
    ),
    *(
        "店舗",
        "مكتب",
        "👩‍👧",
        "...",
        ".hidden",
        "~x",
        "{jid}",
        "a'b\"c",
        "Loja\u00a0Sul",
        "-",
        "a" * 128,
    ),
    "é" * 128,
)
"""Names of sessions that providers allow, and what could be taken for more than a name."""


def is_safe(text: str) -> bool:
    """Say by hand what may be a part of a path."""
    return (
        1 <= len(text) <= 128
        and text not in (".", "..")
        and not re.search(r"[/\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", text)
        and text == text.strip()
    )


ROUTE = Route(Action.BLOCK, "POST", CONTACT + "/block")


@given(session=texts, jid=texts)
@example(session="a", jid="..")
@example(session="%2F", jid="%2e%2e")
@example(session="é" * 128, jid="👩\u200d👧")
def test_a_route_is_filled_with_safe_ids_and_refuses_all_others(session: str, jid: str) -> None:
    if not (is_safe(session) and is_safe(jid)):
        with pytest.raises(ValueError, match="cannot be a part of a path") as caught:
            ROUTE.fill(session=session, jid=jid)
        assert str(caught.value) in {
            f"{name} cannot be a part of a path" for name in ("session", "jid")
        }
        return
    path = ROUTE.fill(session=session, jid=jid)
    segments = path.split("/")
    assert [*segments[:4], segments[5], segments[7]] == [
        "",
        "api",
        "v1",
        "sessions",
        "contacts",
        "block",
    ]
    assert (unquote(segments[4]), unquote(segments[6])) == (session, jid)
    assert ROUTE.match(path) == {"session": session, "jid": jid}
    assert len(segments) == 8
    assert re.fullmatch(r"[A-Za-z0-9._~@:%/+=-]+", path)
    assert not {".", ".."} & {unquote(segment) for segment in segments}


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.parametrize("provider", ["session-gateway", "waha", "evolution-api"])
@settings(deadline=None)
@given(text=texts)
def test_a_session_is_taken_by_the_configuration_only_where_it_is_safe(
    provider: str, text: str
) -> None:
    account = account_for(provider, "http://127.0.0.1:1") | {"session": text}
    if is_safe(text):
        assert load_settings({"accounts": {"a": account}}).accounts["a"].options["session"] == text
        return
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"accounts": {"a": account}})
    assert [problem.path for problem in caught.value.problems] == ["accounts.a.session"]
    assert len(text) < 4 or text not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_a_provider_allows_is_taken_sent_encoded_and_read_back_by_a_dialect(
    upstream: Upstream, name: str
) -> None:
    upstream.will_answer(204)
    account = account_for("session-gateway", upstream.address) | {"session": name}
    origin_accounts = {"m": {"provider": "memory", "aliases": [name]}}
    dialects = {"enabled": ["session-gateway"]}
    with connect({"accounts": {"a": account}}) as contacts:
        assert contacts.block(f"+{NUMBER}").ok
    (seen,) = upstream.seen
    assert seen.path == f"/api/v1/sessions/{quote(name, safe='@:')}/contacts/{JID}/block"
    assert seen.path.isascii()
    with run_app(
        lambda _: create_app(
            {"accounts": origin_accounts, "dialects": dialects}, allow_unauthenticated=True
        )
    ) as origin:
        account["base_url"] = f"{origin}/dialects/session-gateway"
        with connect({"accounts": {"a": account}}) as contacts:
            assert contacts.block(f"+{NUMBER}").ok
        listed = call(origin, "GET", "/v1/contacts/blocked?account=m")
    assert [each["jid"] for each in listed.json["data"]["contacts"]] == [JID]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_travels_in_a_body_as_it_is(upstream: Upstream, name: str) -> None:
    upstream.will_answer(201)
    account = account_for("waha", upstream.address) | {"session": name}
    with connect({"accounts": {"a": account}}) as contacts:
        contacts.block(f"+{NUMBER}")
    (seen,) = upstream.seen
    assert json.loads(seen.body)["session"] == name


@pytest.fixture(scope="module")
def gateway() -> Iterator[tuple[Upstream, Flask]]:
    """Return a gateway that keeps what it is sent, and a server in front of it."""
    with run_upstream() as upstream:
        upstream.will_answer(204)
        config = {
            "accounts": {"a": account_for("session-gateway", upstream.address)},
            "dialects": {"enabled": ["session-gateway"]},
        }
        app = create_app(config, allow_unauthenticated=True)
        yield upstream, app
        service_state(app).service.close()


users = st.one_of(st.text(alphabet="0123456789", min_size=6, max_size=22), texts)
servers = st.sampled_from(["s.whatsapp.net", "c.us", "lid", "g.us", "newsletter", "evil", ""])
jids = st.one_of(
    texts,
    st.builds(lambda user, server: f"{user}@{server}", users, servers),
    st.just(f"{NUMBER}@c.us"),
)
PERSON = r"([0-9]{7,15}@s\.whatsapp\.net|[0-9]{1,20}@lid)"


def sent_by(upstream: Upstream, act: Callable[[], Any]) -> tuple[Any, list[str]]:
    before = len(upstream.seen)
    answer = act()
    return answer, [f"{seen.method} {seen.path}" for seen in upstream.seen[before:]]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(jid=jids)
@example(jid=f"{NUMBER}@s.whatsapp.net")
@example(jid="12@lid/../../x")
def test_a_jid_from_a_caller_is_refused_or_goes_out_in_exactly_its_place(
    gateway: tuple[Upstream, Flask], jid: str
) -> None:
    upstream, app = gateway
    response, sent = sent_by(
        upstream, lambda: app.test_client().post("/v1/contacts/block", json={"jid": jid})
    )
    if response.status_code == 200:
        contact = response.get_json()["data"]["contact"]["jid"]
        assert re.fullmatch(PERSON, contact)
        assert sent == [f"POST /api/v1/sessions/{SESSION}/contacts/{contact}/block"]
    else:
        assert 400 <= response.status_code < 500
        assert sent == []


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(session=st.one_of(st.just(SESSION), texts), jid=jids)
@example(session=SESSION, jid=f"{NUMBER}@s.whatsapp.net")
def test_a_native_path_is_refused_or_goes_out_in_exactly_its_place(
    gateway: tuple[Upstream, Flask], session: str, jid: str
) -> None:
    upstream, app = gateway
    encoded = [quote(text.encode("utf-8", "replace"), safe="") for text in (session, jid)]
    path = "/dialects/session-gateway/api/v1/sessions/{}/contacts/{}/unblock".format(*encoded)
    response, sent = sent_by(upstream, lambda: app.test_client().post(path))
    if response.status_code == 204:
        assert session in ("a", SESSION)
        (line,) = sent
        assert re.fullmatch(rf"POST /api/v1/sessions/{SESSION}/contacts/{PERSON}/unblock", line)
    else:
        assert 400 <= response.status_code < 500
        assert sent == []


@pytest.fixture(scope="module")
def evolution() -> Iterator[tuple[Upstream, Flask]]:
    """Return an Evolution API that keeps what it is sent, and a server in front of it."""
    with run_upstream() as upstream:
        upstream.will_answer(201, {"block": "success"})
        config = {
            "accounts": {"a": account_for("evolution-api", upstream.address)},
            "dialects": {"enabled": ["evolution-api"]},
        }
        app = create_app(config, allow_unauthenticated=True)
        yield upstream, app
        service_state(app).service.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(instance=st.one_of(st.just("a"), texts))
@example(instance="a")
@example(instance="..")
def test_an_instance_in_a_native_path_selects_an_account_and_is_not_sent(
    evolution: tuple[Upstream, Flask], instance: str
) -> None:
    upstream, app = evolution
    encoded = quote(instance.encode("utf-8", "replace"), safe="")
    path = f"/dialects/evolution-api/chat/updateBlockStatus/{encoded}"
    body = {"number": NUMBER, "status": "block"}
    response, sent = sent_by(upstream, lambda: app.test_client().post(path, json=body))
    if instance == "a":
        assert response.status_code == 201
        assert sent == [f"POST /chat/updateBlockStatus/{SESSION}"]
    else:
        assert 400 <= response.status_code < 500
        assert sent == []


# --- a provider that builds odd paths

ODD_PATH_PLUGIN = """
from marshmallow import Schema, fields

from adapter.route import Route
from adapter.plugin import Action, HttpRequest, Provider, hookimpl


class OddPathProvider(Provider):
    name = "odd-path"
    title = "Odd path"
    routes = {"block": ("POST", "/block"), "unblock": ("POST", "/unblock")}

    class Options(Schema):
        path = fields.String(required=True)
        method = fields.String(load_default="POST")
        header = fields.String(load_default="x")
        query = fields.Dict(load_default=dict)

    def build_request(self, command):
        options = self.options
        headers = {"X-Odd": options["header"]}
        return HttpRequest(options["method"], options["path"], headers, query=options["query"])

    def parse_success(self, command, response):
        return None


@hookimpl
def register(registry):
    registry.add(OddPathProvider)
"""

ODD_PATHS = (
    *(
        "",
        "block",
        "..",
        "/..",
        "/../block",
        "/a/../block",
        "/./block",
        "/a/.",
        "/a/..",
        "/a/%2e%2e/b",
    ),
    *(
        "//other/block",
        "//127.0.0.1:{port}/x",
        "///x",
        "@127.0.0.1:{port}/x",
        ":{port}/x",
        ".evil/x",
    ),
    *(
        "/a#b",
        "#",
        "/a?b",
        "/a?b=c#d",
        "?",
        "/a b",
        "/a\tb",
        "/a\nb",
        "/a\r\nX: 1",
        "/a\x00b",
        "/a\x7f",
    ),
    *(
        "/é",
        "/\u2025/",
        "/a\\b",
        "\\\\other\\x",
        "/%",
        "/%zz",
        "/%2",
        "/a%0d%0aX",
        "/\ud800",
        "/a|b",
    ),
    *(
        "/<a>",
        '/"a"',
        "/a{b}",
        "/a^b",
        "/a`b",
        "http://127.0.0.1:{port}/x",
        "https:x",
        "/[",
        "/]",
        "/%7Ea",
    ),
)
MEANT = re.compile(r"/[A-Za-z0-9._@:=+/%-]*")


@pytest.fixture
def odd(
    plugin: Callable[[str, str], Path], upstream: Upstream
) -> Callable[..., tuple[BaseException | None, list[str]]]:
    """Return a function that blocks somebody by an odd request, and says what got out and in."""
    plugin("odd-path", ODD_PATH_PLUGIN)
    upstream.will_answer(200, {})

    def block(base: str = "", **options: Any) -> tuple[BaseException | None, list[str]]:
        account = {"provider": "odd-path", "base_url": upstream.address + base, **options}
        raised: BaseException | None = None
        with connect({"accounts": {"a": account}}) as contacts:
            try:
                contacts.block(f"+{NUMBER}")
            except Exception as error:  # noqa: BLE001 - whatever gets out
                raised = error
        return raised, [f"{seen.method} {seen.path}" for seen in upstream.seen]

    return block


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.parametrize("base", ["", "/base"])
@pytest.mark.parametrize("path", ODD_PATHS)
def test_an_odd_path_is_not_sent_at_all_or_goes_out_as_it_is_written(
    odd: Callable[..., tuple[BaseException | None, list[str]]], path: str, base: str
) -> None:
    with run_upstream() as other:
        written = path.replace("{port}", other.address.rpartition(":")[2])
        raised, sent = odd(base, path=written)
        assert other.connections == 0
    if raised is None:
        assert sent == [f"POST {base}{written}"]
        assert not {".", ".."} & {unquote(part) for part in written.split("/")}
        assert MEANT.fullmatch(written)
    else:
        assert isinstance(raised, PluginError)
        assert sent == []


@pytest.mark.parametrize(
    "options",
    [
        {"method": "POST /x HTTP/1.1\r\nX: 1\r\n\r\nGET"},
        {"method": "PO ST"},
        {"method": ""},
        {"method": "POST\n"},
        {"method": "PÖST"},
        {"header": "x\r\nX-Evil: 1"},
        {"header": "x\nX-Evil: 1"},
        {"header": "x\x00"},
        {"header": "é€"},
        {"header": " x"},
    ],
    ids=str,
)
def test_an_odd_method_or_header_is_not_sent_at_all(
    odd: Callable[..., tuple[BaseException | None, list[str]]], options: dict[str, str]
) -> None:
    raised, sent = odd(path="/block", **options)
    assert isinstance(raised, PluginError)
    assert sent == []


@pytest.mark.parametrize("text", [text for text in ATTACKS if text and "\ud800" not in text])
def test_an_odd_query_stays_a_query(
    odd: Callable[..., tuple[BaseException | None, list[str]]], text: str
) -> None:
    raised, sent = odd(path="/block", query={"q": text})
    assert raised is None
    (line,) = sent
    assert re.fullmatch(r"POST /block\?q=[A-Za-z0-9._~%+-]+", line)


def test_a_good_path_is_sent(
    odd: Callable[..., tuple[BaseException | None, list[str]]],
) -> None:
    assert odd(path="/block") == (None, ["POST /block"])
