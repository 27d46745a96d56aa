"""Which actions a provider offers, and whether its changes can be verified, by its routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from support.toy import Toy

from adapter.codes import Action, Verifiable
from adapter.provider import Provider

LIST = {"list": ("GET", "/blocked")}
STATE = {"state": ("GET", "/blocked/{number}")}


def provider_with(routes: Mapping[str, tuple[str, str]], **declared: Any) -> type[Provider]:
    """Return a provider with the routes and these attributes."""

    class Made(Toy):
        def build_state(self, command: Any) -> Any:
            return self.request(command, number="1")

        def parse_state(self, command: Any, document: Any) -> None:
            return None

    return type("Declared", (Made,), {"routes": {**Toy.routes, **routes}, **declared})


@pytest.mark.parametrize(
    ("routes", "declared", "verifiable"),
    [
        ({}, {}, Verifiable.NO),
        ({}, {"lists_lids": True, "shows_only_blocks": True}, Verifiable.NO),
        (LIST, {}, Verifiable.YES),
        (LIST, {"lists_lids": True}, Verifiable.WITH_LID),
        (LIST, {"shows_only_blocks": True}, Verifiable.ONLY_BLOCKS),
        (STATE, {}, Verifiable.YES),
        ({**LIST, **STATE}, {"lists_lids": True}, Verifiable.YES),
        (STATE, {"shows_only_blocks": True}, Verifiable.ONLY_BLOCKS),
    ],
)
def test_whether_a_change_is_verifiable_follows_from_the_routes_and_the_list(
    routes: Mapping[str, tuple[str, str]], declared: dict[str, bool], verifiable: Verifiable
) -> None:
    assert provider_with(routes, **declared).verifiable() is verifiable


@pytest.mark.parametrize(
    ("routes", "more"), [({}, set()), (LIST, {Action.LIST, Action.STATE}), (STATE, {Action.STATE})]
)
def test_a_list_is_enough_to_offer_the_state_of_a_contact(
    routes: Mapping[str, tuple[str, str]], more: set[Action]
) -> None:
    assert provider_with(routes).offered_actions() == {Action.BLOCK, Action.UNBLOCK, *more}
