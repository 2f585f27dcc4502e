"""What an agent's name means, and how the author of one is helped.

registry.py      names to agents
conformance.py   what is wrong with an agent of any kind, found by running it
analytic.py      the task that this is done on: without ngspice
"""
