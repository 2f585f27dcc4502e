"""Turn-level GRPO: training language models for iterative optimisation, one turn at a time.

TL-GRPO (arXiv 2601.16480) samples a group of actions from each history, scores them at once, and
compares each with its own group; trajectory-level GRPO (arXiv 2402.03300) is the control, on the
same code.

    domain, domains                 what is trained on: text in, scores and text out; circuits and
        an example tokens, tree, packing           token-exact histories; episodes as trees; trees
        as one sequence samplers, rollout               actions drawn; episodes made
    advantage, credit, loss         pure: scores to advantages, advantages to the objective
    policy, sft, learner, loop      the model, its warm start, an update, a run
    checkpoint, distributed         resumed bit for bit; several processes
    train, evaluate, agent          the commands, and the policy on the leaderboard

Importing this package imports no torch.
"""
