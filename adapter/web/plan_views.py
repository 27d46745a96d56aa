"""The views of plans: made, shown and applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response

from adapter.api_keys import Caller
from adapter.batch_calls import BatchCalls, build_rows
from adapter.codes import Scope
from adapter.redaction import redact_request_id
from adapter.request_fields import invalid_field
from adapter.results import build_envelope
from adapter.service import Service
from adapter.web.auth import Authenticator, require_scope
from adapter.web.batch_views import BATCH_VARIABLE, MAX_JSON, read_id, read_items, require_reader
from adapter.web.context import RequestContext
from adapter.web.plan_documents import build_plan_document
from adapter.web.plan_schemas import ApplyRequestSchema, PlanOptionsSchema
from adapter.web.request_schemas import load_document
from adapter.web.views import (
    BODY_ALONE,
    add_view,
    parse_object,
    require_no_query,
    respond_data,
)

if TYPE_CHECKING:
    from adapter.batches import Plan, Plans

_OPTIONS: Final = PlanOptionsSchema()
_APPLY: Final = ApplyRequestSchema()


class PlanViews:
    """The views of plans in front of one service."""

    def __init__(self, service: Service, authenticator: Authenticator, batches: BatchCalls) -> None:
        self._service, self._batches = service, batches
        self._authenticator = authenticator

    def add_to(self, blueprint: Blueprint, host: str | None = None) -> None:
        """Register the views on the blueprint. `host` is a pattern, for apps that match hosts."""
        one = f"/v1/plans/<{BATCH_VARIABLE}>"
        for method, rule, view, name in (
            ("POST", "/v1/plans", self._create, "plan_create"),
            ("GET", one, self._show, "plan_show"),
            ("POST", f"{one}/apply", self._apply, "plan_apply"),
        ):
            add_view(blueprint, self._authenticator, method, rule, view, host, name)

    def _load(self) -> Plans:
        from adapter.batches import Plans

        return Plans(self._service, self._batches.load().wake)

    def _create(self, context: RequestContext, caller: Caller) -> Response:
        require_scope(caller, Scope.BLOCK)
        require_no_query(context.request, BODY_ALONE)
        plans = self._load()
        document: dict[str, Any] = dict(parse_object(context.request, context.read_body(MAX_JSON)))
        has_items, given, rows = "items" in document, document.pop("items", None), None
        options = load_document(_OPTIONS, document, ["items"])
        if has_items:
            rows = build_rows(read_items(given), self._service.settings.default_region)
        target = options.pop("target", None)
        if target is None:
            raise invalid_field("target", "is required")
        request_id = redact_request_id(context.request_id, None)
        plan = plans.create(
            target, rows=rows, **options, caller=caller, via="api", request_id=request_id
        )
        envelope = build_envelope(
            data={"plan": build_plan_document(plan)},
            request_id=context.request_id,
            duration_ms=context.elapsed_ms,
        )
        return context.respond_envelope(envelope, success=201)

    def _show(self, context: RequestContext, caller: Caller) -> Response:
        require_reader(caller)
        require_no_query(context.request)
        return _respond(context, self._load().get(read_id(context), caller))

    def _apply(self, context: RequestContext, caller: Caller) -> Response:
        require_scope(caller, Scope.BLOCK)
        require_no_query(context.request)
        body = context.read_body()
        options = load_document(_APPLY, parse_object(context.request, body) if body else {})
        return _respond(context, self._load().apply(read_id(context), caller, **options))


def _respond(context: RequestContext, plan: Plan) -> Response:
    return respond_data(context, {"plan": build_plan_document(plan)})
