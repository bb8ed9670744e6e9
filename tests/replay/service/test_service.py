"""The service from outside, between a real Kafka and the emulator: jobs live, die, and go on; every message counts."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from crep.harness.brokers.contract import Endpoint
from crep.harness.brokers.registry import adapter
from crep.harness.brokers.streams import SourceSpec
from crep.harness.processes import ProcessIdentity
from tests.emulator.process import Emulator, running
from tests.enrichment.live import Feeder, new_vpn, solace, target_of
from tests.replay.service.serving import API, Served, serving

pytestmark = [pytest.mark.kafka, pytest.mark.emulator]

COUNT = 600
KEYS = 5
WINDOW = 100  # a kill makes at most so many come twice


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("emulator") / "data", "--sync", "batch") as found:
        new_vpn(found, "out")
        yield found


@pytest.fixture(scope="module")
def topic(kafka_endpoint: Endpoint) -> str:
    """A Kafka topic with numbered orders."""
    name = f"orders-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka_endpoint.bootstrap})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)
    producer = Producer({"bootstrap.servers": kafka_endpoint.bootstrap})
    for number in range(COUNT):
        producer.produce(name, json.dumps({"n": number}), key=str(number % KEYS))
    assert producer.flush(30) == 0
    return name


@pytest.fixture(scope="module")
def one(
    tmp_path_factory: pytest.TempPathFactory, kafka_endpoint: Endpoint, emulator: Emulator, topic: str
) -> Iterator[Served]:
    """A service whose archive ``orders`` holds the orders."""
    with serving(tmp_path_factory.mktemp("service")) as served:
        served.targets(
            {
                "kafka": target_of(kafka_endpoint),
                "solace": target_of(solace(emulator, "out"), emulator.ready["semp"]),
            }
        )
        served.start()
        order = {"kind": "capture", "archive": "orders", "from": {"target": "kafka", "topics": [topic]}, "limit": COUNT}
        job = served.until(served.order(order), "completed")
        assert job["progress"]["stored"] == COUNT
        yield served


@pytest.fixture
def served(one: Served) -> Served:
    """It runs, whatever the test before did to it."""
    if not one.runs:
        one.start()
    return one


class Queue:
    """Where replays arrive."""

    def __init__(self, emulator: Emulator) -> None:
        self.name = f"again-{uuid.uuid4().hex[:8]}"
        self._endpoint = solace(emulator, "out")
        emulator.queue(self.name, f"{self.name}/>", vpn="out")

    def order(self, pace: str, **more: object) -> dict[str, Any]:
        """A replay of all orders into it."""
        return {
            "kind": "replay",
            "from": {"archive": "orders"},
            "to": {"target": "solace"},
            "remap": [{"topic": "*", "to": f"{self.name}/{{1}}"}],
            "pace": pace,
            "window": WINDOW,
            **more,
        }

    def feed(self, count: int) -> None:
        """Publish so many orders into it."""
        feeder = Feeder(self._endpoint, f"{self.name}/new", count, rate=10_000)
        feeder.run()
        assert len(feeder.acknowledged) == count

    def numbers(self) -> list[int]:
        """What has arrived, in that order."""
        source = adapter("solace").source(SourceSpec(self._endpoint, f"reader-{self.name}", (self.name,)))
        source.open()
        found: list[int] = []
        try:
            while messages := source.receive(1000, 0.3):
                found += [json.loads(message.payload)["n"] for message in messages]
                source.accept(messages)
        finally:
            source.close()
        return found


@pytest.fixture
def queue(emulator: Emulator) -> Queue:
    return Queue(emulator)


def assert_ledger(job: dict[str, Any]) -> None:
    """Every selected message was acknowledged."""
    ledger = job["ledger"]
    assert (ledger["selected"], ledger["acknowledged"], ledger["rejected"]) == (COUNT, COUNT, 0), job
    assert ledger["exact"]


def assert_arrived(numbers: list[int], *, doubled: int) -> None:
    """Each order at least once, at most so many too much, and first copies in order."""
    assert set(numbers) == set(range(COUNT))
    assert len(numbers) - COUNT <= doubled
    for key in range(KEYS):
        first = list(dict.fromkeys(number for number in numbers if number % KEYS == key))
        assert first == sorted(first)


class Listener(threading.Thread):
    """Reads an event stream to its end."""

    def __init__(self, served: Served, path: str, **headers: str) -> None:
        super().__init__(daemon=True)
        self._url, self._headers = f"{served.url}{path}", {**served.authorized, **headers}
        self.events: list[dict[str, Any]] = []
        self.start()

    def run(self) -> None:
        with httpx.stream("GET", self._url, headers=self._headers, timeout=60) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    self.events.append(json.loads(line[6:]))

    @property
    def states(self) -> list[str]:
        """In order, each once in a row."""
        states = [event["state"] for event in self.events]
        return [state for place, state in enumerate(states) if not place or states[place - 1] != state]


def test_a_job_is_watched_paused_changed_in_pace_and_resumed_and_its_ledger_is_exact(
    served: Served, queue: Queue
) -> None:
    plan = served.ask("POST", f"{API}/dry-runs", queue.order("100/s")).json()
    assert (plan["count"], sum(plan["topics"].values())) == (COUNT, COUNT)
    assert all(name.startswith(f"{queue.name}/") for name in plan["topics"])
    job_id = served.order(queue.order("100/s"))
    listener = Listener(served, f"{API}/jobs/{job_id}/events")
    served.until(job_id, "running", progress=("acknowledged", 20))
    assert served.ask("POST", f"{API}/jobs/{job_id}/pause").json()["state"] == "pausing"
    paused = served.until(job_id, "paused")
    arrived = paused["progress"]["acknowledged"]
    assert 20 <= arrived < COUNT
    time.sleep(0.7)
    assert served.job(job_id)["progress"]["acknowledged"] == arrived
    changed = served.ask("PATCH", f"{API}/jobs/{job_id}", {"pace": "200/s"}).json()
    assert (changed["state"], changed["order"]["pace"]) == ("paused", "200/s")
    assert served.ask("POST", f"{API}/jobs/{job_id}/resume").json()["state"] == "running"
    served.until(job_id, "running", progress=("acknowledged", arrived + 20))
    assert served.ask("PATCH", f"{API}/jobs/{job_id}", {"pace": "fastest"}).status_code == 200
    assert_ledger(served.until(job_id, "completed"))
    assert_arrived(queue.numbers(), doubled=0)
    listener.join(10)
    assert not listener.is_alive(), "the stream of a job ends with it"
    seen = [state for state in listener.states if state != "pausing"]  # as short a state as that may be passed over
    assert seen == ["running", "paused", "running", "completed"]
    revisions = [event["revision"] for event in listener.events]
    assert revisions == sorted(set(revisions))
    late = Listener(served, f"{API}/jobs/{job_id}/events", **{"Last-Event-ID": str(revisions[-1])})
    late.join(10)
    assert late.events == [], "what was seen is not told again"


def test_a_service_that_is_killed_goes_on_with_its_jobs_and_nothing_is_lost(served: Served, queue: Queue) -> None:
    job_id = served.order(queue.order("200/s"))
    served.until(job_id, "running", progress=("acknowledged", 50))
    served.kill()
    served.start()
    assert served.job(job_id)["state"] == "running"
    assert served.ask("PATCH", f"{API}/jobs/{job_id}", {"pace": "fastest"}).status_code == 200
    job = served.until(job_id, "completed")
    assert_ledger(job)
    assert 0 < job["ledger"]["maybe_doubled"] <= WINDOW
    assert_arrived(queue.numbers(), doubled=job["ledger"]["maybe_doubled"])


def test_a_service_that_is_stopped_brings_jobs_to_a_checkpoint_and_leaves_no_process(
    served: Served, queue: Queue
) -> None:
    job_id = served.order(queue.order("200/s"))
    served.until(job_id, "running", progress=("acknowledged", 50))
    listener = Listener(served, f"{API}/events")
    worker = served.worker(job_id)
    assert served.stop() == 0
    assert ProcessIdentity.of(worker) is None
    listener.join(10)
    assert not listener.is_alive()
    served.start("--no-resume")
    job = served.job(job_id)
    assert job["state"] == "interrupted"
    assert job["trouble"]["what"] == "the service was stopped"
    served.ask("PATCH", f"{API}/jobs/{job_id}", {"pace": "fastest"})
    served.ask("POST", f"{API}/jobs/{job_id}/resume")
    assert_ledger(served.until(job_id, "completed"))
    assert_arrived(queue.numbers(), doubled=0)


def test_a_job_whose_process_is_killed_is_shown_as_interrupted_and_the_service_lives(
    served: Served, queue: Queue
) -> None:
    job_id = served.order(queue.order("200/s"))
    served.until(job_id, "running", progress=("acknowledged", 50))
    os.kill(served.worker(job_id), signal.SIGKILL)
    job = served.until(job_id, "interrupted")
    assert "killed by signal 9" in job["trouble"]["what"]
    assert served.ask("POST", f"{API}/jobs/{job_id}/cancel").json()["state"] == "cancelled"
    assert served.ask("POST", f"{API}/jobs/{job_id}/resume").status_code == 409
    assert served.ask("DELETE", f"{API}/jobs/{job_id}").status_code == 204
    assert served.ask("GET", f"{API}/jobs/{job_id}").status_code == 404


def test_a_capture_from_the_emulator_is_paused_goes_on_and_ends_with_its_limit(served: Served, queue: Queue) -> None:
    queue.feed(COUNT)
    archive = f"from-{queue.name}"
    order = {
        "kind": "capture",
        "archive": archive,
        "from": {"target": "solace", "queue": queue.name},
        "limit": 2 * COUNT,
        "idle": "2 min",
        "roll_size": "1 MiB",
    }
    job_id = served.order(order)
    served.until(job_id, "running", progress=("stored", COUNT))
    assert served.ask("PATCH", f"{API}/jobs/{job_id}", {"pace": "x2"}).status_code == 409
    served.ask("POST", f"{API}/jobs/{job_id}/pause")
    served.until(job_id, "paused")
    [shown] = [found for found in served.ask("GET", f"{API}/archives").json() if found["name"] == archive]
    assert shown["messages"] == COUNT
    assert shown["source"]["place"] == queue.name
    queue.feed(COUNT)
    served.ask("POST", f"{API}/jobs/{job_id}/resume")
    job = served.until(job_id, "completed")
    assert job["progress"]["stored"] == 2 * COUNT
    assert served.ask("GET", f"{API}/archives/{archive}").json()["messages"] == 2 * COUNT


def test_too_many_jobs_are_refused_and_an_order_that_was_given_twice_is_carried_out_once(
    served: Served, queue: Queue, topic: str
) -> None:
    slow = queue.order("1/s", id=f"slow-{queue.name}")
    job_id = served.order(slow)
    again = served.ask("POST", f"{API}/jobs", slow)
    assert (again.status_code, again.json()["id"]) == (200, job_id)
    other = served.ask("POST", f"{API}/jobs", {**slow, "window": 7})
    assert (other.status_code, other.json()["type"]) == (409, "urn:crep:problem:conflict")
    capture = {"kind": "capture", "archive": f"busy-{queue.name}", "from": {"target": "kafka", "topics": [topic]}}
    capturing = served.order(capture)
    full = served.ask("POST", f"{API}/jobs", queue.order("1/s"))
    assert (full.status_code, full.json()["type"]) == (429, "urn:crep:problem:too-many-jobs")
    assert full.headers["retry-after"] == "5"
    assert full.headers["content-type"] == "application/problem+json"
    assert "--max-jobs" in full.json()["hint"]
    served.ask("POST", f"{API}/jobs/{job_id}/cancel")
    served.until(job_id, "cancelled")
    busy = served.ask("POST", f"{API}/jobs", capture)
    assert busy.status_code == 409
    assert capturing in busy.json()["detail"]
    text = served.ask("GET", "/metrics").text
    assert 'crep_replay_jobs{kind="capture",state="running"} 1.0' in text
    assert 'outcome="stored"' in text
    served.ask("POST", f"{API}/jobs/{capturing}/cancel")
    served.until(capturing, "cancelled")


def test_an_archive_that_is_not_there_is_told_with_the_nearest(served: Served, queue: Queue) -> None:
    answer = served.ask("POST", f"{API}/jobs", queue.order("original", **{"from": {"archive": "order"}}))
    assert (answer.status_code, "did you mean 'orders'?" in answer.json()["detail"]) == (404, True)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"kind": "replay", "pase": "x2"}, "unknown key; did you mean 'pace'?"),
        ({"kind": "replays"}, "did you mean 'replay'?"),
        ({"pace": "twice"}, "'fastest', not 'twice'"),
        ({"from": {"archive": "../etc"}}, "'../etc' is no name of an archive"),
        ({"to": {"target": "solase"}}, "did you mean 'solace'?"),
        ({"to": {"target": "kafka", "settings": {"plugin.library.paths": "x.so"}}}, "not taken over the network"),
        ({"select": {"from": "2026-01-01T00:00:00"}}, "timezone"),
    ],
)
def test_a_bad_order_is_refused_with_what_to_write_instead(
    served: Served, queue: Queue, body: dict[str, Any], said: str
) -> None:
    answer = served.ask("POST", f"{API}/jobs", {**queue.order("original"), **body})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert said in answer.text.replace('\\"', '"'), answer.text


def test_a_job_whose_broker_cannot_be_reached_fails_with_the_reason(served: Served, topic: str) -> None:
    order = {"kind": "capture", "archive": "never", "from": {"target": "kafka-local", "topics": [topic]}}
    job = served.until(served.order(order), "failed")
    assert "does not run" in job["trouble"]["what"]
    assert "crep broker start" in job["trouble"]["hint"]


def test_nobody_is_told_anything_without_the_token(served: Served) -> None:
    with_token_in_the_address = f"{API}/jobs?token=a-token-for-the-tests-0123456789"
    for path in (f"{API}/jobs", f"{API}/archives", f"{API}/events", "/metrics", "/nothing", with_token_in_the_address):
        for token in (None, "another", "a-token-for-the-tests-012345678X"):
            answer = served.ask("GET", path, token=token)
            assert (answer.status_code, answer.json()["type"]) == (401, "urn:crep:problem:unauthorized")
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert served.ask("POST", f"{API}/jobs", {"kind": "capture"}, token=None).status_code == 401
    assert served.ask("GET", "/health", token=None).json()["state"] == "running"


def test_the_interface_is_described_with_every_error(served: Served) -> None:
    described = served.ask("GET", "/openapi.json", token=None).json()
    create = described["paths"][f"{API}/jobs"]["post"]
    assert {"401", "409", "422", "429", "503"} <= set(create["responses"])
    assert create["security"] == [{"HTTPBearer": []}]
    assert set(described["components"]["schemas"]) >= {"CaptureOrder", "ReplayOrder", "JobView", "ProblemDocument"}


def test_the_documentation_names_every_address_and_no_other(served: Served) -> None:
    text = Path("docs/replay-service.md").read_text(encoding="utf-8")
    named = set()
    for method, path, optional in re.findall(r"^    ([A-Z]+) +(/api/[^ \[]*)(\[[^\]]*\])?  ", text, re.MULTILINE):
        named |= {(method, path), (method, path + optional.strip("[]"))}
    named |= {("POST", f"{API}/jobs/ID/resume"), ("POST", f"{API}/jobs/ID/cancel")}  # "likewise"
    described = served.ask("GET", "/openapi.json", token=None).json()["paths"]
    offered = {
        (method.upper(), path.replace("{job_id}", "ID").replace("{name}", "NAME"))
        for path, methods in described.items()
        for method in methods
        if path.startswith(API)
    }
    assert named == offered


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused_whatever_it_says_of_its_length(served: Served, chunked: bool) -> None:
    body = b" " * 70_000
    content = iter([body]) if chunked else body
    answer = httpx.post(f"{served.url}{API}/jobs", content=content, headers=served.authorized, timeout=10)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:crep:problem:too-large")
