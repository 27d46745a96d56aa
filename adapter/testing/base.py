"""What the clauses of the contract share: the provider, its exchanges, options and secrets."""

from __future__ import annotations

import unittest
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final

from marshmallow import ValidationError, fields

from adapter.codes import Action
from adapter.contacts import Contact, ContactForm
from adapter.dialect import Dialect
from adapter.error_rules import ErrorRule
from adapter.errors import PluginError
from adapter.http import HttpRequest, HttpResponse
from adapter.options import SecretField
from adapter.plugin_checks import check_provider
from adapter.provider import Provider
from adapter.results import MAX_RETRY_AFTER, Command, Outcome
from adapter.route import MissingIdError
from adapter.secret import Secret
from adapter.testing.calls import Failed, try_building, try_parsing
from adapter.testing.discovery import find_dialect
from adapter.testing.exchanges import Exchange, read_answers
from adapter.testing.isolation import Guard
from adapter.testing.proofs import claim_of, proves
from adapter.testing.reporting import hide_secrets, place_of, require
from adapter.testing.samples import CONTACTS, USER, command_for

MEND_ANSWERS: Final = "mend the answers file, not the provider: "
"""The beginning of the help for faults of the recorded exchanges."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The recorded exchanges, the dialect, and set-up faults. With faults, no clause can use it."""

    exchanges: tuple[Exchange, ...]
    dialect: type[Dialect] | None
    faults: tuple[tuple[str, str], ...] = ()
    """Each fault with the way to mend it."""


