from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crep.harness.scenario.load import parse_scenario
from crep.harness.scenario.model import Scenario
from crep.harness.scenario.plan import plan, without_faults
from crep.harness.scenario.recording import Recording, packed, read_arrivals, schedule_from_json

Good = Callable[..., Scenario]
steps = st.lists(st.integers(0, 10**10), min_size=1, max_size=200)
RECORDED = ("{total: [{hold: $rate, for: 20 s}]}", "{recorded: arrivals.txt}")
NO_PARAMS = ("params: {rate: 100/s}\n", "")


@given(steps, st.floats(0, 20))
def test_what_was_recorded_is_sent_again_at_the_same_times(gaps: list[int], warm_up_s: float) -> None:
    times = np.cumsum([0, *gaps])
    recording = Recording(packed(times), warm_up_s)
    sent = recording.intended_ns(np.arange(recording.count))
    assert sent[recording.warm_up_count :].tolist() == times.tolist()
    assert (sent[: recording.warm_up_count] < 0).all()
    assert (np.diff(sent) >= 0).all()
    assert times[-1] < recording.duration_s * 1e9
    assert schedule_from_json(recording.to_json()) == recording


def test_a_file_has_a_time_on_each_line_counted_from_the_first(tmp_path: Path) -> None:
    file = tmp_path / "arrivals.txt"
    file.write_text("# Monday\n10.0\n\n10.25  # two at once\n10.25\n12\n")
    assert read_arrivals(file).tolist() == [0, 250_000_000, 250_000_000, 2_000_000_000]


def test_publishers_share_a_recording_and_a_run_folder_keeps_it(scenario: Good, tmp_path: Path) -> None:
    (tmp_path / "arrivals.txt").write_text("".join(f"{second}\n" for second in np.arange(0, 20, 0.05)))
    loaded = scenario(RECORDED, NO_PARAMS)
    made = plan(loaded)
    times = np.concatenate([one.intended_ns(np.arange(one.warm_up_count, one.count)) for one in made.publishers])
    assert sorted(times.tolist()) == (np.arange(400) * 50_000_000).tolist()
    assert made.measured_s == 20
    assert [file.name for file in loaded.files] == ["arrivals.txt"]
    kept = tmp_path / "run" / "inputs"
    kept.mkdir(parents=True)
    loaded.files[0].rename(kept / "arrivals.txt")
    again = parse_scenario(loaded.text, Path("scenario.yaml"), loaded.params, inputs=kept)
    assert plan(again) == made
    assert {one.profile.first_rate for one in without_faults(made).publishers} == {20}
