"""The live services answer as recorded. Off, unless the environment says whom to ask.

    CONTACT_ADAPTER_LIVE=live.toml CONTACT_ADAPTER_LIVE_CONTACT=+55… pytest tests/live -s

`live.toml` is an ordinary configuration with the accounts to use. The contact is a person who
agreed to be blocked and unblocked. What the services answer is written to
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
    reason="asks live services; set CONTACT_ADAPTER_LIVE and CONTACT_ADAPTER_LIVE_CONTACT",
)
def test_the_live_services_do_as_they_are_told() -> None:
    for line in record_live(Path(str(FILE)), Contact.parse(PERSON), ANSWERS):
        print(line)  # noqa: T201 - for whoever runs this
