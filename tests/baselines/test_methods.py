"""Every registered method passes the conformance suite that third parties are offered, and finds."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from baselines.cma_es import CMAES
from baselines.de import DifferentialEvolution
from baselines.initial import initial_designs
from baselines.random_search import RandomSearch
from baselines.registry import METHODS, Method
from baselines.testing import INTEGERS, MIXED, ConformanceTests, bowl, play

MODELLED = [
    m
    for m in METHODS
    if (m.libraries or m.name in ("composite-ei", "transfer")) and m.name != "cma-es"
]


def small(method: Method):
    """The method, looking less hard: what is checked does not depend on it, how long it takes does."""
    if method.missing:
        pytest.skip(f"needs {method.install}")
    if method.name in ("turbo", "scbo"):
        return functools.partial(method.load(), candidates=64)
    if method.name in ("composite-ei", "transfer"):
        from baselines.composite_ei import Effort as OwnEffort

        effort = OwnEffort(samples=16, raw=32, starts=2, iterations=10)
        return functools.partial(method.load(), effort=effort)
    if method.name.startswith("botorch-"):
        from baselines.acquisition import Effort

        effort = Effort(samples=16, raw=32, starts=2, iterations=10)
        return functools.partial(method.load(), effort=effort)
    return method.load()


class TestEveryMethod(ConformanceTests):
    @pytest.fixture(params=METHODS, ids=lambda m: m.name)
    def method(self, request):
        return small(request.param)


def best(method, space=MIXED, n=20, batch=1):
    return max(e.score for e in play(method, space, n=n, batch=batch))


@pytest.mark.parametrize("method", MODELLED, ids=lambda m: m.name)
def test_a_model_finds_better_designs_than_chance(method):
    assert best(small(method), batch=3) > best(RandomSearch, n=200)


@pytest.mark.parametrize("method", [CMAES, DifferentialEvolution])
@pytest.mark.parametrize("space", [MIXED, INTEGERS])
def test_evolution_gets_close_to_the_top_whatever_the_batch(method, space):
    rng = np.random.default_rng(0)
    top = max(bowl(space, space.sample(rng), 0).score for _ in range(4000))
    for batch in (1, 5):
        assert best(method, space, n=200, batch=batch) > 0.995 * top


def test_cma_starts_from_the_best_initial_design_and_not_from_the_centre():
    initial = initial_designs(MIXED, 6, seed=0)
    method = CMAES(MIXED, seed=0, initial=initial)
    told = [bowl(MIXED, d, 0) for d in method.ask(6)]
    method.tell(told)
    method.ask(1)
    start = MIXED.to_unit(max(told, key=lambda e: e.score).design)
    np.testing.assert_allclose(method._es.mean, np.clip(start, 0.01, 0.99), atol=1e-9)


def test_cma_never_freezes_an_integer():
    method = CMAES(INTEGERS, seed=0, initial=initial_designs(INTEGERS, 4, seed=0))
    play(CMAES, INTEGERS, n=150, optimizer=method)
    spacing = [1 / 3, 1 / 4, 1 / 31]
    assert (method._es.stds > 0.1 * np.array(spacing)).all()
