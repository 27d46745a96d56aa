"""Meta's business-scoped user ids: which texts are one."""

from __future__ import annotations

import re
from typing import Final

MAX_USER_ID: Final = 135
"""Longest user id, in characters."""

_USER_ID: Final = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[0-9A-Za-z]{1,128}")
"""A user's country by ISO 3166, and up to 128 letters and digits; `ENT` of linked businesses.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/
business-scoped-user-ids/, as of November 2026.
"""


def is_user_id(text: str) -> bool:
    """Whether the text is a user id, with nothing around it."""
    return _USER_ID.fullmatch(text) is not None


def resembles_user_id(text: str) -> bool:
    """Whether the text is a user id but for the case of its letters."""
    return len(text) <= MAX_USER_ID and text.isascii() and is_user_id(text.upper())
