"""Evolution API: one path for both changes, the instance in it, and one response for both."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from http import HTTPStatus

from adapter import plugin as p

PATH = "/chat/updateBlockStatus/{instance}"
CHANGES = (p.Action.BLOCK, p.Action.UNBLOCK)
UNLICENSED = "The server's licence is not activated; activate it in the server's manager."


def is_one_sentence(document: p.Json) -> bool:
    """Whether a 400 holds one sentence; an error of the schema is an array in an array."""
    match document:
        case {"status": 400, "response": {"message": [str()]}}:
            return True
    return False


def read_entry(entry: p.Json) -> p.Lookup | None:
    """Return the lookup of an entry; None if it is unreadable.

    `jid` names the person. `lid` does not: it is the word "lid", as a marker of such a `jid`.
    """
    match entry:
        case {"number": number, "exists": found, "jid": str(jid)}:
            return p.read_lookup(number, found, jid)
    return None


def write_entry(lookup: p.Lookup) -> p.Json:
    """Return the entry of a number whose lookup is known; `number` is its digits."""
    person = lookup.contact if lookup.on_whatsapp and lookup.contact else lookup.asked
    marker = {"lid": "lid"} if person.number is None else {}
    number = lookup.asked.number
    return {"jid": person.jid, "exists": lookup.on_whatsapp, "number": number, **marker}


class EvolutionApiProvider(p.Provider):
    """Evolution API v2, read in the source of github.com/EvolutionAPI/evolution-api in 11/2026.

    Its documentation names another path (`/message/…`) and v1 another method (PUT); the source of
    v2 decides. A contact is sent as a full JID, since the server rewrites bare digits of Brazil,
    Mexico and Argentina. A number without WhatsApp is a 500 like any other failure behind the
    server, such as a lost connection: only the sentences differ, so the effect remains unknown.

    The state of a connection is a word of Baileys, or `refused` after too many QR codes; the key
    may be missing. A lookup takes digits: for a JID, the server misses WhatsApp's other form of a
    Brazilian number, and returns `exists: false`. All errors of WhatsApp's query are a 400.
    Sources: whatsapp.baileys.service.ts (whatsappNumber), 2.3.7 and 2.4.0-rc2 of 2026-05-17.

    From 2.4.0 a server without an activated licence refuses all business routes before they run
    (CHANGELOG, and pull request 2530 of 2026-05-06).
    """

    name = "evolution-api"
    title = "Evolution API"
    documentation = (
        "https://doc.evolution-api.com/v2/api-reference/chat-controller/updateBlockStatus"
    )
    session_location = p.SessionLocation.PATH
    header_templates = {"apikey": "{api_key}"}
    routes = {
        "block": ("POST", PATH),
        "unblock": ("POST", PATH),
        "status": ("GET", "/instance/connectionState/{instance}"),
        "lookup": ("POST", "/chat/whatsappNumbers/{instance}"),
    }
    max_lookup = 100  # the schema has no maximum
    status_at = "/instance/state"
    status_session = ("/instance/instanceName", "session")
    status_words = {
        "open": p.SessionState.CONNECTED,
        "close": p.SessionState.NOT_CONNECTED,
        "connecting": p.SessionState.NOT_CONNECTED,
        "refused": p.SessionState.NOT_CONNECTED,
    }
    provider_code_at = ("/code",)
    error_rules = (
        # Sent by the Meta and Evolution channels. No other 400 of this path has that shape.
        p.ErrorRule(p.Code.OPERATION_NOT_SUPPORTED, 400, where=is_one_sentence, actions=CHANGES),
        p.ErrorRule(p.Code.PROVIDER_ERROR, 400, actions=(p.Action.LOOKUP,)),
        p.ErrorRule(p.Code.SESSION_NOT_FOUND, 404),
        p.ErrorRule(p.Code.PROVIDER_PERMISSION_DENIED, 403),  # the first one, for the dialect
        p.ErrorRule(
            p.Code.PROVIDER_PERMISSION_DENIED,
            503,
            provider_code="LICENSE_REQUIRED",
            message=UNLICENSED,
        ),
    )

    class Options(p.Options):
        """`api_key`: the instance's key or the global one; `session`: the instance's name."""

        api_key = p.SecretField(required=True)
        session = p.session_field()

    def build_request(self, command: p.Command) -> p.HttpRequest:
        """Put the instance into the path, the contact and the action into the body."""
        body = {"number": self.name_contact(command.target), "status": command.action.value}
        return self.request(command, body, instance=self.options["session"])

    def build_status(self, command: p.Command) -> p.HttpRequest:
        """Put the instance into the path."""
        return self.request(command, instance=self.options["session"])

    def build_lookup(self, command: p.Command) -> p.HttpRequest:
        """Put the instance into the path, the digits of the numbers into the body."""
        body = {"numbers": command.numbers}
        return self.request(command, body, instance=self.options["session"])

    def parse_lookup(self, command: p.Command, document: p.Json) -> Iterable[p.Lookup] | None:
        """Read the entry of each number."""
        return filter(None, map(read_entry, document)) if isinstance(document, list) else None

    def is_own_error(self, response: p.HttpResponse) -> bool:
        """Accept the error object that repeats the status; a proxy's page is not one."""
        match response.document:
            case {"status": int(status), "response": {"message": _}}:
                return status == response.status
        return False

    def parse_success(self, command: p.Command, response: p.HttpResponse) -> p.Outcome | None:
        """Accept a 201 with `success` under `block`, for an unblock too."""
        match response.document:
            case {"block": "success"} if response.status == 201:
                return self.success(response)
        return None


