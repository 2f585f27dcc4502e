"""Sampled targets: every draw is met by a design that was measured to meet it.

And what is drawn to test with is met by no design that there is to train on.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import acs_gym
from acs_gym.circuit import CircuitError
from acs_gym.circuit_lint import suspicions
from acs_gym.circuit_reading import load_circuit
from acs_gym.cli import main
from acs_gym.design import DesignSpace, Parameter
from acs_gym.envs.sizing import SizingEnv
from acs_gym.envs.snapshot import EnvState
from acs_gym.envs.vector import SizingVectorEnv
from acs_gym.registry import BUNDLED, circuit_folders
from acs_gym.simulation.pool import Simulator
from acs_gym.specs import Spec, SpecSheet
from acs_gym.targets import (
    FINENESS,
    SLACK_LEAST,
    SLACK_MOST,
    Anchor,
    AnchorTable,
    Column,
    Split,
    checksum_of,
    pack,
    targets_of,
    unpack,
    width,
    written,
)
from tests.acs_gym.test_vector import assert_same
from tests.conftest import needs

SMALL, N = "ACS-OTA5T-v0", 8
SPLITS: list[Split] = ["train", "held-out"]
SAMPLED = {"train": "sampled", "held-out": "sampled:held-out"}


TABLES = [
    pytest.param((task_id, pdk), marks=needs(pdk), id=f"{task_id}-{pdk}")
    for task_id, folder in circuit_folders().items()
    for pdk in load_circuit(folder).anchors
]


@pytest.fixture(params=TABLES)
def sampled(request: pytest.FixtureRequest) -> acs_gym.Task:
    """Every task on every PDK that ships a table of targets for it."""
    task_id, pdk = request.param
    return acs_gym.make_task(task_id, pdk=pdk)


def slacks(sheet: SpecSheet, anchor: Anchor) -> list[float]:
    """The anchor's margins to the targets that a draw may choose."""
    margins = sheet.judge(anchor.metrics).margins
    return [margins[s.metric] for s in sheet if not s.fixed]


def hardest(sheet: SpecSheet, anchor: Anchor) -> dict[str, float]:
    """The hardest targets that are ever drawn from an anchor."""
    return targets_of(sheet, anchor, [SLACK_LEAST] * len(sheet))


def met_by(sheet: SpecSheet, targets: dict[str, float], anchors: Sequence[Anchor]) -> list[int]:
    """Numbers of the anchors that meet the targets."""
    asked = sheet.with_targets(targets)
    return [k for k, a in enumerate(anchors) if asked.judge(a.metrics).feasible]


def behind(task: acs_gym.Task, targets: dict[str, float], split: Split) -> list[acs_gym.Anchor]:
    """The anchors of the split that `targets` may have been drawn from."""
    sheet, bounds = task.specs.with_targets(targets), (SLACK_LEAST - 1e-9, SLACK_MOST + 1e-9)
    return [
        anchor
        for anchor in task.anchors(split)
        if all(bounds[0] <= slack <= bounds[1] for slack in slacks(sheet, anchor))
    ]


# --- every task, every PDK ----------------------------------------------------------------------


def test_every_bundled_circuit_ships_anchors_on_the_pdks_that_everybody_has() -> None:
    for task_id, folder in circuit_folders().items():
        if folder.parent == BUNDLED:
            missing = {"sky130", "generic"} - load_circuit(folder).anchors.keys()
            assert not missing, f"run python benchmarks/targets.py {task_id}"


