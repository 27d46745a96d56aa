"""The options that several commands of the command line share."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from adapter.settings.locations import CONFIG_VARIABLE, DEFAULT_ADDRESS
from adapter.urls import is_plain_url

_AGO: Final = re.compile(r"([0-9]{1,6})([dhm])")


def _check_address(_: click.Context, __: click.Parameter, value: str) -> str:
    if not is_plain_url(value):
        raise click.BadParameter("must be an http or https URL, such as " + DEFAULT_ADDRESS)
    return value


class PathType(click.Path):
    """A path. An empty text is refused: pathlib would read it as the current directory."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; end with a usage error for an empty text."""
        if value == "":
            self.fail("is empty; give a path, or omit the option", param, ctx)
        return super().convert(value, param, ctx)


class MomentType(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A moment in UTC: `2026-11-25`, `2026-11-25T12:30`, or a time ago such as `7d` or `12h`."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the moment; end with a usage error for any other text."""
        if isinstance(value, datetime):
            return value
        try:
            ago = _AGO.fullmatch(value)
            if ago is not None:
                unit = {"d": "days", "h": "hours", "m": "minutes"}[ago[2]]
                return datetime.now(UTC) - timedelta(**{unit: int(ago[1])})
            moment = datetime.fromisoformat(value)
            # Without an offset it is in UTC, as are the times in the ledger.
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            self.fail("must be a time in UTC such as 2026-11-25T12:30, or ago: 7d, 12h, 30m")


class IdType(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """The id of a batch or a plan."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the id; end with a usage error for anything but a whole number from 1."""
        if not re.fullmatch("(?!0+$)[0-9]{1,18}", str(value)):
            self.fail("must be a number from 1, as `contact-adapter batch list` shows", param, ctx)
        return int(value)


account_option = click.option("--account", help="The account. Default: the default account.")
config_option = click.option(
    "--config",
    type=PathType(),
    help=f"The TOML file. Default: ${CONFIG_VARIABLE}, else the sandbox.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the envelope.")
own_address_option = click.option(
    "--own-address",
    default=DEFAULT_ADDRESS,
    callback=_check_address,
    show_default=True,
    help='URL of the server, for accounts with base_url = { self = "…" }.',
)
