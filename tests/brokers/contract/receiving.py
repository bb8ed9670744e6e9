"""Promises of ``BulkSubscriber``: who receives what, in which order, and again."""

from __future__ import annotations

import time

import pytest

from crep.harness.brokers.contract import Admin, NotSupported
from tests.brokers.contract.bench import CHANNEL, KEYS, Bench, batch, eventually, numbers, reader, send_all, topic_of
from tests.brokers.contract.system import SystemUnderTest


class Receiving(SystemUnderTest):
    """Promises of ``BulkSubscriber``: who receives what, in which order, and again."""

    def test_members_of_a_group_share_the_work(self, bench: Bench) -> None:
        bench.provision(reader("billing", members=2))
        members = [bench.member("billing", k) for k in range(2)]
        for member in members:
            member.ready()
        send_all(bench.publisher(), batch(0, 600))
        eventually(lambda: sum(len(member.received) for member in members) >= 600)
        time.sleep(self.settle_quietly_s)
        assert sorted(number for member in members for number in numbers(member.received)) == list(range(600))
        assert min(len(member.received) for member in members) >= 60

    def test_an_exclusive_reader_has_one_active_member_and_the_next_takes_over(self, bench: Bench) -> None:
        bench.provision(reader("audit", share="exclusive", members=2))
        members = [bench.member("audit", k) for k in range(2)]
        for member in members:
            member.ready()
        publisher = bench.publisher()
        send_all(publisher, batch(0, 300))
        eventually(lambda: sum(len(member.received) for member in members) >= 300)
        active, standby = sorted(members, key=lambda member: -len(member.received))
        assert numbers(standby.received) == []
        assert sorted(numbers(active.received)) == list(range(300))
        bench.close_member(active)
        send_all(publisher, batch(300, 200))
        eventually(lambda: set(numbers(standby.received)) >= set(range(300, 500)))

    def test_each_key_arrives_in_order_where_a_reader_asks_for_it(self, bench: Bench) -> None:
        bench.provision(reader("audit", share="exclusive", order="per-key"))
        member = bench.member("audit").ready()
        send_all(bench.publisher(), batch(0, 600))
        eventually(lambda: len(member.received) == 600)
        for key in range(KEYS):
            own = [number for number in numbers(member.received) if number % KEYS == key]
            assert own == sorted(own)

    def test_a_group_keeps_the_order_of_each_key_or_is_refused_with_the_reason(self, bench: Bench) -> None:
        wanted = reader("billing", members=2, order="per-key")
        try:
            bench.provision(wanted)
        except NotSupported:
            with pytest.raises(NotSupported, match="billing"):
                bench.provision(wanted)
            return
        members = [bench.member("billing", k) for k in range(2)]
        for member in members:
            member.ready()
        send_all(bench.publisher(), batch(0, 600))
        eventually(lambda: sum(len(member.received) for member in members) >= 600)
        for member in members:
            for key in range(KEYS):
                own = [number for number in numbers(member.received) if number % KEYS == key]
                assert own == sorted(own)
        keys = [{number % KEYS for number in numbers(member.received)} for member in members]
        assert not keys[0] & keys[1]

    def test_a_filter_selects_topics_and_leaves_no_backlog_of_the_others(self, bench: Bench, admin: Admin) -> None:
        provisioned = bench.provision(
            reader("europe", topic_filter="orders/eu/*"),
            reader("glance", topic_filter="orders/us/>", share="all", delivery="at-most-once"),
        )
        europe, glance = bench.member("europe").ready(), bench.member("glance").ready()
        send_all(bench.publisher(), batch(0, 240))
        wanted = {number for number in range(240) if topic_of(number).startswith("orders/eu/")}
        eventually(lambda: len(europe.received) >= len(wanted))
        eventually(lambda: len(glance.received) >= 240 - len(wanted))
        assert set(numbers(europe.received)) == wanted
        assert set(numbers(glance.received)) == set(range(240)) - wanted
        eventually(lambda: admin.observe(provisioned).readers[f"{CHANNEL}.europe"].backlog == 0)

    def test_an_at_most_once_reader_sees_only_what_is_sent_while_it_is_there(self, bench: Bench, admin: Admin) -> None:
        provisioned = bench.provision(reader("screen", share="all", delivery="at-most-once"))
        publisher = bench.publisher()
        send_all(publisher, batch(0, 50))
        member = bench.member("screen").ready()
        send_all(publisher, batch(50, 50))
        eventually(lambda: len(member.received) >= 50)
        time.sleep(self.settle_quietly_s)
        assert sorted(numbers(member.received)) == list(range(50, 100))
        assert f"{CHANNEL}.screen" not in admin.observe(provisioned).readers

    def test_what_a_lost_consumer_did_not_acknowledge_comes_again(self, bench: Bench) -> None:
        bench.provision(reader("billing"))
        careless = bench.member("billing", acknowledging=False).ready()
        send_all(bench.publisher(), batch(0, 40))
        eventually(lambda: len(careless.received) >= 40)
        bench.close_member(careless)
        careful = bench.member("billing", 1).ready()
        eventually(lambda: set(numbers(careful.received)) >= set(range(40)), 30.0)
        assert set(careful.redelivered) == self.redelivery_flags()
