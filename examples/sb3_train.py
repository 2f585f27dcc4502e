"""Stable-Baselines3 on a task: PPO at its score, or SAC with hindsight replay at sampled targets.

    pip install 'acs-gym[sb3]'
    python examples/sb3_train.py --algorithm ppo --steps 5000
    python examples/sb3_train.py --algorithm sac-her --steps 5000

One step is one simulation. PPO learns a sizing of the task's fixed targets. SAC is to size for
targets that change with each episode, moving the design that it has; hindsight replay learns from
every miss as if what it reached had been asked for.
"""

import argparse

import gymnasium
from stable_baselines3 import PPO, SAC, HerReplayBuffer
from stable_baselines3.common.base_class import BaseAlgorithm

from acs_gym import DeltaAction, GoalConditioned


def ppo(arguments: argparse.Namespace) -> BaseAlgorithm:
    """PPO on the ordinary environment: an action is a design, its reward the score."""
    env = gymnasium.make(arguments.task, pdk=arguments.pdk)
    n_steps = min(128, arguments.steps)  # A longer rollout than the run would be simulated anyway.
    # Nothing of a design is left in the next turn, and a future to look forward to would make
    # ending an episode, which is what meeting every spec does, a loss.
    return PPO(
        "MultiInputPolicy", env, gamma=0.0, n_steps=n_steps, batch_size=min(64, n_steps),
        learning_rate=3e-3, policy_kwargs={"log_std_init": -0.5}, seed=arguments.seed,
    )  # fmt: skip


def sac_her(arguments: argparse.Namespace) -> BaseAlgorithm:
    """SAC on the goal-conditioned one: targets are the goal, an action changes the design."""
    env = gymnasium.make(arguments.task, pdk=arguments.pdk, specs="sampled")
    # Sparse, because a relabelled goal is then met or not, which is what hindsight is about.
    env = GoalConditioned(DeltaAction(env, start="random"), reward="sparse")
    # Nothing can be relabelled before the first episode has ended.
    starts = max(env.unwrapped.max_turns, min(200, arguments.steps // 2))
    return SAC(
        "MultiInputPolicy", env, replay_buffer_class=HerReplayBuffer, learning_starts=starts,
        seed=arguments.seed,
    )  # fmt: skip


def reached(model: BaseAlgorithm, episodes: int, seed: int) -> tuple[int, float]:
    """Episodes in which the policy met every spec, and the mean of their best scores."""
    env = model.get_env().envs[0]
    solved, best = 0, 0.0
    for episode in range(episodes):
        observation, info = env.reset(seed=seed + episode)
        over = False
        while not over:
            action, _ = model.predict(observation, deterministic=True)
            observation, _, terminated, truncated, info = env.step(action)
            over = terminated or truncated
        solved += terminated
        best += info["best_score"] / episodes
    return solved, best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algorithm", choices=["ppo", "sac-her"], default="ppo")
    parser.add_argument("--steps", type=int, default=5000, help="simulations to train with")
    parser.add_argument("--episodes", type=int, default=10, help="episodes to judge the policy by")
    parser.add_argument("--task", default="ACS-OTA5T-v0")
    parser.add_argument("--pdk", default="sky130")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    model = {"ppo": ppo, "sac-her": sac_her}[arguments.algorithm](arguments)
    for moment in ("before", "after"):
        if moment == "after":
            model.learn(arguments.steps)
        solved, best = reached(model, arguments.episodes, arguments.seed + 1000)
        print(
            f"{moment} {model.num_timesteps} steps: every spec met in {solved} of "
            f"{arguments.episodes} episodes, best score {best:.3f} on average"
        )


if __name__ == "__main__":
    main()
