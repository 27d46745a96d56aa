"""The views of the unified API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from flask import Blueprint, Request, Response

from adapter.api_keys import Caller, scope_for
from adapter.codes import Action, Code, Scope
from adapter.contacts import MAX_TEXT
from adapter.errors import RequestError
from adapter.request_fields import invalid_field
from adapter.results import Command, Outcome, build_envelope
from adapter.service import Service
from adapter.strict_json import Json
from adapter.web.auth import Authenticator, read_api_key, require_scope
from adapter.web.body import is_utf_8, parse_json_body, unsupported_body
from adapter.web.context import RequestContext
from adapter.web.introspection import describe_accounts, describe_plugins
from adapter.web.schemas import AccountSchema, TargetSchema, load_document

_JSON: Final = "application/json"
_TARGET = TargetSchema()
_ACCOUNT = AccountSchema()


class ApiViews:
    """The views of the unified API in front of one service."""

    def __init__(self, service: Service, authenticator: Authenticator) -> None:
        self._service = service
        self._authenticator = authenticator

    def add_to(self, blueprint: Blueprint, host: str | None = None) -> None:
        """Register the views on the blueprint. `host` is a pattern, for apps that match hosts."""
        for rule, view in (
            ("/v1/contacts/blocked", self._blocked),
            ("/v1/accounts", self._accounts),
            ("/v1/providers", self._providers),
        ):
            self._add(blueprint, "GET", rule, view, host)
        for action in (Action.BLOCK, Action.UNBLOCK):
            rule = f"/v1/contacts/{action.value}"
            self._add(blueprint, "POST", rule, self._change(action), host)

    def _add(
        self,
        blueprint: Blueprint,
        method: str,
        rule: str,
        view: Callable[[RequestContext, Caller], Response],
        host: str | None,
    ) -> None:
        def endpoint(**_: object) -> Response:  # variables of the host app's prefix
            context = RequestContext.from_request()
            try:
                caller = self._authenticator.authenticate(
                    read_api_key(context.request), context.request
                )
                return view(context, caller)
            except RequestError as error:
                return context.respond_result(context.failure_result(error.outcome))

        name = rule.removeprefix("/v1/").replace("/", "_")
        blueprint.add_url_rule(
            rule, name, endpoint, methods=[method], merge_slashes=False, host=host
        )

    def _change(self, action: Action) -> Callable[[RequestContext, Caller], Response]:
        def view(context: RequestContext, caller: Caller) -> Response:
            require_scope(caller, scope_for(action))
            target = load_document(_TARGET, _read_target(context))
            account = self._service.choose_account(caller, target.pop("account", None))
            contact = self._service.read_contact(**target)
            command = Command(action, contact)
            result = self._service.perform(account, command, request_id=context.request_id)
            return context.respond_result(result)

        return view

    def _blocked(self, context: RequestContext, caller: Caller) -> Response:
        require_scope(caller, Scope.READ)
        if context.request.method == "HEAD":
            # The provider would be called for a list that is then dropped.
            failure = context.failure_result(Outcome.failure(Code.METHOD_NOT_ALLOWED))
            response = context.respond_result(failure)
            response.headers["Allow"] = "GET, OPTIONS"
            return response
        query = load_document(_ACCOUNT, _read_query(context.request))
        account = self._service.choose_account(caller, query.get("account"))
        command = Command(Action.LIST)
        result = self._service.perform(account, command, request_id=context.request_id)
        return context.respond_result(result)

    def _accounts(self, context: RequestContext, caller: Caller) -> Response:
        require_scope(caller, Scope.READ)
        _require_no_query(context.request)
        accounts = describe_accounts(self._service.accounts_of(caller))
        return respond_data(context, {"accounts": accounts})

    def _providers(self, context: RequestContext, caller: Caller) -> Response:
        require_scope(caller, Scope.READ)
        _require_no_query(context.request)
        return respond_data(context, describe_plugins(self._service.settings))


def respond_data(context: RequestContext, data: dict[str, Any]) -> Response:
    """Return the data in a success envelope, without a call of a provider."""
    return context.respond_envelope(
        build_envelope(data=data, request_id=context.request_id, duration_ms=context.elapsed_ms)
    )


def _read_target(context: RequestContext) -> Mapping[str, Json]:
    """Return the JSON object of the body or, without a body, the query."""
    body, request = context.read_body(), context.request
    if not body and not request.content_length:
        return _read_query(request)
    if request.query_string:
        _require_no_target_in_query(request)
    if request.environ.get("CONTENT_TYPE") != _JSON and (
        request.mimetype != _JSON or not is_utf_8(request)
    ):
        raise unsupported_body("Content-Type", "must be application/json, in UTF-8")
    document = parse_json_body(body)
    if not isinstance(document, dict):
        raise invalid_field("body", "must be a JSON object")
    return document


def _require_no_target_in_query(request: Request) -> None:
    """Raise RequestError for a query beside a body."""
    for name in request.args:
        if name not in _TARGET.fields:
            known = ", ".join(sorted(_TARGET.fields))
            message = f"unknown parameter; the body may hold: {known}"
            raise invalid_field(name[:MAX_TEXT], message)
    if "account" in request.args:
        raise invalid_field("query", "holds account; with a body, account must be in the body")
    if request.args:
        raise invalid_field("query", "send the target in the body or in the query, not in both")


def _read_query(request: Request) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, values in request.args.lists():
        if len(values) > 1:
            raise invalid_field(name[:MAX_TEXT], "is given more than once")
        found[name] = values[0]
    if found.get("number", "").startswith(" "):
        # An unescaped + arrives as a space; without the +, the number would be a national one.
        found["number"] = "+" + found["number"].lstrip()
    return found


def _require_no_query(request: Request) -> None:
    for name in request.args:
        raise invalid_field(name[:MAX_TEXT], "unknown parameter; this resource has none")