def test_anchors_were_measured_with_this_circuit_and_these_models(
    sampled: acs_gym.Task, in_process: Simulator
) -> None:
    again = f"python benchmarks/targets.py {sampled.id} --pdk {sampled.pdk_name} --remeasure"
    assert sampled.circuit.anchors[sampled.pdk_name].program == sampled.program.key, again
    some = [a for split in SPLITS for a in sampled.anchors(split)[3::101][:3]]
    evaluations = sampled.session(simulator=in_process).simulate([a.design for a in some])
    for anchor, evaluation in zip(some, evaluations, strict=True):
        assert evaluation.design == anchor.design
        # A metric that no spec asks for may not exist: a bandwidth where a loop crosses 0 dB thrice.
        assert evaluation.status in (acs_gym.Status.OK, acs_gym.Status.MEASURE_FAILED)
        # The real thing is as good as what is written down, and hardly better.
        as_stored = evaluation.rejudged(sampled.specs.with_targets(anchor.metrics)).margins
        assert all(0.0 <= margin < 0.01 for margin in as_stored.values()), (again, as_stored)
        asked = sampled.specs.with_targets(hardest(sampled.specs, anchor))
        assert evaluation.rejudged(asked).feasible


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32), split=st.sampled_from(SPLITS))
def test_a_draw_is_met_by_an_anchor_of_its_split_with_a_bounded_margin(
    sampled: acs_gym.Task, seed: int, split: Split
) -> None:
    targets = sampled.sample_specs(np.random.default_rng(seed), split)
    assert list(targets) == list(sampled.specs.metrics)
    assert behind(sampled, targets, split)
    assert targets == sampled.sample_specs(np.random.default_rng(seed), split)


def test_the_splits_share_no_anchor_and_are_both_large(sampled: acs_gym.Task) -> None:
    train, held_out = ({tuple(a.design.values()) for a in sampled.anchors(s)} for s in SPLITS)
    assert not train & held_out and len(train | held_out) == len(sampled.anchors())
    assert len(train) >= 500 and len(held_out) >= 200


def test_no_training_anchor_meets_what_a_held_out_one_may_be_asked_for(
    sampled: acs_gym.Task,
) -> None:
    again = f"python benchmarks/targets.py {sampled.id} --pdk {sampled.pdk_name} --force"
    assert not sampled.circuit.anchors[sampled.pdk_name].given_away(sampled.specs), again
    # The same in the words of a spec sheet, for some of them.
    train, held_out = sampled.anchors("train"), sampled.anchors("held-out")
    for anchor in held_out[::40]:
        assert not met_by(sampled.specs, hardest(sampled.specs, anchor), train), again
        assert met_by(sampled.specs, hardest(sampled.specs, anchor), held_out)


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
def test_no_training_anchor_meets_a_held_out_draw(sampled: acs_gym.Task, seed: int) -> None:
    targets = sampled.sample_specs(np.random.default_rng(seed), "held-out")
    assert not met_by(sampled.specs, targets, sampled.anchors("train"))


def test_held_out_targets_are_seldom_asked_closer_than_drawn(sampled: acs_gym.Task) -> None:
    """Whole regions are held out: what a training anchor would meet is the exception."""
    table, rng = sampled.circuit.anchors[sampled.pdk_name], np.random.default_rng(0)
    drawn = [table.draw_freely(sampled.specs, rng, "held-out") for _ in range(300)]
    met = [table.met_in_training(sampled.specs, targets_of(sampled.specs, *d)) for d in drawn]
    assert np.mean([len(rows) > 0 for rows in met]) < 0.6


def test_fixed_specs_keep_their_targets_and_every_anchor_meets_them(sampled: acs_gym.Task) -> None:
    fixed = {s.metric: s.target for s in sampled.specs if s.fixed}
    targets = sampled.sample_specs(np.random.default_rng(0))
    assert {m: targets[m] for m in fixed} == fixed
    for anchor in sampled.anchors():
        margins = sampled.specs.judge(anchor.metrics).margins
        assert all(margins[m] >= 0 for m in fixed)


def test_a_table_is_small(sampled: acs_gym.Task) -> None:
    table = sampled.circuit.anchors[sampled.pdk_name]
    numbers = len(table.rows()) * (len(sampled.space) + len(sampled.specs))
    assert len(table.model_dump_json()) / numbers < 2.3  # Characters, the columns' heads included.


