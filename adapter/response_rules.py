"""Decide what a provider's response means.

The order of evidence: a redirect, the sentence of a missing route (`Cannot POST /…`) at 404 or 405,
the provider code, the body, the status.

`Provider.parse_response` is the entry. The provider's own functions read its body; the order of the
evidence and the checks of contradictions are the same for all providers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from adapter.codes import Action, Applied, Code, Confirmation, Retry
from adapter.contacts import ContactError, Relation, as_sent, relation
from adapter.error_rules import ErrorRule
from adapter.errors import PluginError
from adapter.evidence import says_no_route, without_faulty_entries
from adapter.http import HttpResponse
from adapter.readings import Lookup, Reading
from adapter.results import Command, Outcome

if TYPE_CHECKING:
    from adapter.provider import Provider

REFUSED: Final = "was refused by the provider"
"""Our message for a field that a provider rejects. The provider's text may hold a phone number."""

_REFUSED_TOGETHER: Final = (
    "A request for several contacts was refused; which of them is the cause is not known."
)
_REFUSALS: Final = frozenset(
    {
        Code.TARGET_REJECTED,
        Code.INVALID_TARGET,
        Code.VALIDATION_ERROR,
        Code.PAYLOAD_TOO_LARGE,
        Code.OPERATION_NOT_SUPPORTED,
    }
)
"""Refusals that may be about one contact, or about a request for several of them."""

_NO_ROUTE_STATUSES: Final = frozenset({404, 405})
_NOT_FOLLOWED: Final = frozenset({307, 308})
"""Redirects of the same request to another address, which prove that it was not done here.

A 303 follows a request that was done, and 301 and 302 are used alike (RFC 9110, section 15.4).
"""


def read_response(provider: Provider, command: Command, response: HttpResponse) -> Outcome:
    """Return the outcome that the response to `command` proves."""
    if 300 <= response.status <= 399:
        moved = response.status in _NOT_FOLLOWED
        code = Code.PROVIDER_REDIRECTED if moved else Code.PROVIDER_MISADDRESSED
        return _fail(code, response)
    if response.status in _NO_ROUTE_STATUSES and says_no_route(response.document):
        return _fail(Code.PROVIDER_MISADDRESSED, response)
    provider_code = provider.parse_provider_code(response.document)
    rule = find_rule(provider, command, response, provider_code)
    if rule is not None:
        refused = response.status < 500 or rule.code.applied is Applied.NOT_APPLIED
        if refused and provider.shows_success(command, response):
            return _fail(Code.PROVIDER_BAD_RESPONSE, response)
        outcome = _read_failure(provider, rule, response)
    else:
        shown = None
        if provider_code is None and 200 <= response.status <= 299:
            is_error = provider.shows_error(command, response.document)
            shown = None if is_error else read_success(provider, command, response)
        outcome = shown or _fail(Code.PROVIDER_BAD_RESPONSE, response)
    if not command.action.is_change:
        return outcome
    return _compare_contact(provider, command, response, outcome)


def split_response(
    provider: Provider, commands: Sequence[Command], response: HttpResponse
) -> Sequence[HttpResponse]:
    """Return the part of the response that is about each command."""
    parts = provider.split_response(commands, response)
    if len(parts) != len(commands):
        raise PluginError("split_response must return one response for each command")
    return parts


def read_part(
    provider: Provider, command: Command, part: HttpResponse, response: HttpResponse
) -> Outcome:
    """Return the outcome of one of several commands, by its part of their response.

    A part that is the whole response is about no one of them: it is not a success, and the contact
    is not known to be the cause of a refusal.
    """
    outcome = provider.parse_response(command, part)
    if part is response and outcome.ok:
        return _fail(Code.PROVIDER_BAD_RESPONSE, response)
    if part is response and outcome.code in _REFUSALS:
        return refused_together(outcome)
    return replace(outcome, upstream_status=response.status)


def refused_together(outcome: Outcome) -> Outcome:
    """Return the refusal of a request for several contacts: each may be sent again, alone."""
    return replace(outcome, retry=Retry.AFTER_DELAY, message=_REFUSED_TOGETHER)