class ContractBase:
    """The attributes that a test class sets, and what the clauses use.

    `provider` and `answers`, the folder of the recorded responses, are required. `dialect` is found
    through the hook of the provider's module if it is not given. `options` are those of the
    provider, unless the answers files have them; every secret that is not given is made up.
    `session_option` is the option that a dialect returns as the session. All hostile bodies are
    tried at `hostile_statuses`, a few at every other status; foreign pages at `error_statuses`.
    """

    provider: ClassVar[type[Provider]]
    dialect: ClassVar[type[Dialect] | None] = None
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    answers: ClassVar[Path]
    session_option: ClassVar[str] = "session"
    hostile_statuses: ClassVar[frozenset[int]] = frozenset(
        (100, *range(200, 300), *range(400, 432), *range(500, 512))
    )
    error_statuses: ClassVar[Collection[int]] = range(400, 600)

    prepared: ClassVar[Prepared | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "prepared" not in vars(cls):
            cls.prepared = None

    @classmethod
    def clauses(cls) -> list[str]:
        """Return the names of the clauses, each of which is a method without arguments."""
        return [name for name in dir(cls) if name.startswith("test_")]

    def test_the_set_up_and_the_answers_files_are_valid(self) -> None:
        """The class is complete, and provider and kit can read the answers files and options.

        If not, this clause fails once, and the others are skipped.
        """
        faults = self._prepare().faults
        mends = dict.fromkeys(mend for _, mend in faults)
        require(*(([fault for fault, how in faults if how == mend], mend) for mend in mends))

    # -- set-up

    def _prepare(self) -> Prepared:
        """Read the answers once for all clauses of the class."""
        cls = type(self)
        if cls.prepared is None:
            cls.prepared = self._read()
        return cls.prepared

    def _read(self) -> Prepared:
        name = type(self).__name__
        provider, folder = getattr(self, "provider", None), getattr(self, "answers", None)
        faults = []
        if not (isinstance(provider, type) and issubclass(provider, Provider)):
            faults.append((f"{name}.provider is not a Provider class", f"set {name}.provider."))
        if not isinstance(folder, Path) or not folder.is_dir():
            faults.append(
                (
                    f"{name}.answers is not the Path of a folder",
                    f"set {name}.answers to the folder with the recorded responses.",
                )
            )
        if faults:
            return Prepared((), None, tuple(faults))
        try:
            check_provider(self.provider)
        except PluginError as error:
            mend = f"correct {self.provider.__name__}; the adapter does not load it as it is."
            return Prepared((), None, ((str(error), mend),))
        try:
            dialect = self.dialect or find_dialect(self.provider)
        except AssertionError as error:
            return Prepared((), None, ((str(error), "correct the hook."),))
        if dialect and dialect.provider is not self.provider:
            fault = f"{dialect.__name__} is the dialect of {dialect.provider.__name__}"
            return Prepared((), None, ((fault, f"correct {name}.dialect."),))
        try:
            exchanges = tuple(read_answers(self.answers, self.secrets))
        except AssertionError as error:
            mend = f"{MEND_ANSWERS}adapter.testing.exchanges describes their keys."
            return Prepared((), None, tuple((line, mend) for line in str(error).splitlines()))
        faults = [*self._refused_options(exchanges)]
        return Prepared(exchanges, dialect, tuple(faults or self._unfilled_paths(exchanges)))

    def _refused_options(self, exchanges: tuple[Exchange, ...]) -> Iterator[tuple[str, str]]:
        """Yield the options that the provider refuses though they are those of an exchange."""
        schema = place_of(self.provider, "Options")
        for exchange in exchanges:
            try:
                self.provider.Options().load(self.given(exchange.options))
            except ValidationError as error:
                mend = (
                    f"{MEND_ANSWERS}give the options under `options`, for a whole file or for one "
                    f"exchange; or for all of them as `options` of {type(self).__name__}."
                )
                yield f"{exchange.name}: {schema} refuses {error.messages}", mend

    def _unfilled_paths(self, exchanges: tuple[Exchange, ...]) -> Iterator[tuple[str, str]]:
        """Yield the variable parts of paths that neither an option nor build_request fills."""
        for exchange in exchanges:
            try:
                with Guard():
                    self.provider(self.load(exchange.options)).request_for(exchange.command)
            except MissingIdError as error:
                action = exchange.command.action
                known = ", ".join(sorted(self.option_fields)) or "none"
                fault = (
                    f"{place_of(self.provider, 'routes')}: the path of {action} has "
                    f"{{{error.name}}}, which is not an option, and build_request does not fill it "
                    f"in; the options are: {known}"
                )
                call = f"self.request(command, body, {error.name}=…)"
                yield fault, f"correct the path; or name the part in build_request: {call}."
            except Exception:  # noqa: BLE001, S112 - the clauses of requests report it
                continue

    def _valid(self) -> Prepared:
        prepared = self._prepare()
        if prepared.faults:
            raise unittest.SkipTest("the set-up or the answers files are not valid")
        return prepared

    # -- what was set up

    @property
    def tested(self) -> type[Provider]:
        """The class of the provider. Skips the clause if the set-up is not valid."""
        self._valid()
        return self.provider

    @property
    def tested_dialect(self) -> type[Dialect] | None:
        """The class of the dialect, if there is one."""
        return self._valid().dialect

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The recorded exchanges, with the secrets filled in."""
        return self._valid().exchanges

    @cached_property
    def option_sets(self) -> list[Mapping[str, Any]]:
        """Every different set of options that an exchange has."""
        sets: list[Mapping[str, Any]] = []
        for exchange in self.exchanges:
            if exchange.options not in sets:
                sets.append(exchange.options)
        return sets

    @cached_property
    def option_fields(self) -> dict[str, fields.Field]:  # type: ignore[type-arg, unused-ignore]
        """The fields of the provider's options, by the name in a configuration."""
        known = self.provider.Options().fields
        return {field.data_key or name: field for name, field in known.items()}

    @cached_property
    def secrets(self) -> dict[str, str]:
        """The text of every secret option, by its name: as given in the class, or made up."""
        texts = {}
        for name, field in self.option_fields.items():
            if isinstance(field, SecretField):
                given = self.options.get(name)
                made_up = f"canary-{name}-7f3a9c41"
                texts[name] = given.reveal() if isinstance(given, Secret) else made_up
        hide_secrets(texts)
        return texts

    def given(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options as a configuration would give them, with the secrets."""
        secrets = {name: Secret(text) for name, text in self.secrets.items()}
        return {**self.options, **secrets, **options}

    def load(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the options as the provider gets them."""
        return MappingProxyType(dict(self.provider.Options().load(self.given(options))))

    def make_provider(self, options: Mapping[str, Any]) -> Provider:
        """Return a provider with these options, the secrets filled in."""
        return self.tested(self.load(options))

    # -- calls

    def built(self, exchange: Exchange, provider: Provider | None = None) -> HttpRequest | Failed:
        """Return the request that the provider builds for the exchange's command."""
        return try_building(provider or self.make_provider(exchange.options), exchange.command)

    def parsed(self, exchange: Exchange, provider: Provider | None = None) -> Outcome | Failed:
        """Return the outcome that the provider finds in the exchange's response."""
        provider = provider or self.make_provider(exchange.options)
        return try_parsing(provider, exchange.command, exchange.fresh_response())

    def rule_of(self, exchange: Exchange) -> ErrorRule | None:
        """Return the error rule that the exchange's response reaches."""
        try:
            return self.make_provider(exchange.options).find_rule(
                exchange.command, exchange.response
            )
        except Exception:  # noqa: BLE001 - the clauses of parsing report it
            return None

    def commands(self, contact: Contact) -> list[Command]:
        """Return one command for each action of the provider."""
        actions = sorted({route.action for route in self.tested.all_routes()})
        commands = (command_for(action, contact) for action in actions)
        return [each for each in commands if each is not None]

    def all_commands(self) -> list[Command]:
        """Return the commands for every contact of the kit that the provider can name."""
        found: list[Command] = []
        users = (USER,) if ContactForm.USER_ID in self.tested.contact_forms else ()
        for contact in (*CONTACTS, *users):
            found += [each for each in self.commands(contact) if each not in found]
        return found

    def questions(self) -> Iterator[tuple[Provider, Command]]:
        """Yield a provider of each set of options, with a command for each action."""
        for options in self.option_sets:
            provider = self.make_provider(options)
            for command in self.commands(CONTACTS[0]):
                yield provider, command

    def fault_of(self, provider: Provider, command: Command, response: HttpResponse) -> str:
        """Return what is wrong with the way a response is parsed; an empty text if nothing is."""
        return self.fault_in(try_parsing(provider, command, response), command, response)

    def fault_in(self, outcome: Outcome | Failed, command: Command, response: HttpResponse) -> str:
        """Return what is wrong with the outcome of a response; an empty text if nothing is."""
        if not isinstance(outcome, Outcome):
            return str(outcome)
        if outcome.retry_after is not None and not 0 <= outcome.retry_after <= MAX_RETRY_AFTER:
            return f"retry_after is {outcome.retry_after}"
        if not outcome.ok:
            return ""
        if not 200 <= response.status <= 299:
            return f"{response.status} is parsed as a success"
        if (outcome.contacts is None) is (command.action is Action.LIST):
            return "a list, and nothing else, must give contacts"
        if outcome.reading is not None:
            return self._claim_fault(outcome, command, response)
        if not any(proves(each, command.action, response) for each in self.exchanges):
            return "it is parsed as a success without the recorded evidence"
        return ""

    def _claim_fault(self, outcome: Outcome, command: Command, response: HttpResponse) -> str:
        """Return what is wrong with what a read claims; an empty text if nothing is.

        An unknown value needs no evidence. Of the lookups of several numbers, the recorded
        exchanges are the evidence.
        """
        claim = claim_of(outcome)
        if claim is None or len(command.contacts) > 1:
            return ""
        same = (each for each in self.exchanges if claim_of(each.outcome) == claim)
        if any(proves(each, command.action, response, command.numbers) for each in same):
            return ""
        return f"it is parsed as {claim} without the recorded evidence"

    def keeps(self, exchange: Exchange, outcome: Outcome | Failed) -> bool:
        """Whether a changed response still shows what the recorded one shows."""
        if not isinstance(outcome, Outcome) or not outcome.ok:
            return False
        if len(exchange.command.contacts) > 1:
            return outcome.reading == exchange.outcome.reading
        return claim_of(outcome) == claim_of(exchange.outcome)

    def place_of(self, name: str) -> str:
        """Return where an attribute of the provider is: `Acme.parse_success in acme.py`."""
        return place_of(self.tested, name)