def test_anchors_beat_some_fixed_targets_and_miss_others(sampled: acs_gym.Task) -> None:
    margins = np.array([slacks(sampled.specs, a) for a in sampled.anchors()])
    met = (margins >= 0).mean(axis=1)
    assert 0.3 < met.mean() < 0.95 and ((met > 0) & (met < 1)).mean() > 0.5
    assert np.isfinite(margins).all() and margins.min() >= -1.0
    asked = [s.metric for s in sampled.specs if not s.fixed]
    alike = {m for m, spread in zip(asked, np.ptp(margins, axis=0), strict=True) if spread <= 0.1}
    # The sweep of a three-stage op-amp's swing ends before any of its designs does, and |1 + T| of a loop
    # that is stable falls to 1 at high frequency at most.
    capped = {
        "ACS-CCIA-v0": {"modulus_margin"}, "ACS-DFCFC-v0": {"swing"}, "ACS-NMC-v0": {"swing"},
    }.get(sampled.id, set())  # fmt: skip
    assert alike == capped, "every other spec is asked for more and less"


def test_an_episode_s_targets_are_drawn_and_met_by_a_known_design(
    sampled: acs_gym.Task, in_process: Simulator
) -> None:
    env = SizingEnv(sampled, specs="sampled", session=sampled.session(simulator=in_process))
    observation, info = env.reset(seed=3)
    assert observation in env.observation_space and observation["targets"].any()
    assert info["targets"] == env.task.specs.targets == env.snapshot().targets
    for anchor in behind(sampled, info["targets"], "train"):
        action = 2.0 * sampled.space.to_unit(anchor.design) - 1.0
        _, reward, terminated, _, info = env.step(action)
        assert (reward, terminated) == (1.0, True)
        env.reset(seed=3)


# --- environments -------------------------------------------------------------------------------


def make(**arguments: Any) -> SizingEnv:
    given = {"specs": "sampled", "max_turns": 2, "stop_when_feasible": False, **arguments}
    return SizingEnv(SMALL, pdk="generic", **given)


def drawn(env: SizingEnv, count: int, seed: int | None = None) -> list[dict[str, float]]:
    """The targets of so many resets, the first of them seeded."""
    return [env.reset(seed=seed if k == 0 else None)[1]["targets"] for k in range(count)]


def test_the_seed_of_a_reset_decides_its_targets_and_those_that_follow() -> None:
    first, second = drawn(make(), 4, seed=5), drawn(make(), 4, seed=5)
    assert first == second
    assert all(a != b for a, b in itertools.pairwise(first))
    assert drawn(make(), 1, seed=6) != first[:1]
    rng = np.random.default_rng(5)
    task = acs_gym.make_task(SMALL, pdk="generic")
    assert first == [task.sample_specs(rng) for _ in range(4)]


@pytest.mark.parametrize("split", SPLITS)
def test_the_split_of_an_environment(split: Split) -> None:
    env = make(specs=SAMPLED[split])
    other: Split = "train" if split == "held-out" else "held-out"
    targets = drawn(env, 20, seed=0)
    assert all(behind(env.task, t, split) for t in targets)
    assert not all(behind(env.task, t, other) for t in targets)
    assert split == "held-out" or drawn(make(specs="sampled:train"), 20, seed=0) == targets


def test_draws_are_tight_and_easy_by_turns() -> None:
    task, rng = acs_gym.make_task(SMALL, pdk="generic"), np.random.default_rng(0)
    mean = []
    for _ in range(80):
        targets = task.sample_specs(rng)
        sheet = task.specs.with_targets(targets)
        mean.append(min(np.mean(slacks(sheet, a)) for a in behind(task, targets, "train")))
    assert min(mean) < 0.05 and max(mean) > 0.3


