"""The columns of a file, and the actions, by their names in English, Portuguese and Spanish."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

from adapter.codes import Action
from adapter.privacy import escape_controls

IDENTIFIERS: Final = ("number", "jid", "user_id")
TEXTS: Final = ("action", "account", "reason", "ref")
COLUMNS: Final = (*IDENTIFIERS, *TEXTS)
"""The columns that are read; all others are ignored."""

NEEDED: Final = (
    "name the column of the phone numbers number (or phone, telefone, teléfono), or give a column "
    "jid or user_id"
)

_MAX_SHOWN: Final = 8
"""Maximum count of unknown columns that a message names."""
_MAX_NAME: Final = 30
"""Maximum length of a name in a message, in characters; of twice as many, names are compared."""

_ALIASES: Final = {
    "number": """
        number phone phonenumber phoneno telephone telephonenumber tel mobile mobilenumber
        mobilephone mobilephonenumber cell cellphone cellnumber cellphonenumber whatsapp
        whatsappnumber whatsappphone waid msisdn e164 phone1value
        numero numerodetelefone numerodotelefone numerotelefone telefone numerodecelular
        numerodocelular numerocelular celular telefonecelular telemovel numerodetelemovel fone
        numerowhatsapp numerodewhatsapp numerodowhatsapp telefonewhatsapp
        numerodetelefono numerotelefono telefono telefonomovil telefonocelular movil numeromovil
        numerodemovil telefonowhatsapp
    """,
    "jid": "jid whatsappjid remotejid chatid",
    "user_id": "userid bsuid businessscopeduserid",
    "action": "action acao accion",
    "account": "account conta cuenta",
    "reason": "reason motivo razao razon",
    "ref": "ref reference referencia",
}
_COLUMN_OF: Final = {alias: name for name, text in _ALIASES.items() for alias in text.split()}

_ACTIONS: Final = {
    Action.BLOCK: "block bloquear bloqueie bloqueia bloquea bloqueo bloqueio",
    Action.UNBLOCK: "unblock desbloquear desbloqueie desbloqueia desbloquea desbloqueo desbloqueio",
}
_ACTION_OF: Final = {alias: action for action, text in _ACTIONS.items() for alias in text.split()}

ACTION_RULE: Final = "must be block or unblock (bloquear or desbloquear)"


def fold_name(text: str) -> str:
    """Return the letters and digits of a name, without case and accents."""
    letters = unicodedata.normalize("NFKD", text[: 2 * _MAX_NAME]).casefold()
    return "".join(each for each in letters if each.isalnum())


def parse_action(text: str) -> Action | None:
    """Return the action of that name or alias; None if there is none."""
    return _ACTION_OF.get(text) or _ACTION_OF.get(fold_name(text))


def find_columns(cells: Sequence[str]) -> tuple[dict[str, int], str]:
    """Return the places of the known columns, and the name of one that occurs twice.

    The name is empty if there is none.
    """
    places: dict[str, int] = {}
    twice = ""
    for index, cell in enumerate(cells):
        name = _COLUMN_OF.get(fold_name(cell))
        if name in places:
            twice = twice or name
        elif name is not None:
            places[name] = index
    return places, twice


def describe_columns(cells: Sequence[str], column: str | None = None) -> str:
    """Return the names of the columns for a message, or only of those that are read as `column`.

    A name that may be a value is left out: one with a digit or an @, and a long one. Empty if no
    name is left.
    """
    names = [
        escape_controls(cell.strip())
        for cell in cells
        if column is None or _COLUMN_OF.get(fold_name(cell)) == column
    ]
    safe = [
        name
        for name in names
        if 0 < len(name) <= _MAX_NAME and "@" not in name and not any(map(str.isdigit, name))
    ]
    more = f" and {len(safe) - _MAX_SHOWN} more" if len(safe) > _MAX_SHOWN else ""
    return ", ".join(safe[:_MAX_SHOWN]) + more
