"""The waveforms kept of a winner: what is in them, and that a reader believes none of it."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acs_gym.session import Session
from leaderboard.cells import waveforms
from leaderboard.cells.runner import run_cell
from leaderboard.cells.store import Store
from leaderboard.cells.waveforms import POINTS, WAVEFORMS, WaveformsRecord, read, thin
from leaderboard.trust.verify import verify_cell
from tests.leaderboard.conftest import plan


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """(store, result) of one sound cell."""
    store = Store(tmp_path_factory.mktemp("waves"))
    planned = plan("sobol", budget=3)[0]
    result = run_cell(planned.spec, planned.key, store, lambda _n, _best: None)
    store.finish(result)
    return store, result


@pytest.fixture
def record(cell):
    store, result = cell
    found = read(store.cell(result.key), result)
    assert isinstance(found, WaveformsRecord)
    return found


@pytest.fixture
def edited(cell, tmp_path):
    """What is read of the file after an edit of its JSON."""
    store, result = cell

    def _edited(change):
        data = json.loads((store.cell(result.key) / WAVEFORMS).read_text())
        change(data)
        (tmp_path / WAVEFORMS).write_text(json.dumps(data))
        return read(tmp_path, result)

    return _edited


def test_the_winners_curves_are_kept_with_their_metrics(record, cell):
    _, result = cell
    assert record.design == result.verified.design
    bode = next(p for p in record.panels if len(p.axes) == 2)
    magnitude, phase = bode.axes
    assert magnitude.x_log and magnitude.x_unit == "Hz"
    assert (magnitude.y_label, phase.y_label) == ("magnitude (dB)", "phase (°)") or (
        magnitude.y_label == "loop gain (dB)"
    )
    assert max(magnitude.curves[0].y) == pytest.approx(result.verified.metrics["gain"], rel=1e-3)
    notes = {n.text.split()[0]: n.met for n in bode.notes}
    assert notes["gain"] is (result.verified.satisfaction["gain"] == 1.0)
    targets = [n.at for n in magnitude.lines if n.spec and n.axis == "y"]
    assert targets == [s.target for s in result.task.specs if s.metric == "gain"]


def test_no_simulation_more_is_charged_or_run(cell, monkeypatch, store):
    _, result = cell
    assert result.usage.simulations == result.spec.budget
    ran = []
    whole = Session._run

    def counted(self, slots, wanted):
        ran.extend(slots)
        whole(self, slots, wanted)

    monkeypatch.setattr(Session, "_run", counted)
    planned = plan("sobol", budget=3)[0]
    run_cell(planned.spec, planned.key, store, lambda _n, _best: None)
    assert len(ran) == 3 + 1  # The agent's, and the winner's once more.


def test_the_same_cell_gives_the_same_bytes(cell, store):
    kept, result = cell
    planned = plan("sobol", budget=3)[0]
    run_cell(planned.spec, planned.key, store, lambda _n, _best: None)
    first, second = (s.cell(result.key) / WAVEFORMS for s in (kept, store))
    assert first.read_bytes() == second.read_bytes()


def test_a_cell_with_waveforms_verifies(cell):
    store, result = cell
    assert verify_cell(store, result.key).findings == ()


def test_a_cell_without_a_winner_leaves_none_of_an_earlier_run(finish, store):
    planned = plan("Idle")[0]
    store.cell(planned.key).mkdir(parents=True)
    (store.cell(planned.key) / WAVEFORMS).write_text("{}")
    result = finish("Idle")
    assert not (store.cell(result.key) / WAVEFORMS).exists()
    assert read(store.cell(result.key), result) == "no waveforms were kept"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda d: d.update(key="0" * 16), "of another design"),
        (lambda d: d["design"].update(w_pair=1.0), "of another design"),
        (lambda d: d.update(script="<script>"), "script: Extra inputs"),
        (lambda d: d.pop("panels"), "panels: Field required"),
        (lambda d: d["panels"][0].update(title="x" * 201), "panels.0.title"),
        (lambda d: d["panels"].extend(d["panels"] * 20), "panels: Tuple should have at most"),
        (lambda d: d["panels"][0]["axes"][0]["curves"][0].update(x=[1.0, 2.0]), "x and"),
        (lambda d: d["panels"][0]["axes"][0]["curves"][0]["x"].__setitem__(0, -1.0), "positive"),
        (lambda d: d["panels"][0]["axes"][0]["curves"][0]["x"].__setitem__(0, 1e300), "x falls"),
        (lambda d: d["panels"][0]["axes"][0]["curves"][0]["y"].__setitem__(0, None), "valid number"),
        (lambda d: d["panels"][0]["axes"][0].update(y_range=[1.0, 1.0]), "y_range is empty"),
    ],
)  # fmt: skip
def test_what_was_not_written_so_is_not_shown_and_said(edited, change, why):
    found = edited(change)
    assert isinstance(found, str) and why in found


@pytest.mark.parametrize(
    "raw", [b"", b"\xff", b"{", b"[" * 100_000, b'{"schema_version": 1, "key": NaN}', b"null"]
)
def test_what_is_no_record_is_not_shown(cell, tmp_path, raw):
    (tmp_path / WAVEFORMS).write_bytes(raw)
    found = read(tmp_path, cell[1])
    assert isinstance(found, str) and found.startswith(f"{WAVEFORMS} is damaged")


def test_a_file_too_large_is_not_read(cell, tmp_path):
    (tmp_path / WAVEFORMS).write_bytes(b" " * (waveforms.LARGEST_BYTES + 1))
    assert "bytes; at most" in read(tmp_path, cell[1])


def test_a_pipe_is_no_file(cell, tmp_path):
    os.mkfifo(tmp_path / WAVEFORMS)
    assert read(tmp_path, cell[1]) == f"{WAVEFORMS} is no regular file"


@given(
    st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=3000, unique=True),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_thinning_keeps_the_ends_and_the_extremes(values, log, random):
    x = np.array(sorted(values))
    y = np.array([random.uniform(-1.0, 1.0) for _ in values])
    kept = thin(x, y, log=log)
    assert kept.size <= POINTS and (np.diff(kept) > 0).all()
    assert {0, x.size - 1, int(y.argmin()), int(y.argmax())} <= set(kept.tolist())
