"""What docs/bridge.md shows is true."""

from __future__ import annotations

import re
from pathlib import Path

from crep.enrichment.examples import check_examples
from crep.enrichment.load import load_bridge

PAGE = Path(__file__).parents[2] / "docs" / "bridge.md"


def shown() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_bridge_file_on_the_page_is_valid_and_its_examples_hold(tmp_path: Path) -> None:
    (tmp_path / "bridge.yaml").write_text(shown()[0])
    (tmp_path / "customers.csv").write_text("id,name\n7,Ann\n")
    (tmp_path / "order.schema.json").write_text('{"type": "object", "required": ["customer_id", "quantity"]}')
    with load_bridge(tmp_path / "bridge.yaml") as bridge:
        checked = list(check_examples(bridge))
    assert [one.differences for one in checked] == [(), ()]


def test_the_route_that_forwards_exactly_once_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text("bridge: trial\nsites: {bus: {target: kafka-local}}\nroutes:\n  orders:\n" + shown()[1])
    with load_bridge(path) as bridge:
        assert bridge.file.routes["orders"].exactly_once
