"""The views of batches: created from JSON or CSV, read, and controlled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response

from adapter.api_keys import Caller
from adapter.batch_calls import BatchCalls, build_rows, read_action, read_texts
from adapter.codes import Code, Scope
from adapter.contacts import MAX_TEXT
from adapter.errors import RequestError
from adapter.history import Page
from adapter.redaction import redact_request_id
from adapter.request_fields import invalid_field
from adapter.results import Outcome, build_envelope
from adapter.service import Service
from adapter.strict_json import Json
from adapter.web.auth import Authenticator, require_scope
from adapter.web.batch_documents import build_batch, build_item
from adapter.web.batch_schemas import (
    MAX_ITEMS,
    BatchItemsSchema,
    BatchListSchema,
    BatchOptionsSchema,
)
from adapter.web.body import unsupported_body
from adapter.web.context import RequestContext
from adapter.web.csv_pages import CSV_TYPE, next_link, wants_csv
from adapter.web.request_schemas import RequestSchema, load_document
from adapter.web.uploads import Upload
from adapter.web.views import (
    BODY_ALONE,
    add_view,
    parse_object,
    read_query,
    require_no_query,
    respond_data,
)

if TYPE_CHECKING:
    from adapter.batches import Batch, Item, Row

MAX_CSV: Final = 25 * 2**20
"""Maximum size of a CSV, in bytes; it is read as a stream."""

MAX_JSON: Final = 2 * 2**20
"""Maximum size of a batch in JSON, in bytes; it is held whole."""

BATCH_VARIABLE: Final = "contact_adapter_id"
"""The variable of a path with the id of a batch; a host's prefix may have an `id`, too."""

CONTROLS: Final = ("start", "pause", "resume", "cancel", "retry")

_OPTIONS: Final = BatchOptionsSchema()
_LIST: Final = BatchListSchema()
_ITEMS: Final = BatchItemsSchema()
_MEDIA: Final = "must be application/json in UTF-8, or text/csv"
_ID: Final = re.compile("[0-9]{1,18}")


class BatchViews:
    """The views of batches in front of one service."""

    def __init__(self, service: Service, authenticator: Authenticator, batches: BatchCalls) -> None:
        self._service, self._batches = service, batches
        self._authenticator = authenticator

    def add_to(self, blueprint: Blueprint, host: str | None = None) -> None:
        """Register the views on the blueprint. `host` is a pattern, for apps that match hosts."""
        one = f"/v1/batches/<{BATCH_VARIABLE}>"
        for method, rule, view, name in (
            ("POST", "/v1/batches", self._create, "batch_create"),
            ("GET", "/v1/batches", self._list, "batch_list"),
            ("GET", one, self._show, "batch_show"),
            ("GET", f"{one}/items", self._items, "batch_items"),
            *(("POST", f"{one}/{each}", self._control(each), f"batch_{each}") for each in CONTROLS),
        ):
            add_view(blueprint, self._authenticator, method, rule, view, host, name)

    # --- create

    def _create(self, context: RequestContext, caller: Caller) -> Response:
        require_scope(caller, Scope.BLOCK)
        batches = self._batches.load()
        is_csv = context.request.mimetype == CSV_TYPE
        options, rows = self._read_csv(context) if is_csv else self._read_json(context)
        from adapter.batches import FileProblem

        account = self._service.choose_account(caller, options.get("account"))
        action = read_action(options.get("action"))
        try:
            created = batches.create(
                rows(),
                account=account,
                action=action,
                caller=caller,
                via="api",
                verify=options.get("verify", False),
                start=options.get("start", True),
                request_id=redact_request_id(context.request_id, None),
            )
        except FileProblem as problem:
            raise invalid_field("body", str(problem)) from None
        data = {"batch": build_batch(created.batch), "existing": created.existing}
        envelope = build_envelope(
            data=data, request_id=context.request_id, duration_ms=context.elapsed_ms
        )
        return context.respond_envelope(envelope, success=200 if created.existing else 201)

    def _read_csv(
        self, context: RequestContext
    ) -> tuple[dict[str, Any], Callable[[], Iterator[Row]]]:
        from adapter.batches import read_rows

        query: dict[str, Json] = dict(read_query(context.request))
        for name in ("verify", "start"):
            if query.get(name) in ("true", "false"):
                query[name] = query[name] == "true"
        options = load_document(_OPTIONS, query)
        upload = Upload(context, MAX_CSV)
        region = self._service.settings.default_region
        return options, lambda: read_rows(
            upload,  # type: ignore[arg-type]  # it is read, and nothing else
            default_region=region,
            max_bytes=MAX_CSV,
        )

    def _read_json(
        self, context: RequestContext
    ) -> tuple[dict[str, Any], Callable[[], Iterator[Row]]]:
        request = context.request
        if request.mimetype != "application/json":
            raise unsupported_body("Content-Type", _MEDIA)
        require_no_query(request, BODY_ALONE)
        document = dict(parse_object(request, context.read_body(MAX_JSON)))
        given = document.pop("items", None)
        options = load_document(_OPTIONS, document, ["items"])
        items = read_items(given)
        return options, lambda: build_rows(items, self._service.settings.default_region)

    # --- read

    def _list(self, context: RequestContext, caller: Caller) -> Response:
        require_reader(caller)
        page = self._batches.load().list(caller, **_read_page(context, _LIST))
        return _respond_page(context, "batches", page, build_batch)

    def _show(self, context: RequestContext, caller: Caller) -> Response:
        require_reader(caller)
        require_no_query(context.request)
        batch = self._batches.load().get(read_id(context), caller)
        return _respond_batch(context, batch)

    def _items(self, context: RequestContext, caller: Caller) -> Response:
        require_scope(caller, Scope.HISTORY)
        batches, batch_id = self._batches.load(), read_id(context)
        options = _read_page(context, _ITEMS)
        status = options.pop("status", None)
        wanted = None if status is None else [each.strip() for each in status.split(",")]
        if not wants_csv(context.request):
            page = batches.items(batch_id, caller, status=wanted, **options)
            return _respond_page(context, "items", page, build_item)
        headers = {"Content-Type": f"{CSV_TYPE}; charset=utf-8; header=present"}
        if options:
            page = batches.items(batch_id, caller, status=wanted, **options)
            if page.cursor is not None:
                headers["Link"] = next_link(context.request, page.cursor)
            return context.respond(200, b"".join(_write(page.entries)), headers)
        batches.items(batch_id, caller, status=wanted, limit=1)  # raises what it raises before
        items = self._batches.read_items(batch_id, caller, wanted)
        return context.respond(200, _write(items), headers)

    # --- control

    def _control(self, name: str) -> Callable[[RequestContext, Caller], Response]:
        def view(context: RequestContext, caller: Caller) -> Response:
            require_scope(caller, Scope.BLOCK)
            require_no_query(context.request)
            body = context.read_body()
            for field in parse_object(context.request, body) if body else ():
                raise invalid_field(field[:MAX_TEXT], "unknown field; this resource has none")
            batch = getattr(self._batches.load(), name)(read_id(context), caller)
            return _respond_batch(context, batch)

        return view


