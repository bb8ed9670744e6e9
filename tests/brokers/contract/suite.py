"""The one suite that every broker adapter passes against a live broker.

A subclass names its system and its endpoint; whatever else it needs is a bug of the contract. Each test provisions its
own run, so tests do not see each other's messages.
"""

from __future__ import annotations

from tests.brokers.contract.administration import Administration
from tests.brokers.contract.burying import Burying
from tests.brokers.contract.faults import Faults
from tests.brokers.contract.one_by_one import OneByOne
from tests.brokers.contract.publishing import Publishing
from tests.brokers.contract.receiving import Receiving
from tests.brokers.contract.streaming import Streaming


class BulkContract(Publishing, Receiving, Burying, Faults):
    """The promises of the engines' clients: for a system that has them on more than one library."""


class BrokerContract(Administration, BulkContract, OneByOne, Streaming):
    """Every promise of ``brokers.contract``."""
