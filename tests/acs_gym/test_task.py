"""Tasks: found by name, distinguished by digest, quick to import."""

import json
import pickle
import subprocess
import sys

import pytest

import acs_gym
from tests.conftest import tasks_on


def test_a_task_has_a_reference_specs_and_units_for_every_metric(task: acs_gym.Task) -> None:
    assert task.reference is not None and set(task.reference) == set(task.space.names)
    assert set(task.specs.metrics) <= set(task.metric_units)
    assert task.title and task.description


def test_the_digest_tells_targets_apart_and_survives_pickling(task: acs_gym.Task) -> None:
    copy = pickle.loads(pickle.dumps(task))
    assert copy.digest == task.digest and copy.program == task.program
    metric = task.specs.metrics[0]
    harder = task.with_specs({metric: 1.01 * task.specs.targets[metric]})
    assert harder.digest != task.digest


def test_digests_are_the_same_in_another_process(pdk: str) -> None:
    tasks = [acs_gym.make_task(t, pdk=pdk) for t in tasks_on(pdk)]
    code = (
        f"import acs_gym\nfor t in {[t.id for t in tasks]!r}: "
        f"print(acs_gym.make_task(t, pdk={pdk!r}).digest)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [t.digest for t in tasks]
    assert len({t.digest for t in tasks}) == len(tasks), "tasks are told apart"


def test_wrong_names_say_what_is_allowed() -> None:
    with pytest.raises(acs_gym.TaskNotFound, match=r"did you mean ACS-OpAmp-v0\? Tasks: ACS-"):
        acs_gym.make_task("ACS-OpAm-v0")
    with pytest.raises(ValueError, match="no tier called 'tx'; tiers: tt"):
        acs_gym.make_task("ACS-OpAmp-v0", tier="tx")
    with pytest.raises(acs_gym.PdkNotFound, match="did you mean generic"):
        acs_gym.make_task("ACS-OpAmp-v0", pdk="generik")
    with pytest.raises(acs_gym.InvalidSpec, match="no spec on 'gain_db'"):
        acs_gym.make_task("ACS-OpAmp-v0", pdk="generic", specs={"gain_db": 60})


def test_tasks_to_learn_from_and_tasks_that_are_held_out_are_told_apart() -> None:
    training, held_out = acs_gym.task_ids("training"), acs_gym.task_ids(split="held-out")
    assert "ACS-OpAmp-v0" in training and "ACS-RecyclingFC-v0" in held_out
    assert sorted(training + held_out + acs_gym.task_ids("custom")) == list(acs_gym.task_ids())
    for task_id in held_out:
        assert acs_gym.make_task(task_id, pdk="generic").circuit.file.split == "held-out"
    with pytest.raises(ValueError, match="split is one of training, held-out, custom; got 'train'"):
        acs_gym.task_ids("train")  # type: ignore[arg-type]


def test_a_folder_s_name_is_short_for_its_id() -> None:
    assert acs_gym.make_task("opamp", pdk="generic").id == "ACS-OpAmp-v0"


HEAVY = {"torch", "skopt", "sklearn", "openai", "matplotlib", "pydantic", "rich", "plotly", "typer"}


def test_importing_registers_every_environment_and_loads_nothing_heavy() -> None:
    code = (
        "import json, sys, acs_gym, gymnasium\n"
        "print(json.dumps([sorted(sys.modules), sorted(gymnasium.registry)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules, registry = json.loads(done.stdout)
    assert set(acs_gym.task_ids()) <= set(registry)
    ours = {"agents", "baselines", "tlgrpo", "leaderboard"}
    assert not (HEAVY | ours) & {m.split(".")[0] for m in modules}


def test_public_names_are_all_there() -> None:
    for name in acs_gym.__all__:
        assert getattr(acs_gym, name) is not None
    assert set(acs_gym.__all__) <= set(dir(acs_gym))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = acs_gym.nothing
