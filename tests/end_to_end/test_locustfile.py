"""The Locust file that docs/workers.md shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.outside import Crep
from tests.end_to_end.test_a_run_ends import only_run

pytestmark = [pytest.mark.end_to_end, pytest.mark.emulator]

DOCUMENT = Path(__file__).parents[2] / "docs" / "workers.md"


def test_the_documented_locust_file_shows_every_message_and_leaves_a_whole_run(crep: Crep) -> None:
    [example] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (crep.folder / "locustfile.py").write_text(example, encoding="utf-8")
    crep.scenario()
    shown = crep.folder / "shown.json"
    done = subprocess.run(
        [sys.executable, "-m", "locust", "-f", "locustfile.py", "--headless", "--users", "1", "--json-file", "shown"],
        cwd=crep.folder,
        env=crep.environment(),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {(one["method"], one["name"]): one["num_requests"] for one in json.loads(shown.read_text())}
    assert counts[("SEND", "orders")] == counts[("ACK", "orders")] == 800
    assert counts[("RECV", "orders.billing")] == counts[("RECV", "orders.screen")] == 800
    assert [count for (method, _), count in counts.items() if method == "RUN"] == [1]
    _, document = only_run(crep)
    assert document["status"] == "complete"
    crep.assert_nothing_runs()
