"""VACASK, a second simulator: unrelated code that measures the same designs again.

An optional extra (`pip install 'acs-gym[vacask]'`). VACASK is GPL, so it is only ever started as a
process, never imported or linked. See docs/second-simulator.md.

    models.py      a BSIM4 card of a PDK as a VACASK model
    deck.py        a testbench and a design as VACASK's input; pure
    process.py     the process and the files it writes
    simulate.py    a program and a design to the metrics that ngspice would give
    compare.py     two sets of metrics, and how far apart they may be; pure
    opinion.py     a design of a task in both simulators
    transistor.py  one transistor as a program, for the noise that docs/noise.md is about
"""

from acs_gym.vacask.compare import ComparedMetric, Tolerance
from acs_gym.vacask.opinion import Opinion, second_opinions
from acs_gym.vacask.process import VacaskNotFound, find_vacask
from acs_gym.vacask.simulate import simulate

__all__ = [
    "ComparedMetric",
    "Opinion",
    "Tolerance",
    "VacaskNotFound",
    "find_vacask",
    "second_opinions",
    "simulate",
]
