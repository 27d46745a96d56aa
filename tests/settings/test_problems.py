"""Problems of a configuration: each has its path and a remedy, and all are reported together."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.settings import MEMORY, OWN, key, one, problems, wuts

from adapter.errors import ConfigurationError, PluginError
from adapter.plugin_checks import ACCOUNT_KEYS
from adapter.registry import load_plugins
from adapter.settings.loader import load_settings

PROVIDERS = ", ".join(sorted(load_plugins().providers))
NATIVE = ", ".join(sorted(load_plugins().dialects))


@pytest.mark.parametrize(
    ("mapping", "path", "words"),
    [
        ({}, "accounts", "is required"),
        ({"accounts": {}}, "accounts", "at least one"),
        ({"accounts": []}, "accounts", "must be a table"),
        ({"accounts": "memory"}, "accounts", "must be a table"),
        (one(account=None), "accounts.a", "must be a table"),
        (one("memory"), "accounts.a", "must be a table"),
        (one({}), "accounts.a.provider", "is required"),
        (one({"provider": 1}), "accounts.a.provider", "must be text"),
        (one({"provider": "memroy"}), "accounts.a.provider", "did you mean memory"),
        (one({"provider": "WUTS"}), "accounts.a.provider", "did you mean wuts"),
        (
            one({"provider": "wuts"}, plugins={"blocked": ["wuts"]}),
            "accounts.a.provider",
            "the plugin contact-adapter:wuts",
        ),
        (
            one({"provider": "wuts"}, plugins={"blocked": ["contact-adapter:wuts"]}),
            "accounts.a.provider",
            "is blocked; remove it from [plugins] blocked",
        ),
        (one({"provider": "nothing"}), "accounts.a.provider", f"installed are: {PROVIDERS}"),
        (one({**MEMORY, "colour": 1}), "accounts.a.colour", "unknown key"),
        (one({**MEMORY, "base_url": "https://x"}), "accounts.a.base_url", "remove the key"),
        (one({**MEMORY, "aliases": "x"}), "accounts.a.aliases", "must be a list"),
        (one({**MEMORY, "aliases": [1]}), "accounts.a.aliases.0", "must be text"),
        (one({**MEMORY, "aliases": [""]}), "accounts.a.aliases.0", "must have 1 to 128 characters"),
        (one(wuts(tokn=1)), "accounts.a.tokn", "did you mean token"),
        (one(wuts(sesion="x")), "accounts.a.sesion", "unknown key"),
        (one(wuts(key="x")), "accounts.a.key", "unknown key"),
        (one(wuts(value="x")), "accounts.a.value", "unknown key"),
        (one({"provider": "wuts"}), "accounts.a.token", "is required"),
        (one(wuts(allow_insecure="perhaps")), "accounts.a.allow_insecure", "true or false"),
        (one({"provider": "session-gateway"}), "accounts.a.base_url", "is required"),
        (one({"provider": "session-gateway"}), "accounts.a.session", "is required"),
        (one(colour="red"), "colour", "unknown key"),
        (one(account={"provider": "memory"}, acounts={}), "acounts", "did you mean accounts"),
        (one(default_account="b"), "default_account", "configured are: a"),
        (one(default_account=1), "default_account", "must be text"),
        (one(default_region="XX"), "default_region", "such as"),
        (one(default_region="br"), "default_region", "such as"),
        (one(default_region=55), "default_region", "must be text"),
        (one(plugins={"blockd": []}), "plugins.blockd", "did you mean blocked"),
        (one(plugins={"blocked": "x"}), "plugins.blocked", "must be a list"),
        (one(plugins={"blocked": [1]}), "plugins.blocked.0", "must be text"),
        (one(plugins=[]), "plugins", "must be a table"),
        (one(transport=[]), "transport", "must be a table"),
        (one(transport={"dedline": 1}), "transport.dedline", "did you mean deadline"),
        (one(transport={"deadline": 0}), "transport.deadline", "above 0"),
        (one(transport={"deadline": 301}), "transport.deadline", "up to 300"),
        (one(transport={"deadline": "x"}), "transport.deadline", "must be a number"),
        (one(transport={"connect_timeout": -1}), "transport.connect_timeout", "above 0"),
        (
            one(transport={"max_in_flight": 0}),
            "transport.max_in_flight",
            "must be from 1 to 100000",
        ),
        (one(transport={"max_in_flight": 1.5}), "transport.max_in_flight", "whole number"),
        (
            one(transport={"max_long_responses": 0}),
            "transport.max_long_responses",
            "must be from 1 to",
        ),
        (
            one(wuts(transport={"ca_file": "/does/not/exist"})),
            "accounts.a.transport.ca_file",
            "cannot be read as PEM certificates",
        ),
        (
            one(wuts(transport={"proxy": "socks4://x"})),
            "accounts.a.transport.proxy",
            "one of: http, https, socks5, socks5h",
        ),
        (
            one(wuts(transport={"proxy": "http://x/path"})),
            "accounts.a.transport.proxy",
            "without a path",
        ),
        (
            one(wuts(transport={"proxy": "http://user:pass@x:1"})),
            "accounts.a.transport.proxy",
            'give the whole URL as { env = "NAME" }',
        ),
        (
            one(wuts(transport={"pool": 1})),
            "accounts.a.transport.pool",
            "unknown key",
        ),
        (one(keys=[]), "keys", "must be a table"),
        (one(keys={"k": 1}), "keys.k", "must be a table"),
        (one(keys={"k": {}}), "keys.k.secret", "is required"),
        (one(keys={"k": {}}), "keys.k.scopes", "is required"),
        (one(keys={"k": {}}), "keys.k.accounts", "is required"),
        (one(keys={"k": key(scope=["block"])}), "keys.k.scope", "did you mean scopes"),
        (one(keys={"k": key(scopes=["admin"])}), "keys.k.scopes.0", "must be one of: block, read"),
        (one(keys={"k": key(scopes=[])}), "keys.k.scopes", "at least 1 entry"),
        (one(keys={"k": key(scopes="block")}), "keys.k.scopes", "must be a list"),
        (one(keys={"k": key(accounts=[])}), "keys.k.accounts", "at least 1 entry"),
        (one(keys={"k": key(accounts=["b"])}), "keys.k.accounts", "configured are: a"),
        (one(keys={"k": key(default_account="b")}), "keys.k.default_account", "no such account"),
        (one(dialects=[]), "dialects", "must be a table"),
        (one(dialects={"enabled": "wuts"}), "dialects.enabled", "list of names"),
        (one(dialects={"enabled": [1]}), "dialects.enabled", "list of names"),
        (one(dialects={"enabled": ["nothing"]}), "dialects.enabled", f"installed are: {NATIVE}"),
        (
            one(dialects={"enabled": ["whapi"]}),
            "dialects.enabled",
            f"has whapi, a provider that has no dialect; installed dialects are: {NATIVE}",
        ),
        (one(dialects={"enabled": ["Wuts"]}), "dialects.enabled", "did you mean wuts"),
        (
            one(dialects={"enabled": ["wuts"]}, plugins={"blocked": ["wuts"]}),
            "dialects.enabled",
            "is blocked; remove it from [plugins] blocked",
        ),
        (one(dialects={"enabled": ["wutz"]}), "dialects.enabled", "did you mean wuts"),
        (one(dialects={"wuts": {}}), "dialects.wuts", 'add it to "enabled"'),
        (
            one(dialects={"enabled": ["wuts"], "wuts": 1}),
            "dialects.wuts",
            "must be a table",
        ),
        (
            one(dialects={"enabled": ["wuts"], "wuts": {"prefx": "/x"}}),
            "dialects.wuts.prefx",
            "did you mean prefix",
        ),
    ],
)
def test_a_problem_has_the_path_and_a_remedy(
    mapping: dict[str, Any], path: str, words: str
) -> None:
    assert words in problems(mapping)[path]


def test_all_problems_are_reported_together() -> None:
    found = problems(
        {
            "accounts": {
                "a": {"provider": "memory", "colour": 1},
                "b": {"provider": "wutz"},
                "c": {"provider": "session-gateway", "base_url": "ftp://x", "session": "../x"},
                "d": 4,
            },
            "keys": {"k": {"scopes": ["admin"], "accounts": ["e"]}},
            "dialects": {"enabled": ["nope"], "wuts": {}},
            "transport": {"deadline": -1, "colour": 1},
            "default_account": "z",
            "default_region": "ZZ",
            "colour": 1,
        }
    )
    assert set(found) == {
        "accounts.a.colour",
        "accounts.b.provider",
        "accounts.c.base_url",
        "accounts.c.session",
        "accounts.c.token",
        "accounts.d",
        "keys.k.secret",
        "keys.k.scopes.0",
        "keys.k.accounts",
        "dialects.enabled",
        "dialects.wuts",
        "transport.deadline",
        "transport.colour",
        "default_account",
        "default_region",
        "colour",
    }


def test_a_problem_of_an_account_is_not_reported_for_its_references() -> None:
    found = problems(
        one({"provider": "nothing"}, default_account="a", keys={"k": key(accounts=["a"])})
    )
    assert set(found) == {"accounts.a.provider"}


@pytest.mark.parametrize(
    "names", [("x-5511999999999", "x-5511988889999"), (" x", " y"), ("supportA", "supportB")]
)
def test_problems_of_different_accounts_are_never_merged(names: tuple[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"accounts": {name: {} for name in names}})
    required = [each for each in caught.value.problems if each.path.endswith(".provider")]
    assert len(required) == 2


def test_a_problem_of_the_common_transport_is_reported_once() -> None:
    accounts = {"a": MEMORY, "b": MEMORY}
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"accounts": accounts, "transport": {"ca_file": "/none", "proxy": "none"}})
    assert [each.path for each in caught.value.problems] == ["transport.ca_file", "transport.proxy"]


names = st.sampled_from(
    [
        *("a", "b", "accounts", "keys", "dialects", "plugins", "transport", "default_account"),
        *("default_region", "provider", "base_url", "aliases", "allow_insecure", "token", "self"),
        *("session", "api_key", "wire_format", "secret", "scopes", "enabled", "blocked", "prefix"),
        *("host", "env", "file", "deadline", "connect_timeout", "max_in_flight", "ca_file"),
        *("proxy", "wuts", "wappfy", "session-gateway", "memory", "*", "key", "value", "_schema"),
    ]
)


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=3)
    | names
    | st.sampled_from(["https://example.com", "http://[", "BR", "block", "/x", "HOME", "\0"])
)


anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            names | st.text(max_size=3) | st.integers() | st.none(), inner, max_size=4
        )
    ),
    max_leaves=8,
)


accounts = st.dictionaries(
    names | st.text(max_size=3),
    st.builds(
        lambda provider, rest: {"provider": provider, **rest},
        st.sampled_from(["memory", "wuts", "wappfy", "session-gateway"]),
        st.dictionaries(names, anything, max_size=4),
    )
    | anything,
    max_size=3,
)


tops = st.fixed_dictionaries(
    {},
    optional={
        "accounts": accounts | anything,
        "keys": st.dictionaries(names, st.dictionaries(names, anything, max_size=4)) | anything,
        "dialects": st.dictionaries(names, anything, max_size=3) | anything,
        "plugins": st.dictionaries(names, anything, max_size=3) | anything,
        "transport": st.dictionaries(names, anything, max_size=3) | anything,
        "default_account": anything,
        "default_region": anything,
    },
)


@pytest.mark.no_cover
@pytest.mark.slow
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mapping=tops | st.dictionaries(names | st.integers() | st.none(), anything, max_size=4))
def test_a_hostile_mapping_is_settings_or_a_configuration_error(mapping: dict[Any, Any]) -> None:
    try:
        loaded = load_settings(mapping, own_address=OWN)
    except (ConfigurationError, PluginError):
        return
    assert loaded.accounts


@pytest.mark.parametrize("key", ["base_ulr", "alias", "allow_insecur", "tokn"])
def test_the_error_for_an_unknown_key_of_an_account_lists_all_keys(key: str) -> None:
    said = problems(one(wuts(**{key: "x"})))[f"accounts.a.{key}"]
    assert "did you mean " in said
    assert {*ACCOUNT_KEYS, "token"} <= set(re.findall("[a-z_]+", said.partition("here are:")[2]))
