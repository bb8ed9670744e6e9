"""kill -9 at a random moment costs a capture nothing, and a replay at most its window sent twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crep.harness.brokers.contract import Endpoint
from tests.replay.killing import killed_capture, killed_replay
from tests.replay.live import Place, capture, fill, place

pytestmark = [pytest.mark.kafka, pytest.mark.emulator]
COUNT = 3000


@pytest.fixture
def kafka(kafka_endpoint: Endpoint) -> Iterator[Place]:
    with place(kafka_endpoint) as made:
        yield made


@pytest.fixture
def solace(emulator_endpoint: Endpoint) -> Iterator[Place]:
    with place(emulator_endpoint) as made:
        yield made


@pytest.mark.parametrize("system", ["kafka", "solace"])
def test_a_killed_capture_goes_on_and_holds_every_message_once(system: str, request: pytest.FixtureRequest) -> None:
    here: Place = request.getfixturevalue(system)
    folder: Path = request.getfixturevalue("tmp_path") / "archive"
    assert killed_capture(7, here, folder, COUNT, kills=1).faults == ()


@pytest.mark.parametrize("system", ["kafka", "solace"])
def test_a_killed_replay_goes_on_and_doubles_no_more_than_its_window(
    system: str, request: pytest.FixtureRequest, tmp_path: Path, kafka: Place
) -> None:
    there: Place = request.getfixturevalue("solace") if system == "solace" else kafka
    fill(kafka, range(COUNT))
    capture(kafka, tmp_path / "archive", COUNT)
    if system == "kafka":
        with place(kafka.endpoint) as there:
            outcome = killed_replay(8, tmp_path / "archive", there, tmp_path, kills=1)
    else:
        outcome = killed_replay(8, tmp_path / "archive", there, tmp_path, kills=1)
    assert outcome.faults == ()
    assert outcome.figures["kills"] >= 1
