"""Short forms of the soak's trials: one seed each, few kills."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.enrichment.journey import journey
from tests.enrichment.together import together


@pytest.mark.kafka
@pytest.mark.emulator
def test_from_solace_to_kafka_the_ledger_is_exact_through_kills_a_stall_poison_and_a_new_lookup_file(
    tmp_path: Path,
) -> None:
    outcome = journey(1, tmp_path, "kafka")
    assert not outcome.faults
    assert outcome.figures["messages"] > 0


@pytest.mark.emulator
def test_three_processes_share_a_partitioned_queue_and_one_may_be_killed(tmp_path: Path) -> None:
    outcome = together(1, tmp_path, "solace")
    assert not outcome.faults
    assert outcome.figures["messages"] > 0
