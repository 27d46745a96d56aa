"""The clauses about privacy and isolation: where secrets and phone numbers may be or go."""

from __future__ import annotations

import contextlib
import io
import json
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adapter.codes import Action
from adapter.http import HttpRequest
from adapter.provider import LocalProvider
from adapter.results import Outcome, OutcomeError, Result, build_error
from adapter.secret import Secret
from adapter.testing.base import ContractBase
from adapter.testing.calls import Records, is_success, try_building, try_paging, try_parsing
from adapter.testing.isolation import Guard
from adapter.testing.mutations import echoes
from adapter.testing.naming import as_json
from adapter.testing.reporting import require
from adapter.testing.samples import CANARY


class PrivacyContract(ContractBase):
    """The secrets and numbers in what a provider writes."""

    def test_secrets_and_numbers_stay_out_of_every_text(self) -> None:
        """No repr, log line, printed line or exception holds a credential or a phone number."""
        faults = []
        for options in self.option_sets:
            faults += [
                f"{what} shows {shown}"
                for what, text in self._texts(options)
                if (shown := _shown(text, self.secrets.values()))
            ]
        where = self.tested.__name__
        require((faults, f"do not log, print or format them in {where}; keep a Secret a Secret."))

    def test_secrets_are_sent_in_headers_or_the_path_only(self) -> None:
        """A secret is neither in a query, which servers log, nor in a body."""
        faults = []
        for options in self.option_sets:
            provider = self.make_provider(options)
            for command in self.commands(CANARY):
                request = try_building(provider, command)
                if not isinstance(request, HttpRequest):
                    continue
                rest = json.dumps([dict(request.query), as_json(request.json)])
                faults += [
                    f"{command.action}: {name} is in the query or the body"
                    for name, secret in self.secrets.items()
                    if secret in rest
                ]
        where = self.place_of("header_templates")
        require((faults, f"send credentials in {where}, or in the path if the provider wants it."))

    def test_a_provider_uses_no_network_and_writes_no_file(self) -> None:
        """Building and parsing use no network, no other process, and no file that is written."""
        faults = []
        for options in self.option_sets:
            with Guard() as making:
                provider = self.make_provider(options)
            faults += [f"{self.tested.__name__}(): {each}" for each in making.used]
            for command in self.all_commands():
                with Guard() as building:
                    try_building(provider, command)
                faults += [f"build_request of {command.action}: {each}" for each in building.used]
                for exchange in self.exchanges:
                    with Guard() as parsing:
                        outcome = try_parsing(provider, command, exchange.fresh_response())
                        if command.action is Action.LIST and is_success(outcome):
                            try_paging(provider, command, exchange.fresh_response())
                    faults += [f"{exchange.name}, parsed: {each}" for each in parsing.used]
        mend = f"let {self.tested.__name__} compute alone; the adapter sends its requests."
        require((faults, mend))

    def _texts(self, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield every text that a provider may write into logs and errors, with a description."""
        yield from self._error_texts(options)
        written = io.StringIO()
        records = Records()
        with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written), records:
            values = list(self._values(options))
        for what, value in values:
            yield f"the repr of {what}", f"{value!r} {value}"
        yield from (("a log record", line) for line in records.lines)
        yield "what it prints", written.getvalue()

    def _values(self, options: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
        """Run the provider with the canary contact; yield every value it returns."""
        secrets = " ".join(self.secrets.values())
        provider = self.make_provider(options)
        yield "the provider", provider
        yield "the options", provider.options
        responses = [
            response
            for each in self.exchanges
            for _, response in echoes(each.response, f"{CANARY.number} {secrets}")
        ]
        for command in self.commands(CANARY):
            yield "a command", command
            request = try_building(provider, command)
            yield "a request", request
            if isinstance(request, HttpRequest) and isinstance(provider, LocalProvider):
                yield "a local response", provider.handle_request(request)
            for response in responses:
                outcome = try_parsing(provider, command, response)
                yield "a response", response
                yield "an outcome", outcome
                if isinstance(outcome, Outcome):
                    result = Result(outcome, command, "contract", self.tested.name)
                    yield "a result", result
                    yield "an error", OutcomeError(result)
                    yield "an envelope", (build_error(outcome), outcome.provider_code)

    def _error_texts(self, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield the texts of the exceptions to which wrong options lead."""
        given = self.given(options)
        for name in self.option_fields:
            for secret in self.secrets.values():
                wrongs: tuple[Any, ...] = (
                    secret,
                    f"../{secret} {CANARY.number}",
                    Secret(f"{secret} {CANARY.number}"),
                    [secret],
                    {"is": secret},
                )
                for wrong in wrongs:
                    try:
                        loaded = self.tested.Options().load({**given, name: wrong})
                        provider = self.tested(loaded)
                        for command in self.commands(CANARY):
                            with Guard():
                                provider.build_request(command)
                    except Exception as error:  # noqa: BLE001 - its text is the finding
                        last = "".join(traceback.format_exception_only(error))
                        yield f"the error of a wrong {name}", f"{last} {error!r}"


def _shown(text: str, secrets: Iterable[str]) -> str:
    """Return what of the canary's or of the secrets the text shows."""
    if any(secret in text for secret in secrets):
        return "a secret"
    return "a phone number" if str(CANARY.number) in text else ""
