"""Turn-level GRPO: training language models for iterative optimisation, one turn at a time.

TL-GRPO (arXiv 2601.16480) samples a group of actions from each history, scores them at once, and
compares each with its own group; trajectory-level GRPO (arXiv 2402.03300) is the control, on the
same code.

    config                  everything that decides a run, one record
    domain                  the protocol of what is trained on: text in, scores and text out
    domains/                circuits, any circuit folder in one vocabulary (`sizing`), circuits as
                            the `llm` agent talks of them or in brief, a throw at a target
    tokens                  text to token ids and back, where that is exact
    tree                    an episode as a tree of sampled actions
    samplers/               who samples actions: the model here, a vLLM server, a script
    rollout                 episodes: actions sampled, simulated and put into trees
    advantage               scores to advantages
    credit                  advantages put into trees: which actions are compared
    packing                 a tree as one sequence, siblings apart
    loss                    the clipped objective on log-probabilities
    policy                  the model and the way it reads and writes
    sft                     its warm start, from demonstrations
    designs, bank           designs of training circuits, simulated and kept; what makes them
    aimed                   designs that a surrogate aims at targets
    labels, brief_labels    what a policy should have done, known in hindsight; the same of a chat model
    hindsight               a warm start from banks, for the domain `sizing`
    onpolicy                histories that the policy makes for it
    memory                  what training circuits suggest, rivals that only remember, clustered intervals
    attention               attention by blocks of queries, quicker on a CPU
    likelihood              log-probabilities under a large vocabulary, a few rows at a time
    learner                 log-probabilities of packed trees, and an update
    loop                    a run, from problems to updates, until the simulations are spent
    alarms                  what says early that a run goes wrong
    checkpoint              a run as files, resumed to the same bits
    distributed             several processes that train one policy
    engines/                the same training on TRL and on verl
    train, evaluate         the two commands
    agent                   a trained policy as an agent of the leaderboard
    pretrained              a policy as three files, and the package's own
    smollm, merged          a small language model from PyPI; a trained one as a folder for any server
    start                   a policy first, then an optimiser
    entry                   its factory, which imports no torch

Importing this package imports no torch.
"""

import acs_gym  # noqa: F401  # First of all: from here on Ctrl-C ends a program of ours quietly.
