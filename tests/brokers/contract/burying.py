"""Promises of what a broker does with messages that nobody can process, that come too late or that are too large."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crep.harness.brokers.contract import Admin, NotSupported, Outcome
from crep.harness.brokers.dead_letters import DeadLetters
from tests.brokers.contract.bench import CHANNEL, KEYS, Bench, batch, eventually, numbers, reader, send_all, stamp
from tests.brokers.contract.system import SystemUnderTest

POISON = frozenset({7, 40, 41, 133})


class Burying(SystemUnderTest):
    """Dead letters, time to live, largest size, and properties."""

    def letters(self, bench: Bench, stamp_property: str | None = None) -> DeadLetters:
        assert bench.provisioned is not None
        inspect = bench.broker.inspect(bench.endpoint, bench.provisioned)
        return inspect.dead_letters(CHANNEL, "billing", 1000, stamp_property)

    def test_poison_is_dead_lettered_after_the_deliveries_that_were_asked_for_and_holds_up_nobody(
        self, bench: Bench, admin: Admin
    ) -> None:
        provisioned = bench.provision(reader("billing", share="exclusive", order="per-key", dead_letters_after=3))
        member = bench.member("billing", poison=POISON).ready()
        send_all(bench.publisher(), batch(0, 200))
        eventually(lambda: len(member.received) >= 200 + 2 * len(POISON))
        eventually(lambda: admin.observe(provisioned).readers[f"{CHANNEL}.billing"].backlog == 0)
        came = numbers(member.received)
        assert {number: came.count(number) for number in set(came)} == {
            number: 3 if number in POISON else 1 for number in range(200)
        }
        for key in range(KEYS):  # what can be processed keeps its order
            own = [number for number in came if number % KEYS == key and number not in POISON]
            assert own == sorted(own)
        found = self.letters(bench)
        assert found.complete
        assert sorted(numbers([letter.body for letter in found.letters])) == sorted(POISON)
        assert {letter.deliveries for letter in found.letters} <= {None, 3}

    def test_a_dead_letter_keeps_its_stamp(self, bench: Bench) -> None:
        bench.provision(reader("billing", dead_letters_after=2))
        bench.member("billing", stamp_property="crep-stamp", poison=POISON).ready()
        send_all(bench.publisher(stamp_property="crep-stamp", properties={"kind": "order"}), batch(0, 50, stamps=True))
        eventually(lambda: len(self.letters(bench, "crep-stamp").letters) == 3)
        found = {letter.stamp for letter in self.letters(bench, "crep-stamp").letters}
        assert found == {stamp(7), stamp(40), stamp(41)}

    def test_an_unfinished_message_that_failed_is_not_lost_with_its_reader(self, bench: Bench) -> None:
        """Its member ends after a few failures; the next one gets it, and nothing was given up before its time."""
        bench.provision(reader("billing", share="exclusive", dead_letters_after=250))
        first = bench.member("billing", poison=POISON).ready()
        send_all(bench.publisher(), batch(0, 50))
        eventually(lambda: set(numbers(first.received)) == set(range(50)))
        bench.close_member(first)
        second = bench.member("billing", 1, poison=POISON).ready()
        eventually(lambda: {7, 40, 41} <= set(numbers(second.received)), 30.0)
        assert first.received.count(second.received[-1]) < 250
        assert self.letters(bench).letters == ()

    def test_what_is_larger_than_the_channel_takes_is_refused_and_the_rest_is_not(self, bench: Bench) -> None:
        bench.channel = replace(bench.channel, max_bytes=20_000)
        bench.provision(reader("billing"))
        member, publisher = bench.member("billing").ready(), bench.publisher()
        outcomes: dict[int, int] = {}
        for first, size in ((0, 20_000), (20, 40_000), (22, 20_000), (42, 60_000), (43, 100)):
            outcomes |= send_all(publisher, batch(first, 2 if size == 40_000 else 20 if size == 20_000 else 1, size))
        refused = {number for number, outcome in outcomes.items() if outcome == Outcome.REJECTED}
        assert refused == {20, 21, 42}
        assert {outcome for number, outcome in outcomes.items() if number not in refused} == {Outcome.ACKNOWLEDGED}
        eventually(lambda: set(numbers(member.received)) == set(range(44)) - refused)

    def test_what_outlives_its_time_is_dead_lettered_or_the_system_says_that_it_has_no_such_thing(
        self, bench: Bench, admin: Admin
    ) -> None:
        bench.channel = replace(bench.channel, expires=True)
        wanted = reader("billing", dead_letters_after=3)
        if admin.capabilities()["time-to-live"].support == "none":
            with pytest.raises(NotSupported, match="ttl"):
                bench.provision(wanted)
            return
        bench.provision(wanted)
        send_all(bench.publisher(ttl_ms=200), batch(0, 30))
        send_all(bench.publisher(), batch(30, 30))
        eventually(lambda: len(self.letters(bench).letters) == 30)
        member = bench.member("billing").ready()
        eventually(lambda: len(member.received) == 30)
        assert set(numbers(member.received)) == set(range(30, 60))

    def test_nothing_is_failed_that_was_not_said_to_be(self, bench: Bench) -> None:
        bench.provision(reader("billing", dead_letters_after=2))
        member = bench.member("billing").ready()
        send_all(bench.publisher(properties={"urgent": True, "weight": 2.5, "count": 3}), batch(0, 100))
        eventually(lambda: len(member.received) == 100)
        assert np.array_equal(sorted(numbers(member.received)), np.arange(100))
        assert self.letters(bench).letters == ()
