"""What docs/bridge.md shows is true."""

from __future__ import annotations

import re
from pathlib import Path

from crep.enrichment.examples import check_examples
from crep.enrichment.load import load_bridge

PAGE = Path(__file__).parents[2] / "docs" / "bridge.md"


def test_the_bridge_file_on_the_page_is_valid_and_its_examples_hold(tmp_path: Path) -> None:
    [shown] = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "bridge.yaml").write_text(shown)
    (tmp_path / "customers.csv").write_text("id,name\n7,Ann\n")
    (tmp_path / "order.schema.json").write_text('{"type": "object", "required": ["customer_id", "quantity"]}')
    with load_bridge(tmp_path / "bridge.yaml") as bridge:
        checked = list(check_examples(bridge))
    assert [one.differences for one in checked] == [(), ()]
