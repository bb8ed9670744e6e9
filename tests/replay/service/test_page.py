"""The page in a real browser: jobs are started, watched and changed by it, by keyboard too; no other place is asked."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from crep.harness.brokers.contract import Endpoint, Message
from crep.replay.archive import Archive
from tests.enrichment.live import target_of
from tests.replay.service.browser import Tab, browsing, chromium
from tests.replay.service.serving import API, TOKEN, Served, serving

COUNT = 300
TOPIC = f"page.{uuid.uuid4().hex[:8]}.orders"

PROGRAM = chromium()
pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(
        PROGRAM is None and not os.environ.get("CI"),
        reason="no Chromium: install chromium-headless-shell, or name one with CREP_CHROMIUM",
    ),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, kafka_endpoint: Endpoint) -> Iterator[Served]:
    """A service with an archive of a minute, five messages a second."""
    folder = tmp_path_factory.mktemp("page")
    archive = Archive(folder / "archives" / "orders", {"target": "kafka", "place": "orders", "system": "kafka"})
    archive.append(
        [(1_700_000_000_000_000 + number * 200_000, Message("orders", b"%d" % number)) for number in range(COUNT)]
    )
    archive.close()
    with serving(folder) as found:
        admin = AdminClient({"bootstrap.servers": kafka_endpoint.bootstrap})
        admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(30)
        found.targets({"kafka": target_of(kafka_endpoint)})
        found.start()
        yield found


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    assert PROGRAM is not None, "the machine of continuous integration has no Chromium"
    with browsing(PROGRAM, tmp_path_factory.mktemp("profile")) as found:
        yield found


def fill(tab: Tab, **values: str) -> None:
    """Write into fields by their ids."""
    for name, value in values.items():
        tab.run(f"document.getElementById({json.dumps(name.replace('_', '-'))}).value = {json.dumps(value)}")


def row(state: str) -> str:
    """Whether the latest job is shown in a state."""
    return f"document.querySelector('#jobs tbody tr .state')?.dataset.state === {json.dumps(state)}"


def test_a_wrong_token_is_told_and_the_right_one_from_the_link_leaves_no_trace(served: Served, tab: Tab) -> None:
    tab.open(f"{served.url}/")
    assert tab.run("document.activeElement.id") == "token"
    assert tab.nameless() == []
    tab.run("document.getElementById('token').value = 'not-the-token-at-all'")
    tab.press("Enter", 13)
    tab.until("document.getElementById('login-error').textContent.includes('not the token')")
    tab.open(f"{served.url}/#token={TOKEN}")
    tab.until("!document.getElementById('signed-in').hidden")
    assert tab.run("location.href") == f"{served.url}/"
    assert tab.run("document.body.innerHTML").count(TOKEN) == 0


def test_a_replay_is_tried_started_paused_changed_and_resumed_by_the_page(
    served: Served, tab: Tab, tmp_path: Path
) -> None:
    tab.complaints.clear()
    tab.open(f"{served.url}/#token={TOKEN}")
    tab.until("document.getElementById('connection').textContent === 'connected'")
    assert "orders (300 messages)" in tab.run("document.getElementById('archive').textContent")
    fill(tab, limit="200", remap_topic="*", remap_to=TOPIC, pace="50/s")
    tab.run("document.getElementById('dry-run').click()")
    tab.until("document.getElementById('plan').textContent.includes('200 messages')")
    assert f"{TOPIC}: 200" in tab.run("document.getElementById('plan').textContent")
    tab.run("document.getElementById('pace').focus()")
    tab.press("Enter", 13)  # as a person at the keyboard starts it
    tab.until(row("running"))
    tab.until("document.querySelector('#jobs progress').value > 0")
    assert tab.nameless() == []
    tab.picture(tmp_path / "page.png")
    tab.run("document.querySelector('[data-action=pause]').focus()")
    tab.press("Enter", 13)
    tab.until(row("paused"))
    assert tab.run("document.getElementById('news').textContent").endswith("is paused")
    assert tab.run("document.activeElement.tagName") == "TH", "the focus stays in the row when its button is gone"
    tab.run("document.querySelector('#jobs .pace input').value = 'twice'")
    tab.run("document.querySelector('#jobs .pace button').click()")
    tab.until("document.getElementById('trouble').textContent.includes(\"not 'twice'\")")
    tab.run("document.querySelector('#jobs .pace input').value = 'fastest'")
    tab.run("document.querySelector('#jobs .pace button').click()")
    tab.until("document.getElementById('trouble').textContent === ''")
    tab.run("document.querySelector('[data-action=resume]').click()")
    tab.until(row("completed"))
    tab.until("document.querySelector('#jobs .counts').textContent.includes('200 of 200 acknowledged')")
    [job] = served.ask("GET", f"{API}/jobs").json()
    assert job["ledger"]["acknowledged"] == 200
    expected = [complaint for complaint in tab.complaints if "422" not in complaint]  # the pace that is none
    assert expected == []
    elsewhere = [url for url in tab.requests if not url.startswith((f"{served.url}/", "data:"))]
    assert elsewhere == []
    assert not any(TOKEN in url.partition("#")[0] for url in tab.requests)
    tab.run("document.querySelector('[data-action=forget]').click()")
    tab.until("document.querySelector('#jobs tbody').children.length === 0")
    tab.run("document.getElementById('sign-out').click()")
    assert tab.run("sessionStorage.getItem('token')") is None
