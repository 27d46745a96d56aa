"""The responses of live services. Off, unless the environment names the services.

    CONTACT_ADAPTER_LIVE=live.toml CONTACT_ADAPTER_LIVE_CONTACT=+55… pytest tests/live -s

`live.toml` is an ordinary configuration with the accounts to use. The contact is a person who
agreed to be blocked and unblocked. The responses are written to
`tests/answers/<provider>/live.json`, without credentials and numbers. Read those files: they may
still hold a name. Then set `verified_on` in the provider's class, and run `make test`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tools.recorder import record_live

from adapter import Contact

FILE = os.environ.get("CONTACT_ADAPTER_LIVE")
PERSON = os.environ.get("CONTACT_ADAPTER_LIVE_CONTACT")
ANSWERS = Path(__file__).parents[1] / "answers"


@pytest.mark.skipif(
    not (FILE and PERSON),
    reason="calls live services; set CONTACT_ADAPTER_LIVE and CONTACT_ADAPTER_LIVE_CONTACT",
)
def test_the_live_services_block_and_unblock() -> None:
    for line in record_live(Path(str(FILE)), Contact.parse(PERSON), ANSWERS):
        print(line)  # noqa: T201 - read by the person who runs it
