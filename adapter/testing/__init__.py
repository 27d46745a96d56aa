"""The provider contract kit: the promises of a provider, as tests. The adapter imports none of it.

A clause of the contract is a method `test_…`, and needs no test library. The standard is the
recorded responses, not the provider's code; `adapter.testing.exchanges` describes their format.
Imports within the package go downwards only: `contract` · the topics (`…_contract`) · `base` ·
`calls` `discovery` `hostile` `mutations` `proofs` · `exchanges` `reporting` `samples` · `naming` ·
`pointers`.
"""

from __future__ import annotations

from adapter.testing.blanks import find_blanks, require_no_blanks
from adapter.testing.contract import ProviderContract
from adapter.testing.exchanges import LIVE_FILE, Exchange, Provenance, read_answers
from adapter.testing.mutations import mutations
from adapter.testing.naming import forms_in
from adapter.testing.samples import CANARY, PLAIN_NUMBER

__all__ = [
    "CANARY",
    "LIVE_FILE",
    "PLAIN_NUMBER",
    "Exchange",
    "Provenance",
    "ProviderContract",
    "find_blanks",
    "forms_in",
    "mutations",
    "read_answers",
    "require_no_blanks",
]
