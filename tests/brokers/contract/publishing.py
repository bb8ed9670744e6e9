"""Promises of ``BulkPublisher``."""

from __future__ import annotations

import time

from crep.harness.brokers.contract import Batch, Outcome
from crep.harness.deployment import Deployment
from tests.brokers.contract.bench import Bench, batch, eventually, numbers, paused, reader, send_all
from tests.brokers.contract.system import SystemUnderTest


class Publishing(SystemUnderTest):
    """Promises of ``BulkPublisher``."""

    def test_every_message_is_acknowledged_and_received_once_as_it_was(self, bench: Bench) -> None:
        bench.provision(reader("billing"))
        member = bench.member("billing").ready()
        messages = batch(0, 500)
        assert send_all(bench.publisher(), messages) == dict.fromkeys(range(500), Outcome.ACKNOWLEDGED)
        eventually(lambda: len(member.received) >= 500)
        time.sleep(self.settle_quietly_s)
        assert sorted(member.received) == sorted(messages.bodies)

    def test_a_batch_beyond_the_window_is_taken_in_parts_and_none_is_lost(
        self, bench: Bench, deployment: Deployment
    ) -> None:
        bench.provision(reader("billing"))
        member = bench.member("billing").ready()
        publisher = bench.publisher(**self.small_window())
        messages = batch(0, 3000)
        with paused(deployment):  # a broker that acknowledges at once would keep the window open
            taken = publisher.send_batch(messages, 0)
        assert 0 < taken < 3000
        rest = Batch(messages.sequence[taken:], messages.bodies[taken:], messages.topic[taken:], messages.key[taken:])
        outcomes = send_all(publisher, rest)
        assert set(outcomes) == set(range(3000))
        assert set(outcomes.values()) == {Outcome.ACKNOWLEDGED}
        eventually(lambda: len(member.received) >= 3000, 30.0)
        assert sorted(numbers(member.received)) == list(range(3000))

    def test_direct_mode_says_sent_and_never_acknowledged(self, bench: Bench) -> None:
        bench.provision(reader("screen", share="all", delivery="at-most-once"))
        member = bench.member("screen").ready()
        assert set(send_all(bench.publisher(guaranteed=False), batch(0, 100)).values()) == {Outcome.SENT}
        eventually(lambda: len(member.received) == 100)

    def test_stamps_travel_as_a_property_beside_an_untouched_body(self, bench: Bench) -> None:
        bench.provision(reader("billing"), reader("screen", share="all", delivery="at-most-once"))
        members = [bench.member(name, stamp_property="crep-stamp").ready() for name in ("billing", "screen")]
        messages = batch(0, 60, stamps=True)
        send_all(bench.publisher(stamp_property="crep-stamp"), messages)
        for member in members:
            eventually(lambda member=member: len(member.received) == 60)  # type: ignore[misc]
            found = dict(zip(member.received, member.stamps, strict=True))
            assert found == dict(zip(messages.bodies, messages.stamps or (), strict=True))
