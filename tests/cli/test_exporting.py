"""What a run folder holds is what its exported histograms hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from crep.harness.cli.app import main
from crep.harness.runs.document import ClientPart
from tests.runs.example import Row, document, new_folder, sparse


def test_the_measured_phase_is_exported_and_warm_up_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clients = (
        ClientPart(name="p0", role="publisher", channel="orders", reader=None, publisher=0, member=None, settings={}),
        ClientPart(
            name="b0", role="subscriber", channel="orders", reader="billing", publisher=None, member=0, settings={}
        ),
    )
    with new_folder(tmp_path) as folder:
        folder.write_document(
            document("complete").model_copy(update={"clients": clients, "measured_s": 2.0, "records_kept": False})
        )
        for second in (-1, 0, 1):
            folder.add_windows(
                [
                    Row(second, "p0", histograms={"lateness": sparse(1000 * (second + 2))}),
                    Row(
                        second, "b0", "subscriber", "orders", "billing", None, 0,
                        histograms={"latency": sparse(5_000_000, 7_000_000)},
                    ),
                ]
            )  # fmt: skip
    assert main(["export", str(tmp_path)]) == 0
    assert "2 histograms" in capsys.readouterr().out
    reader = HistogramLogReader(str(folder.path / "histograms.hlog"), HdrHistogram(1, 10**12, 3))
    found = [reader.get_next_interval_histogram() for _ in range(3)]
    assert found.pop() is None
    assert [(one.get_tag(), one.get_total_count()) for one in found] == [
        ("lateness:orders", 2),
        ("latency:orders.billing", 4),
    ]
    assert found[1].get_max_value() == pytest.approx(7_000_000, rel=0.001)