def test_targets_asked_for_replace_drawn_ones_and_change_nothing_else() -> None:
    env, free = make(), make()
    asked = {"ugbw": 1e6, "pm": 45.0}
    _, info = env.reset(seed=1, options={"specs": asked})
    _, info_free = free.reset(seed=1)
    assert info["targets"] == {**info_free["targets"], **asked}
    assert drawn(env, 3) == drawn(free, 3)
    before = env.snapshot()
    with pytest.raises(acs_gym.InvalidSpec, match="did you mean ugbw"):
        env.reset(seed=1, options={"specs": {"ugwb": 1.0}})
    assert env.snapshot() == before


def test_a_state_brings_its_targets_and_the_draws_to_come() -> None:
    env = make()
    env.reset(seed=9)
    env.step(np.zeros(N))
    state = EnvState.from_json(json.loads(json.dumps(env.snapshot().to_json())))
    expected = [env.step(np.ones(N))[1], *drawn(env, 3)]
    for other in (make(), make(specs="sampled:held-out"), make(specs=None)):
        _, info = other.restore(state)
        assert info["targets"] == state.targets != other.fixed_specs.targets
        assert other.step(np.ones(N))[1] == expected[0]
    same = make()
    same.restore(state)
    assert [same.step(np.ones(N))[1], *drawn(same, 3)] == expected


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_the_vector_environment_draws_as_single_ones_do(mode: AutoresetMode) -> None:
    theirs = SyncVectorEnv([make] * 3, autoreset_mode=mode)
    ours = gymnasium.make_vec(
        SMALL, num_envs=3, pdk="generic", specs="sampled", max_turns=2, stop_when_feasible=False,
        autoreset_mode=mode,
    )  # fmt: skip
    assert isinstance(ours, SizingVectorEnv)
    assert_same(ours.reset(seed=4), theirs.reset(seed=4))
    ours.action_space.seed(4)
    targets = set()
    for turn in range(7):
        actions = ours.action_space.sample()
        a, b = ours.step(actions), theirs.step(actions)
        assert_same(a, b, f"step {turn}")
        targets |= {tuple(state.targets.items()) for state in ours.snapshot()}
        if turn == 3:  # One episode anew, the others with the targets that they have.
            mask = {"reset_mask": np.array([False, True, False])}
            assert_same(ours.reset(options=dict(mask)), theirs.reset(options=dict(mask)))
    assert len(targets) >= 7
    ours.close()
    theirs.close()


def test_make_passes_it_on() -> None:
    env = gymnasium.make(SMALL, pdk="generic", specs="sampled:held-out")
    _, info = env.reset(seed=0)
    assert env.unwrapped.snapshot().targets == info["targets"]  # type: ignore[attr-defined]
    assert env.spec is not None and gymnasium.make(env.spec).reset(seed=0)[1] == info


