"""Dialects: their prefixes and host names."""

from __future__ import annotations

from typing import Any

import pytest
from support.settings import one, problems

from adapter.settings.loader import load_settings


@pytest.mark.parametrize("prefix", ["/x", "/legacy/wuts", "/v10", "/api.v1", "/documents", "/~x"])
def test_a_dialect_is_mounted_at_its_prefix(prefix: str) -> None:
    loaded = load_settings(one(dialects={"enabled": ["wuts"], "wuts": {"prefix": prefix}}))
    assert loaded.dialects[0].prefix == prefix


@pytest.mark.parametrize(
    "prefix", ["", "/", "x", "/x/", "//x", "/a b", "/a?b", "/a#b", "/<name>", "/x\n", "/é", 1, None]
)
def test_a_prefix_that_is_not_a_plain_path_is_refused(prefix: Any) -> None:
    mapping = one(dialects={"enabled": ["wuts"], "wuts": {"prefix": prefix}})
    assert set(problems(mapping)) == {"dialects.wuts.prefix"}


@pytest.mark.parametrize(
    "prefix", ["/v1", "/v1/x", "/livez", "/readyz/x", "/openapi.json", "/docs"]
)
def test_a_prefix_of_the_unified_api_is_refused(prefix: str) -> None:
    mapping = one(dialects={"enabled": ["wuts"], "wuts": {"prefix": prefix}})
    assert "unified API" in problems(mapping)["dialects.wuts.prefix"]


@pytest.mark.parametrize("host", ["", "A.example", "a.example:80", "-a", "a/", "a_b", "a\n", 1])
def test_a_host_that_is_not_a_plain_host_name_is_refused(host: Any) -> None:
    mapping = one(dialects={"enabled": ["wuts"], "wuts": {"host": host}})
    assert set(problems(mapping)) == {"dialects.wuts.host"}


@pytest.mark.parametrize("place", [{"prefix": "/x"}, {"host": "a.example"}])
def test_two_dialects_at_one_prefix_or_host_are_refused(place: dict[str, str]) -> None:
    enabled = {"enabled": ["wuts", "wappfy"], "wuts": place, "wappfy": place}
    assert "where wuts already is" in problems(one(dialects=enabled))["dialects.wappfy"]


def test_a_dialect_at_the_default_prefix_of_another_is_refused() -> None:
    dialects = {"enabled": ["wuts", "wappfy"], "wappfy": {"prefix": "/dialects/wuts"}}
    assert set(problems(one(dialects=dialects))) == {"dialects.wappfy"}


def test_a_dialect_enabled_twice_is_mounted_once() -> None:
    loaded = load_settings(one(dialects={"enabled": ["wuts", "wuts"]}))
    assert [each.name for each in loaded.dialects] == ["wuts"]
