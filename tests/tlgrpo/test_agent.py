"""A trained policy on the leaderboard."""

from types import SimpleNamespace

import numpy as np
import pytest

import acs_gym
from leaderboard.agents.registry import build
from leaderboard.contract import agent_config
from leaderboard.errors import LeaderboardError
from leaderboard.size import main
from leaderboard.suites import suite_tasks
from tests.leaderboard.tampering import invoke
from tests.tlgrpo.conftest import SMALL
from tlgrpo.agent import TlgrpoAgent
from tlgrpo.checkpoint import CheckpointError
from tlgrpo.config import TrainConfig
from tlgrpo.domains import build_domain
from tlgrpo.domains.circuits import read_design
from tlgrpo.domains.sizing import tell
from tlgrpo.evaluate import trained_policy
from tlgrpo.loop import Trainer
from tlgrpo.memory import nearest_goal, role_median, suggested, training_anchors
from tlgrpo.pretrained import CARD, LARGEST, WEIGHTS, write
from tlgrpo.samplers.hf import HfSampler


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = TrainConfig.of(
        {
            "domain": {
                "name": "circuits",
                "arguments": {"tasks": ["ACS-OTA5T-v0"], "pdk": "generic", "workers": 1},
            },
            "policy": SMALL.model_dump(), "turns": 2, "group": 2, "problems": 2,
            "simulations": 8, "action_tokens": 20,
            "sft": {"episodes": 16, "epochs": 2, "batch_tokens": 512},
        },
        "test",
    )  # fmt: skip
    list(Trainer(config, folder).run())
    return folder


def test_it_spends_its_budget_deterministically(run, task_of_run):
    histories = []
    for _ in range(2):
        with task_of_run.session(5, seed=3) as session:
            build(f"tlgrpo:{run}").run(session)
        histories.append(session.history)
    assert histories[0] == histories[1] and len(histories[0]) == 5


def test_a_policy_without_designs_sees_the_random_ones_in_their_place(
    run, task_of_run, monkeypatch
):
    agent = TlgrpoAgent(str(run), turns=2)
    policy = trained_policy(agent.place, agent.settings, build_domain(agent.settings.domain))
    end, seen = policy.codec.end, []

    def nothing(_sampler, histories, _count):
        seen.append(list(histories[0]))
        return [[SimpleNamespace(ids=(end,))]]

    monkeypatch.setattr("tlgrpo.samplers.hf.HfSampler.sample", nothing)
    with task_of_run.session(2, seed=3) as session:
        agent.run(session)
    assert agent.replaced == len(session.history) == 2 and len(seen) == 20
    prompt, later = seen[0], seen[10]
    said = later[len(prompt) : later.index(end, len(prompt)) + 1]
    simulated = read_design(task_of_run, policy.codec.action(tuple(said)))
    assert simulated == dict(session.history[0].design)


@pytest.fixture(scope="module")
def sizing_run(tmp_path_factory):
    return run_of_sizing(tmp_path_factory.mktemp("sizing"), "levels")


def run_of_sizing(folder, values):
    arguments = {"tasks": ["ACS-OTA5T-v0"], "pdks": ["generic"], "workers": 1, "values": values}
    config = TrainConfig.of(
        {
            "domain": {"name": "sizing", "arguments": arguments},
            "policy": SMALL.model_dump() | {"codec": "lines"}, "turns": 2, "group": 2,
            "problems": 1, "simulations": 4, "sft": {"episodes": 0},
        },
        "test",
    )  # fmt: skip
    list(Trainer(config, folder).run())
    return folder


def designs(agent, budget=3, circuit="ACS-CommonSource-v0"):
    task = acs_gym.make_task(circuit, pdk="generic")
    with task.session(budget, seed=1) as session:
        agent.run(session)
    return [dict(e.design) for e in session.history]


def test_a_policy_of_sizing_plays_a_circuit_that_it_was_not_trained_on(sizing_run):
    agent = TlgrpoAgent(str(sizing_run))
    assert len(designs(agent)) == 3 and agent.replaced == 0


@pytest.mark.parametrize("circuit", ["ACS-NMC-v0", "ACS-CommonSource-v0"])
def test_on_such_a_circuit_it_goes_on_from_what_the_training_circuits_suggest(sizing_run, circuit):
    task = acs_gym.make_task(circuit, pdk="generic")
    told = tell(task)
    with task.session(4, seed=1) as session:
        TlgrpoAgent(str(sizing_run)).run(session)
    first = [told.design([int(levels[k]) for k in told.parameters]) for levels in suggested(told)]
    assert len(first) == 2 and [dict(e.design) for e in session.history[:2]] == first
    with task.session(2, seed=1) as session:
        TlgrpoAgent(str(sizing_run), suggestions=False).run(session)
    assert [dict(e.design) for e in session.history] != first


