"""A real Kafka on this machine: started, killed, started again, ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from crep.harness.config.targets import Setting, Target
from crep.harness.deployment import Deployment, DeploymentError, deploy
from crep.harness.deployment.folders import new_work_folder
from crep.harness.processes import ProcessIdentity

pytestmark = pytest.mark.kafka


def target(**settings: Setting) -> Target:
    return Target(name="kafka-local", system="kafka", source="local", profile="quick", settings=settings)


def silent(_line: str) -> None:
    """A progress that nobody reads."""


def publish(bootstrap: str, topic: str, payload: bytes) -> None:
    """Publish one message and wait for its acknowledgement."""
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "log_level": 0})
    producer.produce(topic, payload, on_delivery=lambda error, _message: failures.append(error))
    assert producer.flush(60) == 0
    assert failures == [None]


def first_message(bootstrap: str, topic: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "log_level": 0})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    message = consumer.poll(60)
    consumer.close()
    return None if message is None else message.value()


def test_a_started_kafka_answers_its_protocol_within_half_a_second(kafka_deployment: Deployment) -> None:
    took = []
    for _ in range(5):
        before = time.monotonic()
        assert kafka_deployment.probe_node("kafka-1")
        took.append(time.monotonic() - before)
    assert min(took) < 0.5


def test_what_was_acknowledged_is_there_after_a_kill_and_a_restart_on_the_same_address(tmp_path: Path) -> None:
    deployment = deploy(target(), tmp_path)
    deployment.start(silent)
    try:
        before, pid = deployment.endpoint(), deployment.node_pid("kafka-1")
        assert before.bootstrap is not None
        admin = AdminClient({"bootstrap.servers": before.bootstrap, "log_level": 0})
        admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(30)
        publish(before.bootstrap, "kept", b"acknowledged")
        deployment.kill_node("kafka-1")
        assert not deployment.probe_node("kafka-1")
        deployment.start_node("kafka-1")
        assert first_message(before.bootstrap, "kept") == b"acknowledged"
        assert deployment.endpoint() == before
        again = deployment.node_pid("kafka-1")
        assert again is not None
        assert again != pid
    finally:
        deployment.stop()
    assert ProcessIdentity.of(again) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kafka-1.log", "kafka-1.properties"]


def test_a_kafka_does_not_outlive_a_crep_that_was_killed() -> None:
    script = (
        "import sys, time\nfrom crep.harness.config.targets import Target\nfrom crep.harness.deployment import deploy\n"
        "deployment = deploy(Target.model_validate_json(sys.argv[1]))\ndeployment.start(lambda _line: None)\n"
        "print(deployment.node_pid('kafka-1'), deployment.folder, flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, target().model_dump_json()], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid, folder = parent.stdout.readline().decode().split()
    identity = ProcessIdentity.of(int(pid))
    assert identity is not None
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 2
    while ProcessIdentity.of(int(pid)) == identity and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ProcessIdentity.of(int(pid)) != identity
    own = new_work_folder("test")
    shutil.rmtree(own)
    assert not Path(folder).exists(), "the next local broker removes what the killed one left"


def test_the_brokers_own_words_about_a_wrong_setting_reach_the_person(tmp_path: Path) -> None:
    deployment = deploy(target(**{"num.io.threads": "many"}), tmp_path)
    with pytest.raises(DeploymentError, match=r"Invalid value many for configuration num.io.threads") as raised:
        deployment.start(silent)
    assert "\tat " not in str(raised.value)
    assert deployment.node_pid("kafka-1") is None


def test_the_description_holds_all_that_a_rerun_needs(kafka_deployment: Deployment) -> None:
    words = json.loads(json.dumps(kafka_deployment.describe()))
    assert words["product"] == "Apache Kafka"
    assert words["profile"] == "quick"
    assert words["settings"]["profile quick"]["broker.session.timeout.ms"] == 3000
    assert len(words["lock_sha256"]) == 64 or words["jars"].startswith("KAFKA_HOME")
    assert int(words["java"]["version"].split(".")[0]) >= 17
    assert Path(words["nodes"]["kafka-1"]["log"]).is_file()
