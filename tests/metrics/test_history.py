from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crep.harness.metrics.history import OUTCOME, RECEIVED, SENT, RecordFile, read_records


@pytest.mark.parametrize("layout", [SENT, OUTCOME, RECEIVED], ids=["sent", "outcome", "received"])
def test_records_come_back_as_they_were_appended(tmp_path: Path, layout: np.dtype) -> None:  # type: ignore[type-arg]
    records = np.zeros(7, layout)
    records["sequence"] = np.arange(7)
    with RecordFile(tmp_path / "records", layout) as file:
        file.append(records[:3])
        file.append(records[:0])
        file.append(records[3:])
    assert (read_records(tmp_path / "records", layout) == records).all()


def test_a_torn_last_record_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "records"
    with RecordFile(path, OUTCOME) as file:
        file.append(np.zeros(2, OUTCOME))
    with path.open("ab") as torn:
        torn.write(b"\1\2\3")
    assert len(read_records(path, OUTCOME)) == 2


def test_records_of_another_layout_are_refused(tmp_path: Path) -> None:
    with RecordFile(tmp_path / "records", SENT) as file, pytest.raises(TypeError, match="holds"):
        file.append(np.zeros(1, OUTCOME))
