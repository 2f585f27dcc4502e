"""Classical optimisers of circuit sizing, one file a method, all behind ask / tell / recommend.

    protocol.py   what a method is
    initial.py    the designs every method starts from
    failures.py   what a method learns from a simulation that failed
    agent.py      the ask/tell loop, which makes a method an agent of the leaderboard
    registry.py   the methods that exist and what each one needs
    testing.py    checks that any method, ours or yours, must pass

Nothing here imports an optimisation library before a method that needs it is built.
"""
