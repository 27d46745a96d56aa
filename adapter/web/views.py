"""The views of the unified API."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from flask import Blueprint, Request, Response

from adapter.api_keys import Caller, scope_for
from adapter.codes import Action, Code, Scope
from adapter.contacts import MAX_TEXT
from adapter.errors import RequestError
from adapter.pages import make_filters
from adapter.request_fields import invalid_field, read_idempotency_key, read_note
from adapter.results import Command, Outcome, Result, build_envelope
from adapter.service import Service
from adapter.strict_json import Json
from adapter.web.auth import Authenticator, read_api_key, require_scope
from adapter.web.body import is_utf_8, parse_json_body, unsupported_body
from adapter.web.context import RequestContext
from adapter.web.csv_pages import CSV_TYPE, next_link, wants_csv, write_csv
from adapter.web.introspection import describe_accounts, describe_plugins
from adapter.web.request_schemas import (
    BlockedRequestSchema,
    ChangeRequestSchema,
    LookupRequestSchema,
    SearchRequestSchema,
    TargetSchema,
    load_document,
)

_JSON: Final = "application/json"
NO_PARAMETERS: Final = "unknown parameter; this resource has none"
BODY_ALONE: Final = "unknown parameter; this resource has none: send all fields in the body"
_BLOCKED = BlockedRequestSchema()
_TARGET = TargetSchema()
_CHANGE = ChangeRequestSchema()
_LOOKUP = LookupRequestSchema()
_SEARCH = SearchRequestSchema()
_CONTACT: Final = ("number", "jid", "user_id")

View = Callable[[RequestContext, Caller], Response]

ACCOUNT_VARIABLE: Final = "contact_adapter_name"
"""The variable of a path with the name of an account; a host's prefix may have a `name`, too."""


class ApiViews:
    """The views of the unified API in front of one service."""

    def __init__(self, service: Service, authenticator: Authenticator) -> None:
        self._service = service
        self._authenticator = authenticator

    def add_to(self, blueprint: Blueprint, host: str | None = None) -> None:
        """Register the views on the blueprint. `host` is a pattern, for apps that match hosts."""
        for method, rule, view in (
            ("GET", "/v1/contacts/blocked", self._blocked),
            ("GET", "/v1/accounts", self._accounts),
            ("GET", f"/v1/accounts/<{ACCOUNT_VARIABLE}>/status", self._status),
            ("GET", "/v1/providers", self._providers),
            ("POST", "/v1/contacts/block", self._change(Action.BLOCK)),
            ("POST", "/v1/contacts/unblock", self._change(Action.UNBLOCK)),
            ("POST", "/v1/contacts/lookup", self._lookup),
            ("POST", "/v1/contacts/state", self._state),
            ("POST", "/v1/calls/search", self._search),
        ):
            add_view(blueprint, self._authenticator, method, rule, view, host)

    def _change(self, action: Action) -> Callable[[RequestContext, Caller], Response]:
        def view(context: RequestContext, caller: Caller) -> Response:
            require_scope(caller, scope_for(action))
            target = load_document(_CHANGE, _read_change(context))
            account = self._service.choose_account(caller, target.pop("account", None))
            verify = target.pop("verify", None)
            note = read_note(target.pop("reason", None), target.pop("ref", None))
            contact = self._service.read_contact(**target)
            key = context.request.environ.get("HTTP_IDEMPOTENCY_KEY")
            result = self._service.perform(
                account,
                Command(action, contact, verify=verify),
                request_id=context.request_id,
                context=caller.context("api", context.request_id, *note),
                idempotency_key=None if key is None else read_idempotency_key(key.strip()),
            )
            return context.respond_result(result)

        return view

    def _perform(
        self, context: RequestContext, caller: Caller, account: str, command: Command
    ) -> Response:
        result = self._service.perform(
            account, command, request_id=context.request_id, context=caller.context("api")
        )
        return context.respond_result(result)

    def _blocked(self, context: RequestContext, caller: Caller) -> Response:
        require_scope(caller, Scope.READ)
        if context.request.method == "HEAD":
            return _refuse_head(context)
        query: dict[str, Json] = dict(read_query(context.request))
        limit = query.get("limit")
        if isinstance(limit, str) and re.fullmatch("[0-9]{1,9}", limit):
            query["limit"] = int(limit)
        document = load_document(_BLOCKED, query)
        account = self._service.choose_account(caller, document.pop("account", None))
        result = self._service.blocked(
            account, **document, request_id=context.request_id, context=caller.context("api")
        )
        return _respond_list(context, result)

    def _status(self, context: RequestContext, caller: Caller) -> Response:
        require_scope(caller, Scope.READ)
        if context.request.method == "HEAD":
            return _refuse_head(context)
        require_no_query(context.request)
        variables = context.request.view_args or {}
        account = self._service.choose_account(caller, variables[ACCOUNT_VARIABLE])
        return self._perform(context, caller, account, Command(Action.STATUS))

    def _lookup(self, context: RequestContext, caller: Caller) -> Response:
        require_scope(caller, Scope.READ)
        require_no_query(context.request, BODY_ALONE)
        document = load_document(_LOOKUP, read_object(context))
        account = self._service.choose_account(caller, document.get("account"))
        contacts = self._service.read_numbers(document["numbers"])
        candidates = document.get("candidates", False)
        command = Command(Action.LOOKUP, contacts=contacts, candidates=candidates)
        return self._perform(context, caller, account, command)

    def _state(self, context: RequestContext, caller: Caller) -> Response:
        require_scope(caller, Scope.READ)
        require_no_query(context.request, BODY_ALONE)
        target = load_document(_TARGET, read_object(context))
        account = self._service.choose_account(caller, target.pop("account", None))
        contact = self._service.read_contact(**target)
        return self._perform(context, caller, account, Command(Action.STATE, contact))

    def _search(self, context: RequestContext, caller: Caller) -> Response:
        require_scope(caller, Scope.HISTORY)
        require_no_query(context.request, BODY_ALONE)
        document = load_document(_SEARCH, read_object(context))
        target = {name: document.pop(name) for name in _CONTACT if name in document}
        accounts = caller.accounts
        if "account" in document:
            accounts = frozenset({self._service.choose_account(caller, document["account"])})
        filters = make_filters(
            accounts=accounts,
            contact=self._service.read_contact(**target) if target else None,
            since=document.get("since"),
            until=document.get("until"),
            code=document.get("code"),
            via=document.get("via"),
            key_name=document.get("key"),
        )
        limit, cursor = document.get("limit"), document.get("cursor")
        result = self._service.history(
            filters, limit=limit, cursor=cursor, request_id=context.request_id
        )
        return context.respond_result(result)

    def _accounts(self, context: RequestContext, caller: Caller) -> Response:
        require_scope(caller, Scope.READ)
        require_no_query(context.request)
        accounts = describe_accounts(self._service.accounts_of(caller))
        return respond_data(context, {"accounts": accounts})

    def _providers(self, context: RequestContext, caller: Caller) -> Response:
        require_scope(caller, Scope.READ)
        require_no_query(context.request)
        return respond_data(context, describe_plugins(self._service.settings))


