"""Changes of several contacts in one request, for providers that take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from adapter.http import HttpRequest, HttpResponse
from adapter.results import Command


class ProviderBatches:
    """The declaration and the pure methods of such requests; a base class of `Provider`.

    - `max_contacts`: the most contacts in one request of a block or an unblock. Above 1, the
      provider needs the two methods.
    """

    max_contacts: ClassVar[int] = 1

    def build_batch_request(self, commands: Sequence[Command]) -> HttpRequest:
        """Return the request for changes of one action, at most `max_contacts` of them.

        `build_request` accepts each of the commands. Raises RequestError where they cannot be sent
        together; nothing is sent then, and each is sent alone.
        """
        raise NotImplementedError

    def split_response(
        self, commands: Sequence[Command], response: HttpResponse
    ) -> Sequence[HttpResponse]:
        """Return for each command the response as it would be to this command alone, in order.

        `parse_response` decides what each of them proves, as for a single change. A response
        without results per contact is returned for each command, unchanged: it is never a success
        of several contacts, and blames none of them. For a contact that the
        results do not mention, return a 2xx that proves nothing: its outcome is then
        `provider_bad_response`, since the change may have taken effect.
        """
        raise NotImplementedError
