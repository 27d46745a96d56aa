"""The clauses about what a provider declares: its actions, its options, its verified day."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from marshmallow import ValidationError

from adapter.codes import Action, Code
from adapter.http import HttpRequest
from adapter.options import SecretField
from adapter.strict_json import Json
from adapter.testing.base import ContractBase
from adapter.testing.calls import call_account, try_building
from adapter.testing.exchanges import LIVE_FILE, Provenance
from adapter.testing.reporting import describe_exception, describe_outcome, require
from adapter.testing.samples import CONTACTS, command_for

_SOUNDS_SECRET: Final = re.compile(r"token|secret|password|api_?key", re.IGNORECASE)
_WRONG_OPTIONS: Final[tuple[Json, ...]] = (
    *(None, 5, True, [], {}),
    *("", "../up", "a b", "line\nbreak"),
)


class OptionsContract(ContractBase):
    """The declarations of a provider."""

    def test_an_undeclared_action_sends_nothing(self) -> None:
        """The routes and the actions agree; for any other action the service sends nothing."""
        routed = {route.action for route in self.tested.all_routes()}
        declared = self.tested.actions()
        faults = []
        if declared != routed:
            faults.append(f"actions() is {sorted(declared)}, the routes are for {sorted(routed)}")
        faults += [
            f"{each.name}: its action is not declared"
            for each in self.exchanges
            if each.command.action not in declared
        ]
        for options in self.option_sets:
            for action in sorted(set(Action) - declared):
                if action is Action.STATE and Action.LIST in declared:
                    continue  # the list shows the state
                command = command_for(action, CONTACTS[0])
                assert command is not None
                outcome, sent = call_account(self.tested, self.load(options), command)
                if outcome.code is not Code.OPERATION_NOT_SUPPORTED or sent:
                    what = describe_outcome(outcome)
                    faults.append(f"{action}: {what}, and something was sent: {sent}")
        where = self.place_of("routes")
        require((faults, f"declare every action in {where}, and do not override actions()."))

    def test_a_wrong_option_is_refused_by_name(self) -> None:
        """An unknown, missing or wrong option is refused with its name, a secret in clear too."""
        faults: list[str] = []
        for options in self.option_sets:
            faults += self._option_faults(self.given(options))
        where = self.place_of("Options")
        require((faults, f"let {where} refuse it; use SecretField and session_field there."))

    def test_the_verified_day_is_the_day_of_the_live_responses(self) -> None:
        """`verified_on` is the day of the responses in `live.json`, or None without it."""
        verified_on = self.tested.verified_on
        live = [exchange for exchange in self.exchanges if exchange.file == LIVE_FILE]
        days = sorted({exchange.date for exchange in live})
        faults = []
        for each in self.exchanges:
            expected = {True} if each.file == LIVE_FILE else {False}
            known = (each.request_provenance, each.response_provenance)
            if {one is Provenance.SEEN_LIVE for one in known} != expected:
                faults.append(
                    f"{each.name}: its provenance is {known[1]}; {Provenance.SEEN_LIVE} is what "
                    f"{LIVE_FILE} holds, and no other file"
                )
        if days != ([] if verified_on is None else [verified_on]):
            faults.append(f"verified_on is {verified_on}, the days of {LIVE_FILE} are {days}")
        if verified_on is not None and not _is_past(verified_on):
            faults.append(f"verified_on is {verified_on}: not a day (2026-11-22), or in the future")
        where = self.place_of("verified_on")
        require((faults, f"let the live test write {LIVE_FILE}, and set {where} to its day."))

    def _option_faults(self, given: Mapping[str, Any]) -> Iterator[str]:
        if not self._refuses("no_such_option", {**given, "no_such_option": "x"}):
            yield "an unknown option is not refused by its name"
        builds = not self._building_fault(given)  # else a wrong option is not the cause
        for name, field in self.option_fields.items():
            missing = {key: value for key, value in given.items() if key != name}
            secret = isinstance(field, SecretField)
            if _SOUNDS_SECRET.search(name) and not secret:
                yield f"{name} sounds like a secret and is not a SecretField"
            if secret and not self._refuses(name, {**given, name: "in-clear-text"}):
                yield f"{name} is accepted in clear"
            if not self._refuses(name, missing):
                fault = self._building_fault(missing) if builds else ""
                if field.required or fault:
                    yield f"without {name}: not refused by its name; {fault or 'it is required'}"
            for wrong in _WRONG_OPTIONS if builds else ():
                changed = {**given, name: wrong}
                if not self._refuses(name, changed) and (fault := self._building_fault(changed)):
                    yield f"{name} = {wrong!r} passes the schema, and then: {fault}"

    def _refuses(self, name: str, options: Mapping[str, Any]) -> bool:
        try:
            self.tested.Options().load(dict(options))
        except ValidationError as error:
            return name in error.messages
        except Exception:  # noqa: BLE001 - anything else is not a refusal
            return False
        return False

    def _building_fault(self, options: Mapping[str, Any]) -> str:
        """Return what goes wrong if a provider is made of options that were not refused."""
        try:
            provider = self.tested(self.tested.Options().load(dict(options)))
        except Exception as error:  # noqa: BLE001 - any exception is the finding
            return f"making the provider raises {describe_exception(error, self.tested)}"
        for command in self.commands(CONTACTS[0]):
            built = try_building(provider, command)
            if not isinstance(built, HttpRequest) and not built.is_refusal:
                return str(built)
        return ""


def _is_past(day: str) -> bool:
    """Whether the text is a day, as in 2026-11-22, and not in the future."""
    try:
        return date.fromisoformat(day).isoformat() == day <= datetime.now(UTC).date().isoformat()
    except ValueError:
        return False
