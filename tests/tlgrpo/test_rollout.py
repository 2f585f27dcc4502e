"""Episodes: which actions are sampled from which history, what is simulated, and what goes on."""

import threading
from collections import Counter

import numpy as np
import pytest

from tests.tlgrpo.conftest import sampled_episodes, sampler_of
from tlgrpo.domain import Reaction
from tlgrpo.rollout import Plan, roll_out
from tlgrpo.samplers.scripted import ScriptedSampler
from tlgrpo.tree import history_before, load_episodes, save_episodes, total_simulations


def rolled(domain, policy, plan, problems=3, seed=0):
    return roll_out(
        domain, policy.codec, sampler_of(policy, seed=seed),
        [domain.problem(k, "train") for k in range(problems)], plan,
        rng=np.random.default_rng(seed),
    )  # fmt: skip


def test_siblings_share_their_history_and_one_of_them_goes_on(policy, domain):
    for episode in sampled_episodes(policy, domain):
        for nodes in episode.turns:
            assert len(nodes) == 4 and sum(n.on_main_line for n in nodes) == 1
            assert len({n.group for n in nodes}) == 1
        groups = [nodes[0].group for nodes in episode.turns]
        assert len(set(groups)) == len(groups)


def test_groups_of_different_histories_have_different_names(policy, domain):
    episodes = sampled_episodes(policy, domain)
    counts = Counter(n.group for e in episodes for n in e.nodes)
    assert set(counts.values()) == {4}


def test_a_trajectory_has_one_action_a_turn(policy, domain):
    episodes = sampled_episodes(policy, domain, per_turn=False)
    assert len(episodes) == 3 * 4
    assert all(len(nodes) == 1 and nodes[0].on_main_line for e in episodes for nodes in e.turns)
    keys = [e.problem.key for e in episodes]
    assert keys == sorted(keys, key=keys.index)  # Groups stand together.


def test_both_ways_spend_the_same_simulations(policy, domain):
    plans = [Plan(turns=3, group=4, per_turn=p, stop_when_solved=False) for p in (True, False)]
    spent = [total_simulations(rolled(domain, policy, plan)) for plan in plans]
    assert spent[0] == spent[1] == 3 * 3 * 4


class Counting:
    """A domain that counts and remembers what it was asked."""

    def __init__(self, domain):
        self.inner, self.tries, self.threads = domain, [], set()

    def evaluate(self, tries):
        self.tries += tries
        self.threads.add(threading.get_ident())
        return self.inner.evaluate(tries)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def test_every_action_is_simulated_once_in_the_state_it_was_sampled_in(policy, domain):
    counting = Counting(domain)
    episodes = rolled(counting, policy, Plan(turns=3, group=4, per_turn=True))
    assert len(counting.tries) == total_simulations(episodes)
    asked = Counter((s.problem.key, len(s.turns), text) for s, text in counting.tries)
    made = Counter((e.problem.key, n.turn, n.text) for e in episodes for n in e.nodes)
    assert asked == made


def test_simulation_runs_beside_sampling(policy, domain):
    counting = Counting(domain)
    rolled(counting, policy, Plan(turns=2, group=4, per_turn=True))
    assert threading.get_ident() not in counting.threads


@pytest.mark.parametrize("waves", [1, 2, 5])
def test_history_ids_are_what_was_sent_sampled_and_observed(policy, domain, waves):
    """Never text encoded again: the sampler is asked with exactly these ids."""
    end = policy.codec.end
    words = [policy.codec.prompt(w)[0] for w in ("angle", "=3", "speed", "=4")]
    sampler = ScriptedSampler(lambda history, k: [*words, end])
    plan = Plan(turns=3, group=2, per_turn=True, waves=waves, stop_when_solved=False)
    problems = [domain.problem(k, "train") for k in range(3)]
    episodes = roll_out(domain, policy.codec, sampler, problems, plan, rng=np.random.default_rng(0))
    asked = {history for history, _ in sampler.asked}
    expected = {tuple(history_before(e, t)) for e in episodes for t in range(3)}
    assert asked == expected
    for episode in episodes:
        assert len(episode.observations) == len(episode.turns) - 1
        assert episode.main_line[0].ids == (*words, end)


def test_an_ill_formed_action_scores_nothing_and_is_charged(policy, domain):
    sampler = ScriptedSampler(lambda history, k: [policy.codec.end])
    episodes = roll_out(
        domain, policy.codec, sampler, [domain.problem(0, "train")],
        Plan(turns=2, group=2, per_turn=True), rng=np.random.default_rng(0),
    )  # fmt: skip
    nodes = list(episodes[0].nodes)
    assert len(nodes) == 4 == total_simulations(episodes)
    assert all(n.reaction == Reaction(0.0, False, "bad :", valid=False) for n in nodes)


def test_an_action_that_was_cut_off_is_ended_before_what_is_observed(policy, domain):
    """No conversation goes on in the middle of a message; the end that nobody sampled is not trained."""
    words = tuple(policy.codec.prompt("angle =3"))
    episodes = roll_out(
        domain, policy.codec, ScriptedSampler(lambda history, k: words), [domain.problem(0, "train")],
        Plan(turns=2, group=2, per_turn=True), rng=np.random.default_rng(0),
    )  # fmt: skip
    (episode,) = episodes
    assert all(n.ids == words for n in episode.nodes)
    assert episode.observations[0] == (policy.codec.end, *policy.codec.observation("bad :"))


def test_a_solved_episode_ends_when_asked_to(policy, domain):
    class Solves(Counting):
        def evaluate(self, tries):
            return [Reaction(1.0, True, "miss +0 clear +0 :") for _ in tries]

    for stop, turns in ((True, 1), (False, 3)):
        plan = Plan(turns=3, group=2, per_turn=True, stop_when_solved=stop)
        episodes = rolled(Solves(domain), policy, plan)
        assert all(len(e.turns) == turns for e in episodes)


def test_the_best_sibling_goes_on_when_asked_to(policy, domain):
    plan = Plan(turns=3, group=4, per_turn=True, continuation="best")
    for episode in rolled(domain, policy, plan):
        for nodes in episode.turns:
            chosen = next(n for n in nodes if n.on_main_line)
            assert chosen.reaction.score == max(n.reaction.score for n in nodes)


def test_the_best_of_the_history_is_that_of_its_main_line(policy, domain):
    for episode in sampled_episodes(policy, domain):
        best = 0.0
        for nodes in episode.turns:
            assert all(n.best_before == best for n in nodes)
            best = max(best, next(n for n in nodes if n.on_main_line).reaction.score)


def test_same_seed_same_episodes(policy, domain):
    plan = Plan(turns=3, group=4, per_turn=True)
    assert rolled(domain, policy, plan, seed=3) == rolled(domain, policy, plan, seed=3)


def test_episodes_survive_a_file(policy, domain, tmp_path):
    episodes = sampled_episodes(policy, domain)
    save_episodes(episodes, tmp_path / "e.jsonl")
    assert load_episodes(tmp_path / "e.jsonl") == episodes
