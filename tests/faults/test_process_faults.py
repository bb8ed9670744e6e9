"""Faults on broker processes, on live brokers: each step is true when it says so, and the broker works afterwards."""

from __future__ import annotations

import time

import pytest

from crep.harness.deployment import Deployment
from crep.harness.processes import stands_still
from tests.faults.staging import all_steps, carry_out, stage


@pytest.mark.kafka
def test_a_killed_broker_is_another_process_on_the_same_endpoint_afterwards(kafka_deployment: Deployment) -> None:
    [node], endpoint = kafka_deployment.nodes, kafka_deployment.endpoint()
    before = kafka_deployment.node_pid(node)
    done = carry_out(stage(kafka_deployment, "kill-broker", heal_after_s=0.5))
    all_steps(done)
    assert done.subject == node
    assert kafka_deployment.node_pid(node) not in (None, before)
    assert kafka_deployment.endpoint() == endpoint


@pytest.mark.kafka
def test_a_paused_broker_stands_still_in_its_process_and_answers_again(kafka_deployment: Deployment) -> None:
    [node] = kafka_deployment.nodes
    pid = kafka_deployment.node_pid(node)
    assert pid is not None
    seen = []
    where = stage(kafka_deployment, "pause-broker", node="leader-of orders", heal_after_s=1.0)

    class Looking:
        """A guard that looks at the process when it hears that the fault begins, has begun, and is over."""

        def hold(self, *_: object) -> None:
            deadline = time.monotonic() + 2.0  # the signal is sent: a process of many threads needs a moment to obey
            while seen and not stands_still(pid) and time.monotonic() < deadline:
                time.sleep(0.01)
            seen.append(stands_still(pid))

        def release(self, _: int) -> None:
            seen.append(stands_still(pid))

    all_steps(carry_out(where, Looking()))
    assert seen == [False, True, False]
    assert kafka_deployment.node_pid(node) == pid


@pytest.mark.kafka
def test_a_rolling_restart_ends_each_broker_in_order(kafka_deployment: Deployment) -> None:
    [node] = kafka_deployment.nodes
    before = kafka_deployment.node_pid(node)
    done = carry_out(stage(kafka_deployment, "rolling-restart", node="all", parameters={"grace_s": 30.0}))
    all_steps(done)
    assert kafka_deployment.node_pid(node) not in (None, before)


@pytest.mark.emulator
@pytest.mark.parametrize("action", ["stop-broker", "restart-broker"])
def test_a_stopped_broker_ends_in_order_and_comes_back(emulator_deployment: Deployment, action: str) -> None:
    [node] = emulator_deployment.nodes
    before = emulator_deployment.node_pid(node)
    all_steps(carry_out(stage(emulator_deployment, action, parameters={"grace_s": 10.0})))
    assert emulator_deployment.node_pid(node) not in (None, before)
