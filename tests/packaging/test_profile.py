"""The profile of a request: the part of each stack, and the tables."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.profile_request import Profile, Sample, report
from bench.request_parts import RULES, Function, Rule, part_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SITE = "/usr/lib/python3/site-packages"


def in_project(module: str, name: str) -> Function:
    return Function(str(ROOT / module), name)


SERVED = [
    Function(f"{SITE}/flask/app.py", "Flask.wsgi_app"),
    in_project("adapter/server/worker.py", "Worker.load_wsgi.<locals>.serve"),
    Function(f"{SITE}/gunicorn/workers/ggevent.py", "GeventWorker.handle_request"),
]
ENDPOINT = in_project("adapter/web/views.py", "ApiViews._add.<locals>.endpoint")


@pytest.mark.parametrize(
    ("part", "inner"),
    [
        ("Flask", [Function(f"{SITE}/werkzeug/routing/map.py", "MapAdapter.match")]),
        ("auth, account lookup", [in_project("adapter/api_keys.py", "ApiKeys.find"), ENDPOINT]),
        (
            "body, validation",
            [
                Function(f"{SITE}/gunicorn/http/body.py", "Body.read"),
                in_project("adapter/server/worker.py", "_Body.read"),
                in_project("adapter/web/context.py", "RequestContext.read_body"),
                ENDPOINT,
            ],
        ),
        (
            "envelope",
            [
                Function("/usr/lib/python3/json/encoder.py", "JSONEncoder.encode"),
                in_project("adapter/strict_json.py", "write_json"),
                in_project("adapter/web/context.py", "RequestContext.respond_envelope"),
            ],
        ),
        (
            "provider: build, parse",
            [
                in_project("adapter/strict_json.py", "read_json"),
                in_project("adapter/http.py", "HttpResponse.document"),
                in_project("providers/wuts.py", "WutsProvider.parse_success"),
                in_project("adapter/transport/client.py", "Transport.send"),
            ],
        ),
        ("other: adapter/new.py", [in_project("adapter/new.py", "work"), ENDPOINT]),
    ],
)
def test_the_innermost_function_of_the_project_is_the_part(
    part: str, inner: list[Function]
) -> None:
    assert part_of([*inner, *SERVED]) == part


@pytest.mark.parametrize(
    ("part", "inner"),
    [
        ("server: parse, environ", Function(f"{SITE}/gunicorn/http/message.py", "Request.parse")),
        ("server: send the response", Function(f"{SITE}/gunicorn/http/wsgi.py", "Response.write")),
        ("server: worker, event loop", Function(f"{SITE}/gunicorn/workers/base.py", "notify")),
        ("server: worker, event loop", Function(f"{SITE}/gevent/hub.py", "Hub.run")),
    ],
)
def test_outside_of_the_app_the_innermost_function_of_the_server_is_the_part(
    part: str, inner: Function
) -> None:
    assert part_of([Function(f"{SITE}/gevent/_socket3.py", "socket.send"), inner]) == part


def names_in(module: str) -> Iterator[str]:
    """The qualified names of the functions and methods of a module or a package."""
    place = ROOT / module
    for file in place.rglob("*.py") if place.is_dir() else [place]:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                yield node.name
            elif isinstance(node, ast.ClassDef):
                inner = (each for each in node.body if isinstance(each, ast.FunctionDef))
                yield from (f"{node.name}.{each.name}" for each in inner)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.module} {rule.names}".strip())
def test_each_rule_of_a_part_fits_a_module_and_a_name(rule: Rule) -> None:
    assert (ROOT / rule.module).exists(), "adapt request_parts.py"
    if rule.names:
        names = list(names_in(rule.module))
        assert any(re.search(rule.names, name) for name in names), "adapt request_parts.py"


def test_the_parts_of_a_profile_are_sorted_and_add_up_to_the_sum() -> None:
    log, auth = in_project("adapter/logs.py", "write"), in_project("adapter/api_keys.py", "find")
    samples = [Sample(9_000_000, 3, [log]), Sample(27_000_000, 9, [auth])]
    lines = report(Profile([36, 40, 50], 1000, samples), 5).splitlines()
    assert [re.split(r"  +", line) for line in lines[2:6]] == [
        ["auth, account lookup", "27.0", "9.0", "75.0 %"],
        ["log line", "9.0", "5.2", "25.0 %"],
        ["sum of the parts", "36.0", "10.4", "100.0 %"],
        ["whole, without the sampler (36 to 50)", "40.0"],
    ]
    assert "sum of the parts / whole: 0.90;" in lines[7]
