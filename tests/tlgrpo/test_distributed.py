"""Two processes that train together do what one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from tests.tlgrpo.conftest import give_advantages, sampled_episodes, settings
from tlgrpo.learner import update
from tlgrpo.tree import save_episodes

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, torch
from pathlib import Path
from tests.tlgrpo.conftest import SMALL, settings
from tlgrpo import distributed
from tlgrpo.domains.ballistics import Ballistics
from tlgrpo.learner import update
from tlgrpo.policy import tiny_policy
from tlgrpo.tree import load_episodes
torch.set_num_threads(1)
distributed.start()
folder = Path(sys.argv[1])
policy = tiny_policy(SMALL, Ballistics().grammar(), seed=0)
share = load_episodes(folder / 'episodes.jsonl')[distributed.rank()::distributed.size()]
optimizer = torch.optim.SGD(policy.model.parameters(), lr=0.5)
found = update(policy.model, optimizer, share, settings(), pad=policy.codec.pad)
if distributed.rank() == 0:
    torch.save((policy.model.state_dict(), found.loss, found.tokens), folder / 'together.pt')
distributed.stop()
"""


def torchrun(script: Path, *arguments: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",
        str(script), *arguments,
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_gradient_of_two_processes_is_that_of_one(policy, domain, tmp_path):
    # An odd number, so that the shares differ.
    episodes = sampled_episodes(policy, domain, problems=5)
    give_advantages(episodes)
    save_episodes(episodes, tmp_path / "episodes.jsonl")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    torchrun(script, str(tmp_path))
    weights, loss, tokens = torch.load(tmp_path / "together.pt", weights_only=False)

    optimizer = torch.optim.SGD(policy.model.parameters(), lr=0.5)
    alone = update(policy.model, optimizer, episodes, settings(), pad=policy.codec.pad)
    assert abs(alone.loss - loss) < 1e-6 and alone.tokens == tokens
    for name, value in policy.model.state_dict().items():
        assert torch.allclose(value, weights[name], atol=1e-6), name
