"""The whole contract of a provider."""

from __future__ import annotations

from adapter.testing.batches_contract import BatchesContract
from adapter.testing.dialect_contract import DialectContract
from adapter.testing.evidence_contract import EvidenceContract
from adapter.testing.lists_contract import ListsContract
from adapter.testing.options_contract import OptionsContract
from adapter.testing.privacy_contract import PrivacyContract
from adapter.testing.requests_contract import RequestsContract
from adapter.testing.responses_contract import ResponsesContract


class ProviderContract(
    RequestsContract,
    ResponsesContract,
    EvidenceContract,
    ListsContract,
    BatchesContract,
    OptionsContract,
    PrivacyContract,
    DialectContract,
):
    """The promises of a provider, one test each. Subclass it under a name that begins with Test.

        class TestAcme(ProviderContract):
            provider = AcmeProvider
            answers = Path(__file__).parent / "answers" / "acme"

    `ContractBase` describes these attributes and the optional ones, `adapter.testing.exchanges` the
    files in `answers`.
    """