def find_rule(
    provider: Provider, command: Command, response: HttpResponse, provider_code: str | None
) -> ErrorRule | None:
    """Return the rule that the response is evidence for; None if it may be a success."""
    table = provider.rule_tables[command.action]
    if isinstance(provider_code, str) and provider_code in table.by_provider_code:
        return table.by_provider_code[provider_code]
    own: bool | None = None
    for rule in table.by_status.get(response.status, ()):
        if rule.where is not None:
            if rule.where(response.document):
                return rule
            continue
        if rule.status != response.status and rule.code is Code.TARGET_REJECTED:
            continue  # of a hundred, only the exact status blames the contact
        if rule.any_sender:
            return rule
        own = provider.is_own_error(response) if own is None else own
        if own and not (provider_code is not None and rule.code is Code.TARGET_REJECTED):
            return rule
    return None


def read_success(provider: Provider, command: Command, response: HttpResponse) -> Outcome | None:
    """Return the success of which the body is evidence; of a read, at a 200 alone."""
    if command.action.is_change or command.action is Action.LIST:
        return provider.parse_success(command, response)
    if response.status != HTTPStatus.OK:
        return None
    document = response.document
    reading: Reading | None
    if command.action is Action.STATUS:
        reading = provider.parse_status(document)
    elif command.action is Action.STATE:
        reading = provider.parse_state(command, document)
    else:
        found = provider.parse_lookup(command, without_faulty_entries(document))
        reading = None if found is None else _complete_lookups(command, tuple(found))
        if reading is not None and all(_is_unread(each) for each in reading):
            reading = None  # a response about other numbers may belong to another request
    return None if reading is None else Outcome.of_reading(reading, response.status)


def _complete_lookups(command: Command, found: tuple[Lookup, ...]) -> tuple[Lookup, ...]:
    """Return one lookup for each number of the command, in its order.

    A number is unknown (`provider_bad_response`) without exactly one lookup, and where the lookup
    names another person.
    """
    by_number: dict[str | None, Lookup | None] = {}
    for each in found:
        number = each.asked.number
        by_number[number] = None if number in by_number else each
    complete = []
    for asked in command.contacts:
        lookup = by_number.get(asked.number)
        if lookup is not None and lookup.contact is not None:
            named = relation(asked, lookup.contact)
            lookup = None if named is Relation.DIFFERENT else lookup
        complete.append(lookup or Lookup(asked, None, code=Code.PROVIDER_BAD_RESPONSE))
    return tuple(complete)


def _is_unread(lookup: Lookup) -> bool:
    return lookup.on_whatsapp is None and lookup.code is Code.PROVIDER_BAD_RESPONSE


def _read_failure(provider: Provider, rule: ErrorRule, response: HttpResponse) -> Outcome:
    rejected = rule.code is Code.TARGET_REJECTED
    named = provider.parse_rejected_fields(response.document) if rejected else ()
    may_wait = rule.code.carries_retry_after
    return Outcome.failure(
        rule.code,
        retry_after=provider.parse_retry_after(response) if may_wait else None,
        fields={name: (REFUSED,) for name in ("number", "jid") if name in named},
        upstream_status=response.status,
        provider_code=rule.provider_code,
        message=rule.message,
        retry=rule.retry,
        own_error=rule.provider_code is not None or provider.is_own_error(response),
    )


def _compare_contact(
    provider: Provider, command: Command, response: HttpResponse, outcome: Outcome
) -> Outcome:
    """Return the outcome, corrected by the contact that the response names."""
    try:
        named = provider.parse_named_contact(command, response.document)
    except ContactError:
        return _fail(Code.PROVIDER_BAD_RESPONSE, response) if outcome.ok else outcome
    if named is None or named is command.contact:
        return outcome
    found = relation(as_sent(command.target), named)
    if found is Relation.DIFFERENT:
        return replace(_fail(Code.PROVIDER_BAD_RESPONSE, response), named=named)
    if found is not Relation.INCOMPARABLE:
        outcome = replace(outcome, named=named)
    if found is Relation.INCOMPARABLE and outcome.ok:
        return replace(outcome, confirmation=Confirmation.ACCEPTED)
    return outcome


def _fail(code: Code, response: HttpResponse) -> Outcome:
    return Outcome.failure(code, upstream_status=response.status)