def test_on_its_own_circuits_nothing_is_suggested(sizing_run):
    agents = [TlgrpoAgent(str(sizing_run), suggestions=s) for s in (True, False)]
    own, plain = (designs(agent, 3, "ACS-OTA5T-v0") for agent in agents)
    assert own == plain and [a.config["suggestions"] for a in agents] == [True, False]


def test_what_is_suggested_is_of_other_circuits_and_known_designs():
    """Medians of the same role, then the roles of the anchor whose goals are nearest."""
    known = training_anchors("generic")
    assert {s.task.id for s in known} == set(suite_tasks("training"))
    told = tell(acs_gym.make_task("ACS-OTA5T-v0", pdk="generic"))
    others = [s for s in known if s.task.id != "ACS-OTA5T-v0"]
    found = suggested(told)
    assert [list(x) for x in found] == [
        list(pick(others)(told)) for pick in (role_median, nearest_goal)
    ]
    assert suggested(tell(acs_gym.make_task("ACS-NMC-v0", pdk="generic", tier="pvt")))


def test_the_best_design_of_all_episodes_is_moved_from(tmp_path, monkeypatch):
    """An episode after the first begins with it as an action of its first turn, and what it had."""
    folder = str(run_of_sizing(tmp_path, "moves"))
    agent = TlgrpoAgent(folder, tellings=1, suggestions=False)
    seen = []
    fill = HfSampler.fill

    def recorded(self, histories, count, forms):
        seen.append(list(histories[0]))
        return fill(self, histories, count, forms)

    monkeypatch.setattr("tlgrpo.samplers.hf.HfSampler.fill", recorded)
    task = acs_gym.make_task("ACS-CommonSource-v0", pdk="generic")
    with task.session(5, seed=1) as session:
        agent.run(session)
    assert len(seen) == 5, "two turns, then one after the best of all in each episode"
    policy = trained_policy(agent.place, agent.settings, build_domain(agent.settings.domain))
    prompt, end = seen[0], policy.codec.end
    told = tell(task)
    for number in (2, 3, 4):
        said = seen[number][len(prompt) : seen[number].index(end, len(prompt)) + 1]
        levels = told.read(policy.codec.action(tuple(said)), told.start)
        best = max(session.history[:number], key=lambda e: e.score)
        assert told.design(levels) == dict(best.design)


def test_medians_of_answers_to_the_episode_told_in_other_orders_are_tried_while_they_improve(
    tmp_path, monkeypatch
):
    folder = str(run_of_sizing(tmp_path, "moves"))
    agent = TlgrpoAgent(folder, tellings=5, turns=8, suggestions=False)
    assert agent.config["tellings"] == 5
    policy = trained_policy(agent.place, agent.settings, build_domain(agent.settings.domain))
    task = acs_gym.make_task("ACS-CommonSource-v0", pdk="generic")
    told, plain = [tell(task, order) for order in range(5)], tell(task)
    texts = []
    fill = HfSampler.fill

    def recorded(self, histories, count, forms):
        found = fill(self, histories, count, forms)
        texts.append([policy.codec.action(one.ids) for [one] in found])
        return found

    monkeypatch.setattr("tlgrpo.samplers.hf.HfSampler.fill", recorded)
    with task.session(8, seed=1) as session:
        agent.run(session)
    best, at, improving, seen = 0.0, np.array(plain.start), True, set()
    for answered, evaluation in zip(texts, session.history, strict=True):
        levels = np.empty((5, len(at)), dtype=int)
        for row, one, text in zip(levels, told, answered, strict=True):
            row[list(one.parameters)] = one.read(text, [int(at[k]) for k in one.parameters])
        middle = np.median(levels, axis=0).astype(int)
        tried = [
            row for row in (middle, *levels) if plain.design(row.tolist()) == evaluation.design
        ]
        if improving:
            assert plain.design(middle.tolist()) == evaluation.design
        seen.add(improving)
        improving = evaluation.score > best
        if improving:
            best, at = evaluation.score, tried[0]
    assert seen == {True, False}


def test_a_policy_is_put_into_a_folder_with_the_temperature_that_it_is_played_at(
    sizing_run, tmp_path
):
    write(sizing_run, tmp_path, temperature=0.6)
    assert TlgrpoAgent(str(tmp_path)).settings.temperature == 0.6