# --- wrong use, wrong files ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"specs": "smapled"}, acs_gym.InvalidSpec, "'sampled:held-out'; got 'smapled'"),
        ({"specs": "sampled:test"}, acs_gym.InvalidSpec, "got 'sampled:test'"),
        ({"specs": "sampled:"}, acs_gym.InvalidSpec, "got 'sampled:'"),
        ({"specs": "sampled", "tier": "mc4"}, acs_gym.TargetsNotFound, "in tier tt, .* is mc4"),
    ],
)
def test_what_cannot_be_sampled(
    arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        make(**arguments)
    with pytest.raises(error, match=said):
        SizingVectorEnv(SMALL, 2, pdk="generic", **arguments)


def test_a_task_itself_has_fixed_targets() -> None:
    with pytest.raises(acs_gym.InvalidSpec, match=r"task\.sample_specs\(rng\)"):
        acs_gym.make_task(SMALL, pdk="generic", specs="sampled")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="split is one of train, held-out; got 'test'"):
        acs_gym.make_task(SMALL, pdk="generic").sample_specs(
            np.random.default_rng(0),
            "test",  # type: ignore[arg-type]
        )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A circuit folder of somebody's own, with the OTA's anchors; forgotten after the test."""
    monkeypatch.setattr("acs_gym.registry._registered", {})
    mine = Path(shutil.copytree(BUNDLED / "ota5t", tmp_path / "mine"))
    text = (mine / "circuit.toml").read_text().replace("ACS-OTA5T-v0", "Mine-Sampled-v0")
    (mine / "circuit.toml").write_text(text)
    return mine


def anchors_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "targets.json").read_text()))


def test_a_folder_without_anchors_says_what_makes_them(folder: Path) -> None:
    (folder / "targets.json").unlink()
    name = acs_gym.register_circuit(folder)
    with pytest.raises(
        acs_gym.TargetsNotFound,
        match=f"on: no PDK. `python benchmarks/targets.py {name} --pdk generic` makes them",
    ):
        gymnasium.make(name, pdk="generic", specs="sampled")
    assert gymnasium.make(name, pdk="generic").reset(seed=0)[1]["targets"]


def test_anchors_on_another_pdk_are_named(folder: Path) -> None:
    data = anchors_of(folder)
    (folder / "targets.json").write_text(json.dumps({"sky130": data["generic"]}))
    task = acs_gym.make_task(acs_gym.register_circuit(folder), pdk="generic")
    with pytest.raises(acs_gym.TargetsNotFound, match="on generic; it has some on: sky130"):
        task.sample_specs(np.random.default_rng(0))


def adopt(folder: Path, data: dict[str, Any]) -> acs_gym.Task:
    """The task of the folder, with `data` as anchors that were measured with it."""
    name = acs_gym.register_circuit(folder)
    data["generic"]["program"] = acs_gym.make_task(name, pdk="generic").program.key
    (folder / "targets.json").write_text(json.dumps(data))
    return acs_gym.make_task(name, pdk="generic")


def test_anchors_of_another_testbench_are_refused(folder: Path) -> None:
    data = anchors_of(folder)
    # The copy's id is part of its program: its anchors were measured as another circuit's.
    task = acs_gym.make_task(acs_gym.register_circuit(folder), pdk="generic")
    with pytest.raises(acs_gym.TargetsNotFound, match=r"another version .*--remeasure"):
        task.sample_specs(np.random.default_rng(0))
    assert adopt(folder, data).sample_specs(np.random.default_rng(0))


def flipped(row: str) -> str:
    """The row with one character changed to another of the alphabet."""
    return row[:-1] + ("0" if row[-1] != "0" else "1")


@pytest.mark.parametrize(
    ("where", "what", "said"),
    [
        ("program", None, r"generic\.program: Input should be a valid string"),
        ("program", "abc", r"generic\.program: String should match"),
        ("checksum", "0" * 64, r"generic\.checksum: the rows are not those that were written"),
        ("extra", 1, r"generic\.extra: Extra inputs"),
        ("train", [], r"generic\.train: .*at least 1"),
        ("held_out", [], r"generic\.held_out: .*at least 1"),
        ("train.2", 7, r"generic\.train\.2: Input should be a valid string"),
        ("train.2", flipped, r"generic\.checksum: the rows are not those"),
        ("train.2", lambda row: row[:-1], r"generic\.checksum: the rows are not those"),
        ("train", lambda rows: rows[:-1], r"generic\.checksum: the rows are not those"),
        ("metrics", lambda c: c[:1], r"generic\.metrics: the table is of gain, .*make it anew"),
        ("parameters", lambda c: c[1:], r"generic\.parameters: the table is of .*make it anew"),
        ("metrics.0.low", 10, r"generic\.checksum: the rows are not those"),
        ("metrics.0.low", 1.5, r"generic\.metrics\.0\.low: Input should be a valid integer"),
        ("metrics.0.low", 10**30, r"generic\.metrics\.0\.low: Input should be less than"),
        ("metrics.0.levels", 0, r"generic\.metrics\.0\.levels: Input should be greater than"),
        ("metrics.0.digits", None, r"generic\.metrics\.0: .*gain: give either digits or exponent"),
        ("metrics.0.digits", 99, r"generic\.metrics\.0\.digits: Input should be less than"),
        ("metrics.0.low", 10**18, r"generic\.metrics\.0: .*gain: its numbers are too large"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(folder: Path, where: str, what: Any, said: str) -> None:
    data = anchors_of(folder)
    data["generic"]["metrics"][0] = {"name": "gain", "low": 1, "levels": 2, "digits": 3}
    *path, last = (int(key) if key.isdigit() else key for key in where.split("."))
    part = functools.reduce(lambda part, key: part[key], path, data["generic"])
    part[last] = what(part[last]) if callable(what) else what
    (folder / "targets.json").write_text(json.dumps(data))
    with pytest.raises(CircuitError, match=f"targets.json: {said}"):
        load_circuit(folder)


def test_an_anchor_that_does_not_fit_is_named_by_the_first_draw_and_by_check(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Loading the folder looks at no anchor; a task that draws none does not wait for that."""
    data = anchors_of(folder)
    task = adopt(folder, data)
    table = task.circuit.anchors["generic"]
    outside = table.anchors("train")[0]
    outside.design["w_pair"] = 1.0
    made = AnchorTable.of("by hand", table.program, [outside], table.anchors("held-out"))
    data["generic"] = json.loads(made.model_dump_json(exclude_none=True))
    task = adopt(folder, data)
    said = r"targets\.json: generic\.train\.0: w_pair = 1 is outside its range"
    for _ in range(2):
        with pytest.raises(CircuitError, match=said):
            task.sample_specs(np.random.default_rng(0))
    (error,) = (p for p in suspicions(task.circuit) if p.where == "targets.json")
    assert error.level == "error" and re.search(said, str(error))
    assert main(["check", str(folder), "--no-simulation"]) == 1
    assert "train.0: w_pair = 1 is outside" in capsys.readouterr().out


