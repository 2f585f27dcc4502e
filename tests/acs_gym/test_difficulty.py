"""Difficulty: the same numbers every time, none of them stale, no simulation that cannot change them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import acs_gym
from acs_gym.circuit import CircuitError
from acs_gym.circuit_reading import load_circuit
from acs_gym.difficulty import (
    Difficulty,
    known_difficulty,
    measure_difficulty,
    read_difficulties,
    sobol_designs,
    write_difficulty,
)
from acs_gym.evaluation import Status
from acs_gym.registry import BUNDLED
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, Simulator
from acs_gym.task import Task, task_of

ROOT = Path(__file__).parents[2]


class Counted(Simulator):
    """Another simulator, with the number of its simulations."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator, self.count = simulator, 0

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        self.count += len(jobs)
        return self.simulator.run(jobs)


@pytest.fixture
def simulator(in_process: Simulator) -> Counted:
    return Counted(in_process)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The OTA's, before anything was measured."""
    unmeasured = shutil.ignore_patterns("difficulty.json")
    return Path(shutil.copytree(BUNDLED / "ota5t", tmp_path / "ota5t", ignore=unmeasured))


def ota(tier: str = "tt", **targets: float) -> Task:
    return acs_gym.make_task("ota5t", pdk="generic", tier=tier, specs=targets or None)


LOOSE = {"gain": 20.0, "ugbw": 1e6, "pm": 10.0, "cmrr": 20.0, "power": 1.0}


def test_the_sample_is_fixed_and_a_longer_one_begins_with_the_shorter() -> None:
    space = ota().space
    assert sobol_designs(space, 5) == sobol_designs(space, 64)[:5]
    assert all(space.canonicalize(d) == d for d in sobol_designs(space, 5))


def test_it_is_what_simulating_every_design_gives(simulator: Counted) -> None:
    task = ota(**LOOSE)
    seen: list[tuple[int, int]] = []
    found = measure_difficulty(
        task,
        designs=130,
        simulator=simulator,
        progress=lambda done, most: seen.append((done, most)),
    )
    evaluations = task.session(simulator=simulator).simulate(sobol_designs(task.space, 130))
    assert found.feasible == sum(e.feasible for e in evaluations) > 0
    assert found.best_of_100 == max(e.score for e in evaluations[:100])
    assert found.designs == 130 and found.digest == task.digest
    assert seen[0] == (100, 130) and seen[-1] == (130, 130)


@pytest.mark.parametrize("tier", ["pvt", "mc4"])
@pytest.mark.parametrize("targets", [{}, LOOSE], ids=["strict", "loose"])
def test_in_a_tier_it_is_what_simulating_everything_gives_for_less(
    simulator: Counted, tier: str, targets: dict[str, float]
) -> None:
    offset = {"offset": 1.0} if targets and tier != "pvt" else {}
    task = ota(tier, **targets, **offset)
    found = measure_difficulty(task, designs=16, simulator=simulator)
    spent = simulator.count
    evaluations = task.session(simulator=simulator).simulate(sobol_designs(task.space, 16))
    assert found.feasible == sum(e.feasible for e in evaluations)
    assert found.best_of_100 == max(e.score for e in evaluations)
    if not found.feasible:
        assert spent < 0.8 * 16 * task.cost


def test_a_circuit_that_cannot_be_simulated_is_no_hard_task() -> None:
    class Broken(Simulator):
        def run(self, jobs: Sequence[Job]) -> list[Outcome]:
            return [Outcome(Status.INFRA_ERROR, {}, "op: no vector v(nowhere)") for _ in jobs]

    with pytest.raises(CircuitError, match=r"no design can be simulated: .* v\(nowhere\)"):
        measure_difficulty(ota(), designs=4, simulator=Broken())
    with pytest.raises(ValueError, match="at least one design, got 0"):
        measure_difficulty(ota(), designs=0)


