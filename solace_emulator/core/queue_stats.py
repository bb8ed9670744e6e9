"""What a queue counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Burial = Literal["moved", "failed", "discarded"]
CauseOfDeath = Literal["redelivery", "ttl", "rejected"]


@dataclass(slots=True)
class QueueStats:
    """Counters since creation or the last clear; names are SEMP's monitor attributes in snake case."""

    spooled_msg_count: int = 0
    spooled_byte_count: int = 0
    redelivered_msg_count: int = 0
    deleted_msg_count: int = 0
    disabled_discarded_msg_count: int = 0
    max_msg_size_exceeded_discarded_msg_count: int = 0
    max_msg_spool_usage_exceeded_discarded_msg_count: int = 0
    max_redelivery_exceeded_discarded_msg_count: int = 0
    max_redelivery_exceeded_to_dmq_msg_count: int = 0
    max_redelivery_exceeded_to_dmq_failed_msg_count: int = 0
    max_ttl_expired_discarded_msg_count: int = 0
    max_ttl_expired_to_dmq_msg_count: int = 0
    max_ttl_expired_to_dmq_failed_msg_count: int = 0
    bind_request_count: int = 0
    bind_success_count: int = 0
    disabled_bind_failure_count: int = 0
    max_bind_count_exceeded_bind_failure_count: int = 0
    other_bind_failure_count: int = 0
    msg_spool_peak_usage: int = 0
    replay_start_count: int = 0
    replay_success_count: int = 0
    replay_failure_count: int = 0
    replayed_tx_msg_count: int = 0
    replayed_acked_msg_count: int = 0

    def buried(self, cause: CauseOfDeath, burial: Burial) -> None:
        """Count a dead message; a rejected one has no counter."""
        if cause == "rejected":
            return
        prefix = "max_redelivery_exceeded" if cause == "redelivery" else "max_ttl_expired"
        suffix = {"moved": "to_dmq", "failed": "to_dmq_failed", "discarded": "discarded"}[burial]
        name = f"{prefix}_{suffix}_msg_count"
        setattr(self, name, getattr(self, name) + 1)