def test_a_pdk_that_the_circuit_does_not_know_is_named(folder: Path) -> None:
    data = anchors_of(folder)
    (folder / "targets.json").write_text(json.dumps({"generik": data["generic"]}))
    with pytest.raises(CircuitError, match=r"targets.json: generik\..*no sizing on PDK 'generik'"):
        load_circuit(folder)


def test_a_file_that_is_no_json_is_named(folder: Path) -> None:
    (folder / "targets.json").write_text("{")
    with pytest.raises(CircuitError, match=r"targets.json: file: Invalid JSON"):
        load_circuit(folder)


# --- what is drawn, on a table of one's own -----------------------------------------------------

SPACE = DesignSpace((Parameter("w", 1e-6, 9e-6),))
SHEET = SpecSheet(
    (
        Spec("gain", ">=", 40.0, tolerance=20.0),
        Spec("power", "<=", 1e-5),
        Spec("offset", "within", 1e-3),
        Spec("valid", ">=", 1.0, tolerance=1.0, fixed=True),
    )
)


def anchor(gain: float, power: float = 1e-5, valid: float = 1.2, w: float = 2e-6) -> Anchor:
    return Anchor({"w": w}, {"gain": gain, "power": power, "offset": 1e-3, "valid": valid})


def table_of(train: list[Anchor], held_out: list[Anchor]) -> AnchorTable:
    return AnchorTable.of("by hand", "0" * 64, train, held_out)


@given(seed=st.integers(0, 2**32), split=st.sampled_from(SPLITS))
def test_a_fixed_spec_is_never_eased(seed: int, split: Split) -> None:
    table = table_of([anchor(40.0)], [anchor(60.0)])
    targets = table.draw(SHEET, np.random.default_rng(seed), split)
    assert targets["valid"] == 1.0 and targets["power"] > 1e-5
    harder = SHEET.with_targets({"valid": 1.1})
    assert table.draw(harder, np.random.default_rng(seed), split)["valid"] == 1.1