class EvolutionApiDialect(p.Dialect):
    """Evolution API's own API, served by the adapter.

    Express reads its paths and bodies (src/main.ts).
    """

    provider = EvolutionApiProvider
    texts = {
        p.Code.OPERATION_NOT_SUPPORTED: "Method not available on WhatsApp Business API",
        p.Code.PROVIDER_AUTH_FAILED: "Unauthorized",
    }
    reads = (p.Action.STATUS, p.Action.LOOKUP)
    takes_forms = True
    lenient_paths = True
    success_statuses = (200, 201)

    def parse_credential(self, request: p.HttpRequest) -> str | None:
        """Return the `apikey` header."""
        return request.headers.get("apikey")

    def parse_request(self, request: p.HttpRequest) -> p.DialectRequest:
        """Read the instance from the path; `number` (digits, or a JID) and `status` from the body.

        A lookup has `numbers`. Digits are not rewritten, as Evolution API would do with some.
        """
        route, ids = self.match(request)
        if route.action is p.Action.STATUS:
            return p.DialectRequest(p.Command(route.action), ids["instance"])
        body = p.read_object(request)
        if route.action is p.Action.LOOKUP:
            command = p.Command(route.action, contacts=p.read_native_numbers(body.get("numbers")))
            return p.DialectRequest(command, ids["instance"])
        if body.get("status") not in (p.Action.BLOCK, p.Action.UNBLOCK):
            raise p.invalid_field("status", 'must be "block" or "unblock"')
        number, status = p.read_texts(body, "number", "status")
        command = p.Command(p.Action(status), p.read_number_or_jid(number, "number"))
        return p.DialectRequest(command, ids["instance"])

    def write_success(self, call: p.DialectRequest, outcome: p.Outcome) -> p.HttpResponse:
        """Write the one response to both changes, the state, or the numbers that are known."""
        match outcome.reading:
            case p.Session() as session:
                instance = {"instanceName": call.session, "state": self.status_word(session)}
                return p.json_response(200, {"instance": instance})
            case tuple() as lookups:
                known = [each for each in lookups if each.on_whatsapp is not None]
                return p.json_response(200, [write_entry(each) for each in known])
        return p.json_response(201, {"block": "success"})

    def write_error(
        self, rule: p.ErrorRule, outcome: p.Outcome, call: p.DialectRequest | None, now: datetime
    ) -> p.HttpResponse:
        """Write status, phrase and message: an array, within another for a rejected contact."""
        message: p.Json = self.message(rule, outcome)
        if rule.code is not p.Code.PROVIDER_AUTH_FAILED:  # there, the server sends the text alone
            message = [[message]] if rule.code is p.Code.TARGET_REJECTED else [message]
        error = {"status": rule.status, "error": HTTPStatus(rule.status).phrase}
        return p.json_response(rule.status, {**error, "response": {"message": message}})


@p.hookimpl
def register(registry: p.Registry) -> None:
    """Register the provider and its dialect."""
    registry.add(EvolutionApiProvider, EvolutionApiDialect)