def require_reader(caller: Caller) -> None:
    """Raise RequestError unless the caller may create batches, or read what was done."""
    if not caller.has_scope(Scope.BLOCK):
        require_scope(caller, Scope.HISTORY)


def read_items(items: Json) -> list[Mapping[str, str]]:
    """Return the texts of the items; raises RequestError, which names the first wrong one."""
    if items is None:
        raise invalid_field("items", "is required")
    if not isinstance(items, list) or not 0 < len(items) <= MAX_ITEMS:
        raise invalid_field(
            "items", f"must be a list of 1 to {MAX_ITEMS} objects; for more, send text/csv"
        )
    found: list[Mapping[str, str]] = []
    for index, item in enumerate(items):
        name = f"items[{index}]"
        if not isinstance(item, dict):
            raise invalid_field(name, 'must be an object, such as {"number": "+55 …"}')
        found.append(read_texts(name, item))
    return found


def _read_page(context: RequestContext, schema: RequestSchema) -> dict[str, Any]:
    query: dict[str, Json] = dict(read_query(context.request))
    limit = query.get("limit")
    if isinstance(limit, str) and re.fullmatch("[0-9]{1,9}", limit):
        query["limit"] = int(limit)
    return load_document(schema, query)


def read_id(context: RequestContext) -> int:
    """Return the id in the path; raises RequestError for anything but digits."""
    text = (context.request.view_args or {})[BATCH_VARIABLE]
    if not _ID.fullmatch(text):
        message = "The id of a batch or a plan is a number; the list of batches has the ids."
        raise RequestError(Outcome.failure(Code.BATCH_NOT_FOUND, message=message))
    return int(text)


def _respond_batch(context: RequestContext, batch: Batch) -> Response:
    return respond_data(context, {"batch": build_batch(batch)})


def _respond_page(
    context: RequestContext, name: str, page: Page[Any], build: Callable[[Any], dict[str, Any]]
) -> Response:
    entries = [build(each) for each in page.entries]
    return respond_data(context, {name: entries, "count": len(entries), "cursor": page.cursor})


def _write(items: Iterable[Item]) -> Iterator[bytes]:
    """Yield a CSV in pieces, which are not too small to be sent."""
    from adapter.batches import write_rows

    lines: list[str] = []
    for line in write_rows(items):
        lines.append(line)
        if len(lines) >= 500:
            yield "".join(lines).encode()
            lines.clear()
    yield "".join(lines).encode()