@given(seed=st.integers(0, 2**32), behind=st.floats(0.04, 0.6))
def test_a_held_out_draw_comes_closer_where_a_training_anchor_would_meet_it(
    seed: int, behind: float
) -> None:
    near, best = anchor(round(60.0 - 20.0 * behind, 2)), anchor(60.0)
    alone, beside = table_of([anchor(10.0)], [best]), table_of([near], [best])
    free = alone.draw(SHEET, np.random.default_rng(seed), "held-out")
    drawn = beside.draw(SHEET, np.random.default_rng(seed), "held-out")
    assert not met_by(SHEET, drawn, [near])
    assert all(s + 1e-9 >= SLACK_LEAST for s in slacks(SHEET.with_targets(drawn), best))
    # One that no training anchor meets is left as it is, and the draws to come always are.
    assert drawn == free or met_by(SHEET, free, [anchor(near.metrics["gain"] + 0.03)])
    rngs = [np.random.default_rng(seed) for _ in range(2)]
    for table, rng in zip((alone, beside), rngs, strict=True):
        table.draw(SHEET, rng, "held-out")
    assert rngs[0].bit_generator.state == rngs[1].bit_generator.state


def test_a_held_out_anchor_that_is_given_away_is_named() -> None:
    beaten, safe, fails = anchor(50.0), anchor(60.0), anchor(60.0, valid=0.9)
    table = table_of([anchor(20.0), anchor(49.7)], [safe, beaten])
    assert table.given_away(SHEET) == {1: 1}
    with pytest.raises(ValueError, match=r"held_out\.1: train\.1 meets every target"):
        table.check(SPACE, SHEET)
    table_of([anchor(49.0)], [safe, beaten]).check(SPACE, SHEET)
    with pytest.raises(ValueError, match=r"train\.0: valid = 0\.9 misses the fixed spec ≥ 1"):
        table_of([fails], [safe]).check(SPACE, SHEET)


def test_a_target_that_is_no_target_is_named() -> None:
    with pytest.raises(ValueError, match=r"held_out\.0: spec power: .*must be positive"):
        table_of([anchor(20.0)], [anchor(60.0, power=-1.0)]).check(SPACE, SHEET)


def test_a_spec_of_a_circuit_says_that_it_is_fixed(folder: Path) -> None:
    (folder / "targets.json").unlink(missing_ok=True)
    toml = folder / "circuit.toml"
    text = toml.read_text().replace(
        "\nsaturation = 1", "\nsaturation = { target = 1, fixed = false }"
    )
    toml.write_text(text.replace("\npm = 60", "\npm = { target = 60, fixed = true }"))
    specs = load_circuit(folder).specs("generic")
    assert [s.metric for s in specs if s.fixed] == ["pm"]
    assert [s.metric for s in specs.with_targets({"pm": 50.0}) if s.fixed] == ["pm"]


# --- how it is written --------------------------------------------------------------------------


def decimals(exponents: st.SearchStrategy[int], least: int) -> st.SearchStrategy[float]:
    return st.builds(
        lambda mantissa, exponent: float(f"{mantissa}e{exponent}"),
        st.integers(least, 10**9 - 1),
        exponents,
    )


# Sizes over many decades, and differences of one unit that may be negative or zero.
COLUMNS = st.one_of(
    st.lists(decimals(st.integers(-40, 20), 1), min_size=1, max_size=8),
    st.integers(-20, 10).flatmap(
        lambda unit: st.lists(
            decimals(st.integers(unit, unit + 4), 1 - 10**9), min_size=1, max_size=8
        )
    ),
)


