"""Classical optimisers of circuit sizing, one file a method, all behind ask / tell / recommend.

    protocol.py      what a method is
    initial.py       the designs every method starts from
    failures.py      what a method learns from a simulation, and from one that failed
    levels.py        integers and coarse grids, as a model in the unit cube has to see them
    agent.py         the ask/tell loop, which makes a method an agent of the leaderboard
    registry.py      the methods that exist and what each one needs
    testing.py       checks that any method, ours or yours, must pass

    bayesian.py          data and random stream of the methods with Gaussian processes
    gaussian_process.py  the processes
    metric_models.py     one process a spec, and one for the chance of being measured
    acquisition.py       maximising an acquisition function
    trust_region.py      the trust region of TuRBO and SCBO
    reproducible.py      torch on one thread, seeded
    skopt_wrapper.py, optuna_wrapper.py  two libraries behind the protocol

Nothing here imports an optimisation library before a method that needs it is built.
"""
