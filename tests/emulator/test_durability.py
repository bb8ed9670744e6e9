"""``kill -9``, then start on the same directory: what was acknowledged is there, what was consumed stays gone.

Under load: ``test_killing``.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from solace.messaging.config.missing_resources_creation_configuration import MissingResourcesCreationStrategy
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.topic import Topic
from solace.messaging.resources.topic_subscription import TopicSubscription

from crep.solace_emulator.journal.segments import MAGIC, pack, path_of
from tests.emulator.messaging import (
    Receipts,
    drain,
    end,
    eventually,
    persistent_publisher,
    receiver,
    send,
    text,
)
from tests.emulator.process import Emulator, command, running

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]


@pytest.fixture(params=["always", "batch", "never"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Emulator]:
    """An emulator of this test alone, in each sync mode: a killed process loses nothing in any of them."""
    with running(tmp_path / "data", "--sync", request.param) as started:
        yield started


def restart(emulator: Emulator) -> None:
    """Kill and start on the same directory and ports."""
    emulator.kill()
    emulator.start()


def test_configuration_and_messages_survive_a_kill_and_consumed_ones_stay_gone(
    fresh: Emulator, connect: Connect
) -> None:
    fresh.queue("kept", "kept/>", maxRedeliveryCount=7)
    service = connect(fresh, "kept")
    publisher = persistent_publisher(service)
    for number in range(10):
        send(publisher, "kept/x", str(number))
    source = receiver(service, "kept")
    assert len(drain(source, 4)) == 4
    end(source)
    assert eventually(lambda: fresh.depth("kept") == 6)
    service.disconnect()
    restart(fresh)
    settings = fresh.semp("GET", "config/msgVpns/default/queues/kept").json()["data"]
    assert settings["maxRedeliveryCount"] == 7
    again = receiver(connect(fresh, "kept"), "kept")
    assert [text(message) for message in drain(again, 6)] == ["4", "5", "6", "7", "8", "9"]
    assert again.receive_message(200) is None
    end(again)


def test_an_orderly_stop_remembers_what_was_never_delivered(fresh: Emulator, connect: Connect) -> None:
    fresh.queue("calm", "calm/>")
    service = connect(fresh, "calm")
    send(persistent_publisher(service), "calm/x", "first delivery")
    service.disconnect()
    assert fresh.stop() == 0
    fresh.start()
    source = receiver(connect(fresh, "calm"), "calm")
    (message,) = drain(source, 1)
    assert not message.is_redelivered()
    end(source)


def test_a_publisher_that_resumes_is_not_stored_twice(tmp_path: Path, connect: Connect) -> None:
    with running(tmp_path / "data", "--sync", "always") as emulator:
        emulator.queue("once", "once/>")
        publisher = persistent_publisher(connect(emulator, "once"))
        receipts = Receipts()
        publisher.set_message_publish_receipt_listener(receipts)
        for number in range(600):
            publisher.publish(bytearray(b"x"), Topic.of("once/x"), user_context=number)
            if number == 300:
                restart(emulator)
        assert eventually(lambda: receipts.count == 600, 20)
        assert emulator.depth("once") == 600


@pytest.mark.parametrize(("sync", "survives"), [("always", True), ("batch", True), ("never", False)])
def test_a_power_cut_costs_nothing_acknowledged_unless_sync_is_never(
    tmp_path: Path, connect: Connect, sync: str, survives: bool
) -> None:
    """On files that forget what was not synced. ``never`` has to lose here: that shows that they do forget."""
    with running(tmp_path / "data", "--sync", sync, module="tests.emulator.forgetful") as emulator:
        emulator.queue("cut", "cut/>")
        assert emulator.stop() == 0  # which syncs in every mode, so that the queue outlives the cut
        emulator.start()
        publisher = persistent_publisher(connect(emulator, "cut-out"))
        receipts = Receipts()
        publisher.set_message_publish_receipt_listener(receipts)
        total = 600
        for number in range(total):
            publisher.publish(bytearray(str(number).encode()), Topic.of("cut/x"), user_context=number)
        assert eventually(lambda: receipts.count >= 100)
        emulator.kill()
        acknowledged = {str(number) for number in receipts.acknowledged}
        emulator.start()
        assert eventually(lambda: receipts.count == total, 60), f"{receipts.count} of {total}; {emulator.log}"
        source = receiver(connect(emulator, "cut-in"), "cut")
        found = {text(message) for message in drain(source, total, seconds=10 if survives else 2)}
        end(source)
        assert (acknowledged <= found) is survives, (
            f"{len(acknowledged)} acknowledged, {len(found)} found; {emulator.log}"
        )


def test_what_a_client_was_told_to_have_configured_outlives_a_power_cut(tmp_path: Path, connect: Connect) -> None:
    """Killed as soon as the client knows: the queue that it made and the subscription that it added are there."""
    with running(tmp_path / "data", "--sync", "batch", module="tests.emulator.forgetful") as emulator:
        for number in range(3):
            builder = connect(emulator, f"making-{number}").create_persistent_message_receiver_builder()
            builder.with_missing_resources_creation_strategy(MissingResourcesCreationStrategy.CREATE_ON_START)
            builder.with_subscriptions([TopicSubscription.of("made/>")])
            source = builder.build(Queue.durable_exclusive_queue(f"made-{number}"))
            source.start()
            restart(emulator)
            found = emulator.semp("GET", f"config/msgVpns/default/queues/made-{number}/subscriptions").json()["data"]
            assert [one["subscriptionTopic"] for one in found] == ["made/>"]


def test_damage_in_synced_bytes_costs_at_most_what_stands_behind_it_and_is_logged(
    tmp_path: Path, connect: Connect
) -> None:
    """Each start opens a segment: the damage lies in the middle of the first of two."""
    emulator = Emulator(tmp_path / "data", "--sync", "always")
    emulator.start()
    try:
        emulator.queue("hurt", "hurt/>")
        for first in (0, 20):
            service = connect(emulator, f"hurt-{first}")
            publisher = persistent_publisher(service)
            for number in range(first, first + 20):
                send(publisher, "hurt/x", str(number))
            service.disconnect()
            assert emulator.stop() == 0
            if first == 0:
                emulator.start()
        oldest = min(emulator.folder.glob("journal-*.log"))
        raw = bytearray(oldest.read_bytes())
        at = raw.rindex(b"hurt/x") - 400  # some messages before the last one
        raw[at : at + 8] = bytes(byte ^ 0xFF for byte in raw[at : at + 8])
        oldest.write_bytes(raw)
        emulator.start()
        source = receiver(connect(emulator, "hurt"), "hurt")
        received = drain(source, 40, seconds=3)
        end(source)
        assert all(message.is_redelivered() for message in received)  # their acknowledges may be what was lost
        found = [int(text(message)) for message in received]
        before = [number for number in found if number < 20]
        assert found == sorted(found)
        assert before == list(range(len(before)))
        assert 0 < len(before) < 20
        assert found[len(before) :] == list(range(20, 40))
        assert re.search(rf"{oldest.name}: bytes \d+ to {len(raw)} cannot be read and are lost", emulator.log)
    finally:
        emulator.kill()


def test_a_journal_of_another_version_is_left_as_it_is_and_said_to_be_one(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    journal = path_of(folder, 1)
    journal.write_bytes(MAGIC + pack([b"\x02a message as an older version wrote it"]))
    before = journal.read_bytes()
    ended = subprocess.run(
        command("--data-dir", str(folder), "--smf-port", "0", "--semp-port", "0", "--health-port", "0"),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.endswith(
        "its journal was written by another version of the emulator (a journal record of unknown kind 2), and there is "
        "no conversion; give an empty directory, or drain the queues with the version that wrote it\n"
    )
    assert journal.read_bytes() == before
