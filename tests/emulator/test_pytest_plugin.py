"""The pytest plugin, as somebody else's tests use it; first of all the example in the documentation."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from crep.solace_emulator.testing import EmulatorError, EmulatorProcess

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.emulator

DOCUMENT = Path(__file__).parents[2] / "docs" / "emulator.md"
PLUGIN = ("-p", "crep.solace_emulator.pytest_plugin")


def run(pytester: pytest.Pytester, *more: str) -> pytest.RunResult:
    """Run what the test has written in a process of its own, without this project's settings."""
    return pytester.runpytest_subprocess(*PLUGIN, "-p", "no:cacheprovider", *more, timeout=60)


def test_the_example_in_the_documentation_passes(pytester: pytest.Pytester) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 15
    pytester.makepyfile(example)
    run(pytester).assert_outcomes(passed=1)


def test_tests_do_not_see_each_other_and_share_one_emulator_that_ends_with_them(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("turn", [1, 2])
        def test_it(solace_broker, solace_emulator, turn):
            solace_broker.queue("q/1", "a/>", maxRedeliveryCount=turn)
            assert solace_broker.depth("q/1") == 0
            assert solace_broker.vpn == f"test-{turn}"
            assert len(solace_emulator.semp("GET", "config/msgVpns")["data"]) == 2  # default and this one
            print("pid", solace_emulator._process.pid)
        """
    )
    result = run(pytester, "-s")
    result.assert_outcomes(passed=2)
    pids = {int(pid) for pid in re.findall(r"pid (\d+)", "\n".join(result.outlines))}
    assert len(pids) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(pids.pop(), 0)


def test_a_client_that_is_left_connected_does_not_stand_in_the_way(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from solace.messaging.messaging_service import MessagingService
        from solace.messaging.resources.queue import Queue

        def test_one(solace_broker):
            solace_broker.queue("q")
            service = MessagingService.builder().from_properties(solace_broker.properties).build()
            service.connect()
            queue = Queue.durable_exclusive_queue("q")
            for endpoint in (queue, Queue.non_durable_exclusive_queue("mine")):
                service.create_persistent_message_receiver_builder().build(endpoint).start()

        def test_other(solace_broker):
            solace_broker.queue("q")
        """
    )
    run(pytester).assert_outcomes(passed=2)


def test_options_of_the_emulator_can_be_set_and_a_bad_one_is_named(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nsolace_emulator_options = --sync always --colour red")
    pytester.makepyfile("def test_it(solace_broker): pass")
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*EmulatorError: the emulator is not ready: *unrecognized arguments: --colour red*"])


def test_nothing_starts_before_a_test_wants_it(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nsolace_emulator_options = --colour red")
    pytester.makepyfile("def test_it(): pass")
    run(pytester).assert_outcomes(passed=1)


def test_what_semp_refuses_is_an_error_with_its_reason(tmp_path: Path) -> None:
    emulator = EmulatorProcess(tmp_path)
    try:
        broker = emulator.new_broker()
        with pytest.raises(EmulatorError, match="speed is not a valid attribute"):
            broker.queue("q", speed=3)
    finally:
        emulator.stop()
