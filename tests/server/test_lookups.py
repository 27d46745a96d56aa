"""Under the server, a DNS lookup that hangs ends with the time to connect."""

from __future__ import annotations

import os
import time
from pathlib import Path

from support import NUMBER, call
from support.serving import serve

RESOLVER = """
import gevent
from gevent.resolver.thread import Resolver


class Hanging(Resolver):
    def getaddrinfo(self, host, *rest, **options):
        if host == "hangs.example":
            gevent.sleep(60)
        return super().getaddrinfo(host, *rest, **options)
"""

CONFIG = """
[accounts.a]
provider = "wuts"
base_url = "https://hangs.example"
token = { env = "A_TOKEN" }
transport = { connect_timeout = 0.3, deadline = 5.0 }
"""


def test_a_lookup_that_hangs_ends_unreachable_with_nothing_sent(tmp_path: Path) -> None:
    (tmp_path / "hanging_resolver.py").write_text(RESOLVER)
    config = tmp_path / "adapter.toml"
    config.write_text(CONFIG)
    environment = {
        **os.environ,
        "A_TOKEN": "t",
        "GEVENT_RESOLVER": "hanging_resolver.Hanging",
        "PYTHONPATH": str(tmp_path),
    }
    with serve("--config", str(config), env=environment) as served:
        started = time.monotonic()
        body = {"number": NUMBER, "account": "a"}
        answer = call(served.address, "POST", "/v1/contacts/block", json_body=body)
        assert time.monotonic() - started < 10
        assert answer.json["error"]["code"] == "provider_unreachable"
        assert answer.json["error"]["outcome"] == "not_applied"
        assert answer.json["meta"]["attempts"] == 2
        assert served.stop() == 0
    assert "Traceback" not in served.log
