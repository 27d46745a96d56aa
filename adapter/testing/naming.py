"""How requests and responses name contacts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from adapter.contacts import Contact, ContactError, ContactForm, NotAPersonError, is_user_id
from adapter.http import HttpRequest
from adapter.strict_json import Json
from adapter.testing.pointers import places


def forms_in(request: HttpRequest, contact: Contact) -> set[ContactForm]:
    """Return the forms in which the path, the query or the body of a request names the contact.

    A form counts where it stands alone: digits before an `@` are a part of another form.
    """
    values = [unquote(request.path), dict(request.query), as_json(request.json)]
    text = "\n".join(str(value) for _, value in places(values) if isinstance(value, (str, int)))
    names = {form: form.write(contact) for form in ContactForm}
    return {
        form
        for form, name in names.items()
        if name and re.search(rf"(?<![\w@.]){re.escape(name)}(?![\w@.])", text)
    }


def is_readable_name(value: Json) -> bool:
    """Whether a value names a contact, a group or a channel: a JID, digits, or a user id."""
    if not isinstance(value, str):
        return False
    if "@" not in value:
        return re.fullmatch(r"\+?[0-9]{7,15}", value) is not None or is_user_id(value)
    try:
        Contact.from_jid(value)
    except NotAPersonError:
        return True
    except ContactError:
        return False
    return True


def as_json(value: Any) -> Json:
    """Return the value as it arrives in JSON; its repr where it cannot be JSON."""
    try:
        return json.loads(json.dumps(dict(value) if isinstance(value, Mapping) else value))
    except (TypeError, ValueError):
        return repr(value)