def add_view(
    blueprint: Blueprint,
    authenticator: Authenticator,
    method: str,
    rule: str,
    view: View,
    host: str | None,
    endpoint_name: str | None = None,
) -> None:
    """Register a view, which is called with the request's context and caller."""

    def endpoint(**_: object) -> Response:  # variables of the host app's prefix
        context = RequestContext.from_request()
        try:
            caller = authenticator.authenticate(read_api_key(context.request), context.request)
            return view(context, caller)
        except RequestError as error:
            return context.respond_result(context.failure_result(error.outcome))

    name = re.sub(r"[^a-z]+", "_", rule.removeprefix("/v1/"))
    blueprint.add_url_rule(
        rule, endpoint_name or name, endpoint, methods=[method], merge_slashes=False, host=host
    )


def respond_data(context: RequestContext, data: dict[str, Any]) -> Response:
    """Return the data in a success envelope, without a call of a provider."""
    return context.respond_envelope(
        build_envelope(data=data, request_id=context.request_id, duration_ms=context.elapsed_ms)
    )


def _respond_list(context: RequestContext, result: Result) -> Response:
    """Return a block list in its envelope or, as the request prefers, as CSV."""
    if not result.ok or not wants_csv(context.request):
        return context.respond_result(result)
    headers = {"Content-Type": f"{CSV_TYPE}; charset=utf-8; header=present"}
    if result.cursor is not None:
        headers["Link"] = next_link(context.request, result.cursor)
    return context.respond(200, write_csv(result), headers, result=result)


def _refuse_head(context: RequestContext) -> Response:
    """Return the refusal of HEAD: the provider would be called for a response that is dropped."""
    failure = context.failure_result(Outcome.failure(Code.METHOD_NOT_ALLOWED))
    response = context.respond_result(failure)
    response.headers["Allow"] = "GET, OPTIONS"
    return response


def _read_change(context: RequestContext) -> Mapping[str, Json]:
    """Return the JSON object of the body or, without a body, the query."""
    body, request = context.read_body(), context.request
    if not body and not request.content_length:
        query: dict[str, Json] = dict(read_query(request))
        verify = query.get("verify")
        if verify in ("true", "false"):
            query["verify"] = verify == "true"
        return query
    if request.query_string:
        _require_no_target_in_query(request)
    return parse_object(request, body)


def read_object(context: RequestContext) -> Mapping[str, Json]:
    """Return the JSON object of the body; an empty one without a body."""
    body, request = context.read_body(), context.request
    return parse_object(request, body) if body or request.content_length else {}


def parse_object(request: Request, body: bytes) -> Mapping[str, Json]:
    """Return the JSON object of a body."""
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
        if name not in _CHANGE.fields:
            known = ", ".join(sorted(_CHANGE.fields))
            message = f"unknown parameter; the body may hold: {known}"
            raise invalid_field(name[:MAX_TEXT], message)
    for name in ("account", "verify", "reason", "ref"):
        if name in request.args:
            message = f"holds {name}; with a body, {name} must be in the body"
            raise invalid_field("query", message)
    if request.args:
        raise invalid_field("query", "send the target in the body or in the query, not in both")


def read_query(request: Request) -> Mapping[str, str]:
    """Return the parameters of the query; raises RequestError for one that is repeated."""
    found: dict[str, str] = {}
    for name, values in request.args.lists():
        if len(values) > 1:
            raise invalid_field(name[:MAX_TEXT], "is given more than once")
        found[name] = values[0]
    if found.get("number", "").startswith(" "):
        # An unescaped + arrives as a space; without the +, the number would be a national one.
        found["number"] = "+" + found["number"].lstrip()
    return found


def require_no_query(request: Request, message: str = NO_PARAMETERS) -> None:
    """Raise RequestError for a request with a query."""
    for name in request.args:
        raise invalid_field(name[:MAX_TEXT], message)