@pytest.mark.parametrize(
    ("designs", "feasible", "best", "text", "advice"),
    [
        (2000, 0, 0.8765, "0 of 2000 · best 0.87", ""),
        (2000, 3, 0.999, "3 of 2000 · best 0.99", ""),
        (2000, 9, 0.99, "9 of 2000 · best 0.99", "rather easy: 0.45% of blind designs"),
        (2000, 9, 1.0, "9 of 2000 · best 1.00", "too easy: 100 random designs solve it"),
        (2000, 0, 0.0, "0 of 2000 · best 0.00", "score nothing at all"),
    ],
)
def test_text_and_advice(designs: int, feasible: int, best: float, text: str, advice: str) -> None:
    found = Difficulty(digest="0" * 64, designs=designs, feasible=feasible, best_of_100=best)
    assert found.text == text
    assert advice in found.advice and bool(advice) == bool(found.advice)


def test_written_numbers_are_read_back_until_the_task_changes(folder: Path) -> None:
    assert read_difficulties(folder) == {}
    task = task_of(load_circuit(folder), "generic")
    tt = Difficulty(digest=task.digest, designs=2000, feasible=1, best_of_100=0.1 + 0.2)
    pvt = replace_digest(tt, task_of(task.circuit, "generic", "pvt").digest)
    write_difficulty(folder, "generic", "tt", tt)
    write_difficulty(folder, "generic", "pvt", pvt)
    assert read_difficulties(folder) == {"generic": {"tt": tt, "pvt": pvt}}
    assert known_difficulty(task) == tt
    assert known_difficulty(task_of(task.circuit, "generic", "mc")) is None
    assert sorted(p.name for p in folder.glob(".*")) == []
    # Not what was measured: other targets, another circuit.
    assert known_difficulty(task.with_specs({"gain": 50})) is None
    toml = folder / "circuit.toml"
    toml.write_text(toml.read_text().replace("c_load = 1e-12", "c_load = 2e-12"))
    assert known_difficulty(task_of(load_circuit(folder), "generic")) is None


def replace_digest(found: Difficulty, digest: str) -> Difficulty:
    return Difficulty.model_validate(found.model_dump() | {"digest": digest})


def test_the_file_does_not_change_the_task_it_is_about(folder: Path) -> None:
    before = task_of(load_circuit(folder), "generic").digest
    write_difficulty(
        folder, "generic", "tt", Difficulty(digest=before, designs=1, feasible=0, best_of_100=0.0)
    )
    assert task_of(load_circuit(folder), "generic").digest == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "EOF"),
        ('{"generic": {"tt": {"digest": "x"}}}', "generic.tt.digest"),
        ('{"generic": {"tt": 1}}', "generic.tt"),
        ("[]", "file: Input should be"),
    ],
)
def test_a_file_that_is_none_is_named(folder: Path, text: str, said: str) -> None:
    (folder / "difficulty.json").write_text(text)
    with pytest.raises(CircuitError, match=f"difficulty.json: .*{said}"):
        read_difficulties(folder)


def test_the_script_writes_the_file_resumes_and_prints_a_table(folder: Path) -> None:
    def script(*options: str) -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, "benchmarks/difficulty.py", str(folder), "--pdk", "generic", *options],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout, done.stderr

    table, said = script("--designs", "8", "--tier", "tt")
    assert "| ACS-OTA5T-v0 | generic | tt | 0 of 8 | 0." in table and "ACS-OTA5T-v0 on" in said
    written = (folder / "difficulty.json").read_text()
    assert set(json.loads(written)["generic"]["tt"]) == {
        "digest",
        "designs",
        "feasible",
        "best_of_100",
    }
    again, said = script("--designs", "4", "--tier", "tt")
    assert again == table and said == "" and (folder / "difficulty.json").read_text() == written
    more, said = script("--designs", "9", "--tier", "tt")
    assert "0 of 9" in more and said != ""
