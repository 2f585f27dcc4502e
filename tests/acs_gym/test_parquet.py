"""Histories as a table: what a policy that proposes the same designs would have seen, read back."""

import importlib
import math
import sys

import numpy as np
import pytest

import acs_gym
from acs_gym import Simulator, Status
from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import InProcessSimulator
from tests.frameworks.page import code_of

pq = pytest.importorskip("pyarrow.parquet")


class Failing(Simulator):
    def run(self, jobs):
        return [Outcome(Status.NONCONVERGED, {}, "as told") for _ in jobs]


@pytest.fixture(scope="module")
def task():
    return acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")


def test_a_row_is_a_turn_of_the_environment(task, tmp_path):
    from acs_gym.integrations.parquet import write

    rng = np.random.default_rng(0)
    with InProcessSimulator() as simulator, task.session(3, simulator=simulator) as session:
        for _ in range(3):
            session.simulate(task.space.sample(rng))
        assert write(tmp_path / "t", task, [session.history] * 2, algorithm="random") == 6
        rows = pq.read_table(tmp_path / "t").to_pylist()
        env = acs_gym.SizingEnv(task, max_turns=3, session=task.session(simulator=simulator))
        seen, _ = env.reset(seed=0)
        for row, evaluation in zip(rows, session.history, strict=False):
            for name, values in row["observation"].items():
                assert np.allclose(values, seen[name], atol=1e-5), name
            seen, reward, terminated, truncated, _ = env.step(row["action"])
            for name, values in row["next_observation"].items():
                assert np.allclose(values, seen[name], atol=1e-5), name
            assert row["reward"] == pytest.approx(reward)
            assert (row["terminated"], row["truncated"]) == (terminated, truncated)
            assert row["design"] == dict(evaluation.design)
            assert row["metrics"] == dict(evaluation.metrics)
            assert (row["status"], row["score"]) == (evaluation.status, evaluation.score)
    assert [(r["episode"], r["turn"]) for r in rows] == [(e, t) for e in (0, 1) for t in range(3)]
    assert {(r["task"], r["pdk"], r["tier"], r["algorithm"]) for r in rows} == {
        ("ACS-OTA5T-v0", "generic", "tt", "random")
    }


def test_a_failure_is_a_row_without_metrics_and_a_design_that_was_none_is_no_row(task, tmp_path):
    from acs_gym.integrations.parquet import write

    with task.session(2, simulator=Failing()) as session:
        session.simulate(task.reference)
        session.simulate(task.reference | {"w_pair": -1.0})
    failed, invalid = session.history
    assert invalid.status is Status.INVALID_DESIGN
    assert write(tmp_path / "t", task, [[failed, invalid]], algorithm="x") == 1
    (row,) = pq.read_table(tmp_path / "t").to_pylist()
    assert row["status"] == "nonconverged" and set(row["metrics"].values()) == {None}
    assert math.isfinite(row["reward"])
    for histories in ([], [[invalid]]):
        with pytest.raises(ValueError, match="no"):
            write(tmp_path / "none", task, histories, algorithm="x")
    assert not (tmp_path / "none").exists()


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "acs_gym.integrations.parquet", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'acs-gym\[parquet\]'"):
        importlib.import_module("acs_gym.integrations.parquet")


def test_the_page_s_code_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(code_of("Parquet"), {})
    assert "score" in capsys.readouterr().out
