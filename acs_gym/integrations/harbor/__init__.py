"""Harbor: problems as task folders (`acs-gym export-harbor`), for terminal agents in containers.

    export.py   a problem as a folder
    meter.py    what runs in the container beside the agent's: the tools, and the budget
    verify.py   what scores an answer file: it simulates the design again
    template/   the files of a folder that are the same for every problem

The agent's container has no simulator, only a command that asks the other one, so the budget is not its
to change. The verifier has a container of its own and believes nothing but the design.
"""
