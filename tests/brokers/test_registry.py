from __future__ import annotations

import subprocess
import sys

import pytest

from crep.harness.brokers.registry import ADAPTERS, adapter
from crep.harness.config.errors import UsageError


def test_each_system_is_found_by_its_name() -> None:
    for system in ADAPTERS:
        assert adapter(system).system == system


def test_an_unknown_system_is_a_usage_error_that_lists_the_known() -> None:
    with pytest.raises(UsageError, match="kafka, solace"):
        adapter("carrier-pigeon")


@pytest.mark.parametrize(("system", "other"), [("kafka", "solace.messaging"), ("solace", "confluent_kafka")])
def test_an_adapter_imports_no_other_client_library(system: str, other: str) -> None:
    find = f"from crep.harness.brokers.registry import adapter; adapter({system!r})"
    program = f"import sys; {find}; print({other!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"
