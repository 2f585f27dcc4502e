"""Cells on a Ray cluster of three nodes, all on this machine, one of which is lost."""

from __future__ import annotations

import os
import signal

import pytest

# Before Ray is imported: loopback only, and nothing is reported to anybody.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from leaderboard.cells.store import Store
from leaderboard.errors import LeaderboardError
from leaderboard.running.backends import find_backend
from tests.leaderboard.test_backends import (
    AGENTS,
    Heard,
    attempts,
    interrupt_after,
    plan,
    store_in,
    wait_until,
)  # fmt: skip
from tests.leaderboard.test_run import alive, children_of, comparable

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    yield cluster
    cluster.shutdown()


def test_a_node_is_lost_and_every_cell_is_done_once(tmp_path, cluster):
    lost = cluster.add_node(wait=False, **NODE)
    cluster.add_node(wait=False, **NODE)
    cluster.wait_for_nodes()
    here, there = store_in(tmp_path / "here"), store_in(tmp_path / "there")
    backend = f"ray:address={cluster.address}"

    # The folder behind a descriptor of this process is another one, or none, for the nodes.
    descriptor = os.open(there.folder, os.O_RDONLY)
    hidden = Store(there.folder.__class__(f"/proc/self/fd/{descriptor}"))
    with pytest.raises(LeaderboardError, match=r"node .* cannot use .*file system they share"):
        find_backend(backend)(hidden, None, Heard()).run(plan("sobol"))
    os.close(descriptor)

    def lose_a_node(heard):
        """Once every node is at a cell, so that one cell is lost with the node."""
        if len(set(heard.keys("advanced"))) == 3 and not (there.folder / "gate").exists():
            before = [pid for pids in attempts(there).values() for pid in pids]
            cluster.remove_node(lost, allow_graceful=False)
            wait_until(lambda: not all(alive(pid) for pid in before))
            (there.folder / "gate").touch()

    cells = plan(f"{AGENTS}:Gated", repetitions=3)
    cells += plan("stdio:sh examples/third_party/random_agent.sh", "tests.leaderboard.agents:Talks")
    heard = Heard(lose_a_node)
    run = find_backend(backend)(there, None, heard)
    run.run(cells)
    assert run.failures == []
    assert there.finished() == sorted(c.key for c in cells)
    assert sorted(heard.keys("finished")) == there.finished()
    assert sorted(len(pids) for pids in attempts(there).values()) == [1, 1, 2]

    (here.folder / "gate").touch()
    find_backend("local")(here, 2, Heard()).run(cells)
    assert comparable(here.folder) == comparable(there.folder)


def test_interrupted_it_leaves_nothing_behind(tmp_path):
    store = store_in(tmp_path / "out")
    handler = signal.getsignal(signal.SIGTERM)
    before = set(children_of(os.getpid()))
    with pytest.raises(KeyboardInterrupt):
        find_backend("ray")(store, 2, Heard(interrupt_after(2))).run(
            plan(f"{AGENTS}:Gated", repetitions=3)
        )
    pids = [pid for pids in attempts(store).values() for pid in pids]
    assert len(pids) == 2
    wait_until(lambda: not any(alive(pid) for pid in pids))
    wait_until(lambda: not any(alive(p) for p in set(children_of(os.getpid())) - before))
    assert store.finished() == [] and not list(store.folder.glob(".acs-gym-run-*"))
    assert signal.getsignal(signal.SIGTERM) == handler
