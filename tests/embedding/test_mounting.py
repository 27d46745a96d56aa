"""Several apps, several instances, prefixes, host names and subdomains."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Blueprint, Flask
from support import NUMBER, fingerprint
from support.host_calls import CONFIG, PREFIX, Responses, pages, responses
from support.hosts import Mount, app_with_pages, empty_app, page, uses_language_in_urls
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from adapter import ConfigurationError, ContactAdapter

pytest_plugins = ["support.host_fixtures"]


def test_two_apps_of_one_factory_share_no_state(mount: Mount, baseline: Responses) -> None:
    apps = [app_with_pages(), app_with_pages()]
    objects = [mount(app) for app in apps]
    with apps[0].app_context():
        objects[0].block(NUMBER)
    assert objects[1].for_app(apps[1]).blocked().contacts == ()
    assert responses(apps[1]) == baseline


def test_several_instances_under_different_names_have_the_same_responses(
    mount: Mount, baseline: Responses
) -> None:
    app = app_with_pages()
    before = fingerprint.take(app)
    for name in ("one", "two", "three"):
        mount(app, name=name, url_prefix=f"/{name}")
    for name in ("one", "two", "three"):
        assert responses(app, f"/{name}") == baseline
    after = fingerprint.take(app, "one", "two", "three")
    assert fingerprint.difference(before, after) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"url_prefix": "/other"}, RuntimeError),
        ({"name": "second", "url_prefix": "no-slash"}, ValueError),
        ({"name": "second", "url_prefix": "/<unheard_of:variable>"}, LookupError),
        ({"name": "a.dot"}, ValueError),
        ({"name": "host"}, ValueError),
        ({"name": "second", "config": {"accounts": {}}}, ConfigurationError),
        ({"name": "second", "config": {**CONFIG, "surprise": 1}}, ConfigurationError),
        (
            {
                "name": "second",
                "config": {**CONFIG, "dialects": {"enabled": ["wuts"], "wuts": {"host": "a.b"}}},
            },
            ConfigurationError,
        ),
    ],
    ids=[
        "name taken",
        "prefix",
        "converter",
        "dot",
        "blueprint taken",
        "no account",
        "unknown key",
        "host",
    ],
)
def test_failed_init_leaves_the_app_unchanged(
    mount: Mount, baseline: Responses, arguments: dict[str, Any], error: type[Exception]
) -> None:
    app = app_with_pages()
    app.register_blueprint(Blueprint("host", "host"))
    mount(app)
    before = fingerprint.take(app, "no extension")
    with pytest.raises(error):
        ContactAdapter(app, **{"config": CONFIG, "url_prefix": "/second", **arguments})
    assert fingerprint.difference(before, fingerprint.take(app, "no extension")) == []
    assert responses(app) == baseline


def test_init_after_the_first_request_fails_and_leaves_the_app_unchanged() -> None:
    app = app_with_pages()
    app.test_client().get("/")
    before = fingerprint.take(app)
    with pytest.raises(AssertionError, match="first request"):
        ContactAdapter(app, CONFIG)
    assert fingerprint.difference(before, fingerprint.take(app, "no extension")) == []


@pytest.mark.parametrize(
    ("given", "prefix"),
    [
        ("/whatsapp", "/whatsapp"),
        ("/whatsapp/", "/whatsapp"),
        ("/api/whatsapp", "/api/whatsapp"),
        ("/ação", "/ação"),
        ("/with-dash.dot", "/with-dash.dot"),
    ],
)
def test_responses_are_the_same_below_any_prefix(
    mount: Mount, baseline: Responses, given: str, prefix: str
) -> None:
    app = app_with_pages()
    mount(app, url_prefix=given)
    assert responses(app, prefix) == baseline


@pytest.mark.parametrize("given", ["", "/"])
def test_responses_are_the_same_at_the_root_of_an_app_without_pages(
    mount: Mount, baseline: Responses, given: str
) -> None:
    app = empty_app()
    mount(app, url_prefix=given)
    assert responses(app, "") == baseline


@pytest.mark.parametrize("pulled", [True, False])
def test_prefix_with_url_variables_of_the_host(
    mount: Mount, baseline: Responses, pulled: bool
) -> None:
    app = app_with_pages()
    if pulled:
        uses_language_in_urls(app)
    mount(app, url_prefix="/<language>/whatsapp")
    assert responses(app, "/pt/whatsapp") == baseline


def test_responses_are_the_same_below_another_wsgi_app(mount: Mount, baseline: Responses) -> None:
    app = app_with_pages()
    mount(app)
    outer = DispatcherMiddleware(empty_app(), {"/below": app})
    assert responses(outer, f"/below{PREFIX}") == baseline


@pytest.mark.parametrize("address", ["http://a.example", "http://b.example:8080", "http://[::1]"])
def test_host_matching_app_serves_the_extension_on_every_host_name(
    mount: Mount, baseline: Responses, address: str
) -> None:
    def named() -> Flask:
        app = Flask("host", host_matching=True, static_host="static.example")
        app.add_url_rule("/", "home", lambda: page("a"), host="a.example")
        app.add_url_rule("/", "other", lambda: page("b"), host="b.example:8080")
        return app

    app = named()
    before = fingerprint.take(app)
    mount(app)
    assert fingerprint.difference(before, fingerprint.take(app)) == []
    assert responses(app, base_url=address) == baseline
    assert pages(app, address) == pages(named(), address)


def test_subdomain_matching_app_keeps_its_subdomains(mount: Mount, baseline: Responses) -> None:
    app = Flask("host", subdomain_matching=True)
    app.config["SERVER_NAME"] = "host.example"
    app.add_url_rule(f"{PREFIX}/v1/accounts", "own", lambda: page("own"), subdomain="api")
    mount(app)
    client = app.test_client()
    own = client.get(f"{PREFIX}/v1/accounts", base_url="http://api.host.example")
    assert own.text == "<p>the host: own</p>"
    assert responses(app, base_url="http://host.example") == baseline