def test_a_folder_of_three_files_plays_like_the_run_that_it_is_of(
    sizing_run, tmp_path, monkeypatch
):
    write(sizing_run, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {WEIGHTS, CARD, "config.json"}
    monkeypatch.setattr("tlgrpo.pretrained.SHIPPED", tmp_path)
    assert designs(build("tlgrpo:pretrained")) == designs(TlgrpoAgent(str(sizing_run)))
    (tmp_path / CARD).write_text("# another card\n")
    with pytest.raises(CheckpointError, match="sha256"):
        designs(TlgrpoAgent(str(tmp_path)))


def test_a_method_goes_on_from_what_a_policy_tries(sizing_run):
    alone = designs(TlgrpoAgent(str(sizing_run)), 2)
    both = designs(build(f"tlgrpo:{sizing_run}+sobol"), 4)
    assert both[:2] == alone and len(both) == 4
    with pytest.raises(LeaderboardError, match="no method called 'sobl'"):
        build(f"tlgrpo:{sizing_run}+sobl")


@pytest.mark.parametrize("circuit", ["ACS-OTA5T-v0", "ACS-NMC-v0"])
def test_the_policy_of_the_package_sizes_circuits_that_it_was_and_was_not_trained_on(circuit):
    agent = build("tlgrpo:pretrained")
    assert agent.place.stat().st_size <= LARGEST
    assert (circuit in agent.config["trained_on"]) == (circuit == "ACS-OTA5T-v0")
    first = designs(agent, 2, circuit)
    assert agent.replaced == 0 and first[0] != first[1]
    assert designs(build("tlgrpo:pretrained"), 2, circuit) == first


@pytest.mark.parametrize(("tier", "budget"), [("tt", 6), ("pvt", 60)])
def test_an_optimiser_starts_from_the_policy_of_the_package(tmp_path, tier, budget):
    """`corner-aware` does where there are corners."""
    agent = ("--agent", "sobol") if tier == "tt" else ()
    done = invoke(main, "ota5t", "--pdk", "generic", "--tier", tier, "--start-from", "policy", *agent,
                  "--budget", budget, "--out", tmp_path / "out")  # fmt: skip
    assert done.exit_code in (0, 1) and (tmp_path / "out/sizing.toml").exists()


def test_where_there_is_no_policy_is_said_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("tlgrpo.pretrained.SHIPPED", tmp_path / "none")
    for given in ("policy", f"policy:{tmp_path}"):
        done = invoke(main, "ota5t", "--pdk", "generic", "--start-from", given,
                      "--out", tmp_path / "out")  # fmt: skip
        assert done.exit_code == 2
        told = "python -m tlgrpo.hindsight" if given == "policy" else "of a training run"
        assert told in done.stderr


@pytest.fixture
def task_of_run():
    return acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")


def test_its_weights_are_part_of_its_identity(run):
    config = agent_config(build(f"tlgrpo:{run}"))
    assert len(config["weights"]) == 64 and config["trained_on"] == ["ACS-OTA5T-v0"]


def test_a_task_without_words_is_an_error_that_says_so(run):
    task = acs_gym.make_task("ACS-LDO-v0", pdk="generic")
    with task.session(2) as session, pytest.raises(CheckpointError, match="cannot read ACS-LDO"):
        TlgrpoAgent(str(run)).run(session)


def test_which_policy_has_to_be_said():
    with pytest.raises(LeaderboardError, match="tlgrpo:RUN"):
        build("tlgrpo")


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(Exception, match="of a training run"):
        build(f"tlgrpo:{tmp_path}")


@pytest.mark.parametrize("method", ["corner-aware", "corner-aware:sobol"])
def test_over_corners_the_policy_plays_at_the_nominal_condition_and_sign_off_goes_on(method):
    task = acs_gym.make_task("ACS-CommonSource-v0", pdk="generic", tier="pvt")
    with task.session(60, seed=1, workers=1) as session:
        agent = build(f"tlgrpo:pretrained+{method}")
        agent.run(session)
    nominal = task.conditions.conditions[task.conditions.nominal].name
    played = [e for e in session.history if set(e.by_condition) == {nominal}]
    assert len(played) >= agent.policy.turns or any(
        e.by_condition[nominal].feasible for e in played
    )
    assert 0 < session.meter.used <= 60
    inner = agent.config["method"]
    assert inner == ("sobol" if ":" in method else "composite-ei")


def test_where_there_is_one_condition_corners_change_nothing():
    histories = [
        designs(build(f"tlgrpo:pretrained+{name}"), 7, "ACS-OTA5T-v0")
        for name in ("corner-aware:sobol", "sobol")
    ]
    assert histories[0] == histories[1]
