"""What the brokers themselves have kept is replayed: from a point, up to a point, filtered, in order, with a ledger."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crep.harness.brokers.contract import Endpoint, NotSupported
from crep.harness.brokers.solace.semp import Semp, path_of
from crep.harness.config.errors import CrepError, UsageError
from crep.replay.control import Control
from crep.replay.job import Job
from crep.replay.ledger import Ledger
from crep.replay.marking import ORIGINAL_ID, ORIGINAL_TIME
from crep.replay.opening import open_replay
from crep.replay.stored import Stored
from tests.replay.live import KEYS, Place, capture, fill, numbers_by_key, place

pytestmark = [pytest.mark.kafka, pytest.mark.emulator]
COUNT = 600


def replayed(
    here: Place, there: Place, folder: Path, origin: dict[str, Any], **more: Any
) -> tuple[Ledger, list[Stored]]:
    """A native replay into a Kafka topic, and what arrived."""
    ends = {"here": here.endpoint, "there": there.endpoint}
    job = Job.model_validate(
        {
            "id": f"native-{uuid.uuid4().hex[:8]}",
            "from": {"target": "here", **origin},
            "to": {"target": "there", "topic": there.name, "topic_header": "crep-topic"},
            "pace": "fastest",
            **more,
        }
    )
    with open_replay(job, ends.__getitem__, folder / job.id) as replay:
        ledger = replay.run(Control())
    return ledger, capture(there, folder / f"{job.id}-arrived", ledger.selected) if ledger.selected else []


def by_key(numbers: range) -> dict[object, list[int]]:
    found: dict[object, list[int]] = {}
    for number in numbers:
        found.setdefault(f"customer-{number % KEYS}", []).append(number)
    return found


def test_kafka_from_the_beginning_and_between_times(kafka_endpoint: Endpoint, tmp_path: Path) -> None:
    with ExitStack() as stack:
        here, first, second, third = (stack.enter_context(place(kafka_endpoint)) for _ in range(4))
        fill(here, range(COUNT))
        time.sleep(0.005)
        middle = datetime.fromtimestamp(time.time(), UTC)
        time.sleep(0.005)
        fill(here, range(COUNT, 2 * COUNT))
        topics = {"topics": [here.name]}
        ledger, arrived = replayed(here, first, tmp_path, topics, pace="x1000")
        assert (ledger.selected, ledger.exact) == (2 * COUNT, True)
        assert numbers_by_key(arrived) == by_key(range(2 * COUNT))
        times = [str(one.message.properties[ORIGINAL_TIME]) for one in arrived]
        assert min(times) < middle.isoformat().replace("+00:00", "Z") < max(times)
        assert {str(one.message.properties[ORIGINAL_ID]).partition("[")[0] for one in arrived} == {here.name}
        _, arrived = replayed(here, second, tmp_path, topics, select={"from": middle})
        assert numbers_by_key(arrived) == by_key(range(COUNT, 2 * COUNT))
        _, arrived = replayed(here, third, tmp_path, topics, select={"until": middle, "properties": {"region": "eu"}})
        assert numbers_by_key(arrived) == by_key(range(1, COUNT, 2))


def test_kafka_from_an_offset_that_is_there(kafka_endpoint: Endpoint, tmp_path: Path) -> None:
    with place(kafka_endpoint, 1) as here, place(kafka_endpoint, 1) as there:
        fill(here, range(100))
        ledger, arrived = replayed(here, there, tmp_path, {"topics": [here.name], "offsets": {0: 90}})
        assert (ledger.selected, arrived[0].message.payload) == (10, b"order 90")
        with pytest.raises(CrepError, match="has the offsets 0 to 100, not 500"):
            replayed(here, there, tmp_path, {"topics": [here.name], "offsets": {0: 500}})
        with pytest.raises(NotSupported, match="no message ids"):
            replayed(here, there, tmp_path, {"topics": [here.name], "after": "rmid1:0"})


@contextmanager
def vpn_with_log(endpoint: Endpoint) -> Iterator[Endpoint]:
    """A message VPN of the test's own, with a replay log."""
    semp, name = Semp(endpoint), f"replay-{uuid.uuid4().hex[:8]}"
    vpn = path_of("msgVpns", name)
    may = {"allowGuaranteedMsgSendEnabled": True, "allowGuaranteedMsgReceiveEnabled": True}
    body = {"msgVpnName": name, "enabled": True, "authenticationBasicType": "none", "maxMsgSpoolUsage": 500}
    semp.post("config/msgVpns", body)
    try:
        semp.patch(f"config/{vpn}/clientProfiles/default", may)
        semp.patch(f"config/{vpn}/clientUsernames/default", {"enabled": True})
        log = {"replayLogName": "log", "ingressEnabled": True, "egressEnabled": True, "maxSpoolUsage": 100}
        semp.post(f"config/{vpn}/replayLogs", log)
        yield replace(endpoint, vpn=name)
    finally:
        semp.patch(f"config/{vpn}", {"enabled": False})
        semp.delete(f"config/{vpn}/replayLogs/log")
        semp.delete(f"config/{vpn}")
        semp.close()


def test_solace_from_its_log_and_behind_a_message(
    emulator_endpoint: Endpoint, kafka_endpoint: Endpoint, tmp_path: Path
) -> None:
    with vpn_with_log(emulator_endpoint) as endpoint, place(kafka_endpoint) as there, place(kafka_endpoint) as other:
        with place(endpoint) as here:
            fill(here, range(COUNT))
            taken = capture(here, tmp_path / "taken", COUNT)  # the queue is empty, and the log has them all
            topics = {"topics": [f"{here.name}/>"]}
            ledger, arrived = replayed(here, there, tmp_path, topics, select={"properties": {"region": "us"}})
            assert (ledger.selected, ledger.exact) == (COUNT // 2, True)
            assert numbers_by_key(arrived) == by_key(range(0, COUNT, 2))
            assert all(ORIGINAL_TIME not in one.message.properties for one in arrived)  # nobody knows it
            begin = {**topics, "after": taken[COUNT - 11].message.position}
            _, arrived = replayed(here, other, tmp_path, begin)
            assert numbers_by_key(arrived) == by_key(range(COUNT - 10, COUNT))
            with pytest.raises(NotSupported, match="to the present"):
                replayed(here, other, tmp_path, topics, select={"until": "2030-01-01T00:00:00Z"})
            with pytest.raises(UsageError, match="their timing cannot be kept"):
                replayed(here, other, tmp_path, topics, pace="original")
        semp = Semp(endpoint)
        assert semp.get_all(f"monitor/{path_of('msgVpns', endpoint.vpn)}/queues") == []  # none of ours is left
        semp.close()


def test_without_a_replay_log_solace_says_so(
    emulator_endpoint: Endpoint, kafka_endpoint: Endpoint, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        here, there = stack.enter_context(place(emulator_endpoint)), stack.enter_context(place(kafka_endpoint))
        with pytest.raises(NotSupported, match="has no replay log"):
            replayed(here, there, tmp_path, {"topics": ["a/>"]})
