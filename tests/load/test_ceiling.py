"""The ceiling of the clients is measured against servers that do nothing, once, and a run near it is told so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from crep.harness.brokers.contract import Endpoint, PublisherSpec, ReaderSpec, SubscriberSpec
from crep.harness.brokers.mapping import load_mapping
from crep.harness.brokers.registry import DEFAULT_MAPPINGS
from crep.harness.load.ceiling import publishing, receiving
from crep.harness.load.ceiling.cache import Ceiling, engine_digest
from crep.harness.load.ceiling.measure import NoOpServer, no_op_server
from crep.harness.load.ceiling.publishing import ceiling, identity
from crep.harness.load.ceiling.receiving import Receiver
from crep.harness.load.engines import PublisherTask, SubscriberTask
from crep.harness.processes import Child
from crep.harness.runner.ceiling import bound, receivers_of
from crep.harness.scenario.assignment import Assignment
from crep.harness.scenario.profile import Profile, hold
from crep.harness.scenario.publisher_plan import PublisherPlan
from crep.harness.scenario.sizes import Sizes

OBJECTS: dict[str, dict[str, Any]] = {
    "kafka": {
        "topic": "crep-7f3a-orders",
        "partitions": 6,
        "topic_header": "crep-topic",
        "topic_in_header": False,
        "groups": {"billing": "crep-7f3a-billing"},
        "turns": {},
    },
    "solace": {
        "topic_prefix": "crep-7f3a",
        "key_property": None,
        "queues": {"billing": {"name": "crep-7f3a-billing", "access": "non-exclusive"}},
        "direct": {"screen": {"subscription": "crep-7f3a/>", "share_name": None}},
    },
}
ABOUT = {"machine": "a", "engines": "1", "client": "x"}


def task(system: str = "kafka", *, size: int = 256, settings: Mapping[str, str] | None = None) -> PublisherTask:
    plan = PublisherPlan(
        publisher=0,
        site="bus",
        channel="orders",
        load=0,
        index=0,
        of=1,
        guaranteed=True,
        seed=1,
        profile=Profile(tuple(hold(100.0, 1.0))),
        assignment=Assignment(seed=1, publisher=0, publishers=1, keys=100, topics=2),
        sizes=Sizes(((size, 1.0),)),
    )
    mapping = load_mapping(DEFAULT_MAPPINGS[system]).publisher
    spec = PublisherSpec(
        endpoint=Endpoint(system, "target", username="crep", password="secret"),
        name="p0",
        channel="orders",
        objects=OBJECTS[system],
        topics=("a", "b"),
        guaranteed=True,
        settings={**mapping, **(settings or {})},
        reconnect_for_s=5.0,
    )
    return PublisherTask(plan, spec)


def receiver(
    system: str = "kafka", reader: str = "billing", *, size: int = 256, member: int = 0, **changes: object
) -> Receiver:
    """One that receives what ``task`` publishes: from a queue or topic (*billing*), or without a place (*screen*)."""
    publisher = task(system, size=size)
    share, delivery = ("group", "at-least-once") if reader == "billing" else ("exclusive", "at-most-once")
    spec = SubscriberSpec(
        endpoint=publisher.spec.endpoint,
        name=f"r{member}",
        channel="orders",
        reader=replace(ReaderSpec(reader, share, 2, delivery), **changes),  # type: ignore[arg-type]
        member=member,
        objects=OBJECTS[system] | {"topic_in_header": "topic_filter" in changes},
        settings=load_mapping(DEFAULT_MAPPINGS[system]).subscriber,
        reconnect_for_s=5.0,
        stamp_property=None,
    )
    return Receiver(SubscriberTask(spec), publisher)


@pytest.mark.parametrize("system", ["kafka", "solace"])
def test_a_ceiling_is_measured_once_and_kept(system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ceiling([task(system)], "payload", ABOUT, tmp_path)
    assert found is not None
    assert found.clients == 1
    assert found.per_s > 3_000  # in order of magnitude 10⁵ on an idle machine
    [file] = (tmp_path / "ceilings").iterdir()
    assert "secret" not in file.read_text()

    def again(*_: object) -> float:
        raise AssertionError("measured a second time")

    monkeypatch.setattr(publishing, "measure", again)
    assert ceiling([task(system)], "payload", ABOUT, tmp_path) == found


def test_a_client_whose_settings_bound_it_has_the_ceiling_of_its_settings(tmp_path: Path) -> None:
    slow = task(
        settings={"linger.ms": "100", "queue.buffering.max.messages": "200"}
    )  # 200 messages each 100 ms at most
    found = ceiling([slow], "payload", ABOUT, tmp_path)
    assert found is not None
    assert found.per_s < 4_000
    near = bound("sent", 0.8 * found.per_s, found)
    assert near is not None
    assert "80%" in near
    assert f"{found.per_s:,.0f} messages/s that the same client reached" in near
    assert bound("sent", 0.6 * found.per_s, found) is None


@pytest.mark.parametrize(
    "one",
    [receiver(reader="screen", topic_filter="a"), receiver("solace")],  # the other half of the messages is filtered out
    ids=["kafka-filter", "solace-queue"],
)
def test_a_subscribers_ceiling_is_what_it_receives_from_a_server_that_only_pushes(
    one: Receiver, tmp_path: Path
) -> None:
    found = receiving.ceiling([one], "payload", ABOUT, tmp_path)
    assert found is not None
    assert found.per_s > 3_000  # in order of magnitude 10⁵ on an idle machine
    near = bound("received", 0.8 * found.per_s, found)
    assert near is not None
    assert near.startswith("the subscribers received ")


def test_a_subscriber_that_takes_its_time_has_the_ceiling_of_that(tmp_path: Path) -> None:
    found = receiving.ceiling([receiver(processing_s=0.001)], "payload", ABOUT, tmp_path)
    assert found is not None
    assert found.per_s <= 1_050


def test_who_stands_by_is_no_receiver() -> None:
    publisher = task()
    group, exclusive = ([receiver(reader=name, member=n).task for n in (0, 1)] for name in ("billing", "screen"))
    of_another = SubscriberTask(replace(group[0].spec, channel="events"))
    found = receivers_of([publisher], [*group, *exclusive, of_another])
    assert [one.task for one in found] == [*group, exclusive[0]]


def test_whatever_makes_a_subscriber_faster_or_slower_has_a_ceiling_of_its_own() -> None:
    one = receiver()
    slow = SubscriberTask(replace(one.task.spec, settings=one.task.spec.settings | {"fetch.wait.max.ms": 1}))
    others = [
        receiving.identity([receiver(size=1024)], "payload", ABOUT),
        receiving.identity([receiver(topic_filter="a")], "payload", ABOUT),
        receiving.identity([receiver(processing_s=1.0)], "payload", ABOUT),
        receiving.identity([replace(one, task=slow)], "payload", ABOUT),
        receiving.identity([one], "property", ABOUT),
        receiving.identity([one, one], "payload", ABOUT),
        receiving.identity([one], "payload", {**ABOUT, "engines": "2"}),
        identity([one.publisher], "payload", ABOUT),
    ]
    assert len({receiving.identity([one], "payload", ABOUT), *others}) == len(others) + 1
    elsewhere = replace(one.task.spec, name="r9", objects=one.task.spec.objects | {"topic": "crep-0000-orders"})
    assert receiving.identity([one], "payload", ABOUT) == receiving.identity(
        [replace(one, task=SubscriberTask(elsewhere))], "payload", ABOUT
    )


def test_a_client_that_no_server_can_deliver_to_has_no_ceiling(tmp_path: Path) -> None:
    assert receiving.ceiling([receiver("solace")], "property", ABOUT, tmp_path) is None


def test_a_file_that_was_cut_off_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ceilings" / f"{identity([task()], 'payload', ABOUT)}.json"
    file.parent.mkdir()
    file.write_text('{"per_s": 12')
    monkeypatch.setattr(publishing, "measure", lambda *_: 9000.0)
    assert ceiling([task()], "payload", ABOUT, tmp_path) == Ceiling(9000.0, 1)
    assert json.loads(file.read_text()) == {"per_s": 9000.0, "clients": 1}


def test_whatever_makes_a_client_faster_or_slower_has_a_ceiling_of_its_own() -> None:
    one = task()
    direct = PublisherTask(one.plan, replace(one.spec, guaranteed=False))
    others = [
        identity([task(size=1024)], "payload", ABOUT),
        identity([task(settings={"linger.ms": "0"})], "payload", ABOUT),
        identity([direct], "payload", ABOUT),
        identity([one], "property", ABOUT),
        identity([one, one], "payload", ABOUT),
        identity([one], "payload", {**ABOUT, "engines": "2"}),
        identity([one], "payload", {**ABOUT, "machine": "b"}),
    ]
    assert len({identity([one], "payload", ABOUT), *others}) == len(others) + 1


def test_the_run_that_a_client_belongs_to_makes_no_difference() -> None:
    one = task()
    other = PublisherTask(one.plan, replace(one.spec, name="p9", objects={"topic": "crep-0000-orders"}))
    assert identity([one], "payload", ABOUT) == identity([other], "payload", ABOUT)


def test_a_server_that_ends_at_once_is_told() -> None:
    with pytest.raises(Exception, match="ended at once"), no_op_server(["-c", "pass"]):
        pass


def test_a_system_without_a_no_op_server_has_no_ceiling(tmp_path: Path) -> None:
    one = task()
    other = PublisherTask(one.plan, replace(one.spec, endpoint=Endpoint("carrier-pigeon", "t")))
    assert ceiling([other], "payload", ABOUT, tmp_path) is None


def test_the_engines_digest_changes_with_their_sources_and_with_nothing_else(tmp_path: Path) -> None:
    engine, other, adapter = (tmp_path / "harness" / part for part in ("load", "cli", "brokers/kafka"))
    for folder in (engine, other, adapter):
        folder.mkdir(parents=True)
        (folder / "one.py").write_text("a")
    first = engine_digest(tmp_path)
    (other / "one.py").write_text("b")
    (adapter / "admin.py").write_text("b")
    (engine / "notes.md").write_text("b")
    (engine / "one.py").write_text("a")  # written again, the same
    assert engine_digest(tmp_path) == first
    (engine / "one.py").write_text("b")
    changed = engine_digest(tmp_path)
    (engine / "one.py").rename(engine / "two.py")
    renamed = engine_digest(tmp_path)
    (adapter / "publisher.py").write_text("b")
    assert len({first, changed, renamed, engine_digest(tmp_path)}) == 4
    assert engine_digest() == engine_digest()


@pytest.mark.parametrize(
    ("size", "configured", "most_kb"),
    [(1024, None, 32 << 10), (1024, "500", 500), (1024, "1048576", 32 << 10), (16 << 20, None, 4 * ((16 << 10) + 1))],
)
def test_a_client_without_a_schedule_queues_so_much_and_no_more(
    size: int, configured: str | None, most_kb: int
) -> None:
    limit = "queue.buffering.max.kbytes"
    wanted = {} if configured is None else {limit: configured}
    nobody = NoOpServer({"bootstrap": "127.0.0.1:1"}, cast(Child, None))
    loose = publishing.let_loose(task(size=size, settings=wanted), nobody)
    assert loose.spec.settings[limit] == most_kb
    assert most_kb * 1024 > size, "a message that never fits would never be sent"
