"""Verification against any single edit: numbers are noticed, and no value makes it crash."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acs_gym.evaluation import Evaluation
from acs_gym.task import Task, make_task
from leaderboard.cells.store import RESULT, TRACE, Store
from leaderboard.trust.verification import of_cell, of_files, of_simulation, repeatable
from leaderboard.trust.verify import verify_cell
from tests.leaderboard.tampering import ALL, edit_result, edit_trace, run_and_store


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A cell with a duplicate and an invalid design, as the harness wrote it."""
    store = Store(tmp_path_factory.mktemp("sound"))
    return store.cell(run_and_store(store, "Repeats"))


def numbers(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of every number in a JSON value."""
    if isinstance(data, dict):
        for name, value in data.items():
            yield from numbers(value, (*path, name))
    elif isinstance(data, list):
        for k, value in enumerate(data):
            yield from numbers(value, (*path, k))
    elif isinstance(data, (int, float)) and not isinstance(data, bool):
        yield path


# What an agent says that it spent, and how long it took, follows from nothing; how the harness was
# made up (fingerprint) is recorded and not compared. An invalid design was never simulated.
def decides_nothing(path: tuple[str | int, ...], data: Any) -> bool:
    if path[0] in ("timing", "fingerprint") or path[-1] in ("tokens", "money", "seconds"):
        return True
    return path[1:3] == ("evaluation", "design") and (
        data[path[0]]["evaluation"]["status"] == "invalid_design"
    )


def nudged(value: float, factor: float) -> float:
    if isinstance(value, int):
        return value + 1
    return value * factor if value else factor


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(draw=st.data(), factor=st.sampled_from([0.5, 0.999, 1.0001, 2.0, -1.0]))
def test_any_single_number_that_is_edited_is_noticed(sound, tmp_path, in_process, draw, factor):
    folder = Path(shutil.copytree(sound, tmp_path / sound.name, dirs_exist_ok=True))
    in_trace = draw.draw(st.booleans(), label="in the trace")
    lines = [json.loads(line) for line in (folder / TRACE).read_text().splitlines()]
    data = lines if in_trace else json.loads((folder / RESULT).read_text())
    paths = [p for p in numbers(data) if not decides_nothing(p, data)]
    path = draw.draw(st.sampled_from(paths), label="path")

    def change(root: Any) -> None:
        for step in path[:-1]:
            root = root[step]
        root[path[-1]] = nudged(root[path[-1]], factor)

    (edit_trace if in_trace else edit_result)(folder, change)
    assert noticed(folder, in_process)


def noticed(folder: Path, simulator: Any) -> bool:
    """Whether files, consistency or simulating every design (here in this process) finds something."""
    cell, found = of_files(Store(folder.parent), folder.name)
    if cell is None or found:
        return True
    task = make_task("ACS-OTA5T-v0", pdk="generic")
    if of_cell(cell, task):
        return True
    with task.session(simulator=simulator) as session:
        claims = [*repeatable(cell), ("verified", cell.result.verified)]
        return any(
            list(of_simulation(w, r.evaluation(task.specs), session.simulate(r.design)))
            for w, r in claims
        )


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from([10**400, -(10**20), 1e308, "ok", "timeout", "infra_error", "nan", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


def places(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value inside a JSON value."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for step, value in items if isinstance(data, (dict, list)) else ():
        yield (*path, step)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, step))


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(draw=st.data(), odd=ODD)
def test_no_value_in_a_file_makes_verification_crash(sound, tmp_path, in_process, draw, odd):
    folder = Path(shutil.copytree(sound, tmp_path / sound.name, dirs_exist_ok=True))
    in_trace = draw.draw(st.booleans(), label="in the trace")
    lines = [json.loads(line) for line in (folder / TRACE).read_text().splitlines()]
    data = lines if in_trace else json.loads((folder / RESULT).read_text())
    path = draw.draw(st.sampled_from(list(places(data))), label="path")

    def change(root: Any) -> None:
        for step in path[:-1]:
            root = root[step]
        root[path[-1]] = odd

    def simulate(task: Task, designs: Sequence[Mapping[str, float]]) -> list[Evaluation]:
        with task.session(simulator=in_process) as session:
            return session.simulate(list(designs))

    (edit_trace if in_trace else edit_result)(folder, change)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("leaderboard.trust.verify.simulate_afresh", simulate)
        for finding in verify_cell(Store(tmp_path), folder.name, ALL).findings:
            assert finding.text