@given(COLUMNS)
def test_a_column_gives_back_the_floats_that_it_was_made_of(numbers: list[float]) -> None:
    column = Column.of("x", numbers)
    levels = [column.level(number) for number in numbers]
    assert [column.number(level) for level in levels] == numbers
    assert min(levels) == 0 and max(levels) == column.levels - 1
    assert sorted(levels) == [column.level(number) for number in sorted(numbers)]
    assert Column.model_validate_json(column.model_dump_json()) == column


@given(st.lists(COLUMNS, min_size=1, max_size=6))
def test_rows_give_back_the_floats_that_they_were_made_of(matrix: list[list[float]]) -> None:
    columns = [Column.of(f"x{k}", numbers) for k, numbers in enumerate(matrix)]
    # Every combination of a number of each would do; the first and the last of them are enough.
    for choose in (min, max, lambda numbers: numbers[0]):
        row = [choose(numbers) for numbers in matrix]
        text = pack(columns, row)
        assert list(unpack(columns, text)) == row
        assert len(text) == width(columns) and json.loads(f'"{text}"') == text


@given(st.lists(st.tuples(COLUMNS, COLUMNS), min_size=1, max_size=4), st.data())
def test_a_table_gives_back_the_anchors_that_it_was_made_of(
    columns: list[tuple[list[float], list[float]]], data: st.DataObject
) -> None:
    def some() -> list[Anchor]:
        return [
            Anchor(
                {f"p{k}": data.draw(st.sampled_from(c[0])) for k, c in enumerate(columns)},
                {f"m{k}": data.draw(st.sampled_from(c[1])) for k, c in enumerate(columns)},
            )
            for _ in range(data.draw(st.integers(1, 3)))
        ]

    train, held_out = some(), some()
    made = table_of(train, held_out)
    read = AnchorTable.model_validate_json(made.model_dump_json(exclude_none=True))
    assert read == made == table_of(train, held_out)
    assert list(read.anchors("train")) == train and list(read.anchors("held-out")) == held_out
    assert list(read.anchors()) == [*train, *held_out]
    assert read.checksum == checksum_of(read.columns, read.rows())


def test_a_column_takes_no_more_room_than_it_needs() -> None:
    counts = Column.of("m", [1.0, 8.0, 3.0])
    assert (counts.exponent, counts.low, counts.levels) == (0, 1, 8)
    sizes = Column.of("w", [4.2e-7, 1.5e-5, 1e-4])
    assert (sizes.digits, sizes.levels) == (2, 2 * 90 + 59)
    grid = Column.of("l", [1.5e-7, 3.35e-7])
    assert (grid.exponent, grid.levels) == (-9, 186)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([1e-300, -1e300], "do not fit into one column"),
        ([1.0, math.nan], "not a finite number"),
        ([1.0, math.inf], "not a finite number"),
        ([-0.1234567890123456, 1e9], "do not fit into one column"),
    ],
)
def test_numbers_that_no_column_holds(numbers: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Column.of("x", numbers)


def test_text_that_is_no_row() -> None:
    columns = [Column.of("x", [1.0, 200.0]), Column.of("y", [1.0, 7.0])]
    row = pack(columns, [200.0, 7.0])
    for text, said in (
        (row[:-1], "characters long, expected"),
        (row + "0", "characters long, expected"),
        ("~" * len(row), "beyond the last level|overflow"),
        ('"' * len(row), "bad base85 character"),
        ("é" * len(row), "ASCII"),
    ):
        with pytest.raises(ValueError, match=said):
            unpack(columns, text)


@given(
    st.sampled_from([s for s in SHEET if not s.fixed]),
    st.floats(1e-9, 1e9),
)
def test_what_is_written_is_a_little_worse_than_what_was_measured(spec: Spec, value: float) -> None:
    asked = SpecSheet((spec,)).with_targets({spec.metric: written(spec, value)})
    (margin,) = asked.judge({spec.metric: value}).margins.values()
    assert -1e-9 <= margin <= FINENESS + 1e-9
    assert len(f"{written(spec, value):.12g}".strip("0.").replace(".", "")) <= 12
