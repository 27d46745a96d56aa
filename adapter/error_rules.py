"""Error rules: evidence in a response, and the code that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from adapter.codes import Action, Code, Retry
from adapter.errors import PluginError
from adapter.strict_json import Json


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """One rule of a provider: on this evidence, a response means this code.

    The evidence is one of three:

    - `provider_code`: the code that the error carries, at any status.
    - `where`: a condition on the body, at `status`.
    - Neither: the bare `status` of a response in the provider's own error shape
      (`Provider.is_own_error`). With `any_sender`, of any response, since a proxy may have sent it.

    With `where` or a bare status, a rule at 200, 400 or 500 also covers the rest of its hundred:
    it counts where no rule of the exact status applies. A bare status that blames the contact
    covers its exact status only. `status` is from 200 to 299, or from 400 to 599.

    A dialect sends the first rule of a code whose status is 400 or more: its status and provider
    code. `message` and `retry` replace the code's own message and retry advice, where more is known
    about this failure. With `actions`, the rule is for the responses to these actions alone.
    """

    code: Code
    status: int
    provider_code: str | None = field(default=None, kw_only=True)
    where: Callable[[Json], bool] | None = field(default=None, kw_only=True)
    any_sender: bool = field(default=False, kw_only=True)
    message: str = field(default="", kw_only=True)
    retry: Retry | None = field(default=None, kw_only=True)
    actions: tuple[Action, ...] = field(default=(), kw_only=True)

    def is_for(self, action: Action) -> bool:
        """Whether the rule is for the responses to this action."""
        return not self.actions or action in self.actions


class RuleTable:
    """The rules of one provider for one action, by evidence; with the same, the first counts."""

    def __init__(self, rules: tuple[ErrorRule, ...]) -> None:
        self.by_provider_code: Mapping[str, ErrorRule] = {
            rule.provider_code: rule for rule in reversed(rules) if rule.provider_code
        }
        others = [rule for rule in rules if not rule.provider_code]
        others.sort(key=lambda rule: rule.where is None)
        self.by_status: Mapping[int, tuple[ErrorRule, ...]] = {
            status: tuple(
                rule
                for exact in dict.fromkeys((status, status // 100 * 100))
                for rule in others
                if rule.status == exact
            )
            for status in range(200, 600)
        }
        """The rules without a provider code: those of the exact status, then of its hundred."""


def read_pointers(where: str, pointers: Any) -> tuple[tuple[str, ...], ...]:
    """Return the keys of each JSON pointer (RFC 6901). Raises PluginError for any other value."""
    if not isinstance(pointers, (tuple, list)) or not all(
        isinstance(each, str) and each.startswith("/") for each in pointers
    ):
        raise PluginError(f'{where} must be a tuple of JSON pointers; write ("/error/code",)')
    return tuple(tuple(each.split("/")[1:]) for each in pointers)


def read_error_codes(where: str, error_codes: Any) -> Iterator[ErrorRule]:
    """Yield a rule for each entry of a provider's `error_codes`.

    Raises PluginError for an entry that cannot be used; `where` is the name of the attribute.
    """
    form = 'write {"OFFLINE": (503, p.Code.SESSION_NOT_CONNECTED)}'
    if not isinstance(error_codes, Mapping):
        raise PluginError(f"{where} must be a mapping; {form}")
    for provider_code, meaning in error_codes.items():
        match meaning:
            case (int(status), Code() as code, *message) if (
                isinstance(provider_code, str)
                and provider_code
                and (not message or [type(each) for each in message] == [str])
            ):
                _check_status(f"{where}: {provider_code!r}", status)
                yield ErrorRule(code, status, provider_code=provider_code, message="".join(message))
            case _:
                raise PluginError(
                    f"{where}: {provider_code!r} must be a text that maps to its usual HTTP "
                    f"status, a Code and, if needed, a message; {form}"
                )


def check_error_rules(where: str, error_rules: Any) -> None:
    """Raise PluginError for error rules that cannot be used; `where` names their attribute."""
    if not isinstance(error_rules, (tuple, list)):
        raise PluginError(f"{where} must be a tuple; write (p.ErrorRule(p.Code.…, 404),)")
    for place, rule in enumerate(error_rules):
        name = f"{where}[{place}]"
        if not isinstance(rule, ErrorRule):
            raise PluginError(f"{name} must be an ErrorRule; write p.ErrorRule(p.Code.…, 404)")
        if not isinstance(rule.code, Code):
            raise PluginError(f"{name}: the first argument must be a Code; write p.Code.…")
        _check_status(name, rule.status)
        if rule.provider_code is not None and not isinstance(rule.provider_code, str):
            raise PluginError(f"{name}: provider_code must be a text")
        if rule.where is not None and not callable(rule.where):
            raise PluginError(f"{name}: where must be a function of the body")
        if rule.retry is not None and not isinstance(rule.retry, Retry):
            raise PluginError(f"{name}: retry must be a Retry; write p.Retry.…")
        if not isinstance(rule.actions, tuple) or not all(
            isinstance(each, Action) for each in rule.actions
        ):
            raise PluginError(f"{name}: actions must be a tuple; write (p.Action.…,)")


def _check_status(name: str, status: Any) -> None:
    """Refuse a status that no final response has, and a 3xx, whose meaning is fixed."""
    if not isinstance(status, int) or not (200 <= status <= 299 or 400 <= status <= 599):
        raise PluginError(
            f"{name} has the status {status!r}; write one from 200 to 299, or from 400 to 599"
        )


_NOT_STATUS: Final = tuple(action for action in Action if action is not Action.STATUS)

HTTP_STATUS_RULES: Final = (
    ErrorRule(Code.TARGET_REJECTED, 400, actions=_NOT_STATUS),
    ErrorRule(Code.TARGET_REJECTED, 422, actions=_NOT_STATUS),
    ErrorRule(Code.PROVIDER_AUTH_FAILED, 401),
    ErrorRule(Code.PROVIDER_PERMISSION_DENIED, 403),
    ErrorRule(Code.PROVIDER_PERMISSION_DENIED, 402),
    ErrorRule(Code.PROVIDER_CONFLICT, 409),
    ErrorRule(Code.OPERATION_NOT_SUPPORTED, 501),
    ErrorRule(Code.PROVIDER_RATE_LIMITED, 429, any_sender=True),
    ErrorRule(Code.PROVIDER_TIMEOUT, 504, any_sender=True),
    ErrorRule(Code.PROVIDER_TIMEOUT, 408, any_sender=True),
    ErrorRule(Code.PROVIDER_UNAVAILABLE, 503, any_sender=True),
    ErrorRule(Code.PROVIDER_MISADDRESSED, 501, any_sender=True),
    ErrorRule(Code.PROVIDER_ERROR, 500, any_sender=True),
    ErrorRule(Code.PROVIDER_MISADDRESSED, 404),
    ErrorRule(Code.PROVIDER_MISADDRESSED, 405),
    ErrorRule(Code.PROVIDER_MISADDRESSED, 410),
    ErrorRule(Code.PROVIDER_ERROR, 400),  # of 400 and 422 with an unknown provider code
    ErrorRule(Code.PROVIDER_MISADDRESSED, 400, any_sender=True),
)
"""The meaning of the HTTP statuses. They follow the provider's own rules.

The last rule covers every other 4xx: a page of another sender is evidence against neither the
contact nor the session, and nothing about it is certain.
"""
