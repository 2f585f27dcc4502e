"""Simulations that nobody is charged for; all others go through a `Session`."""

from __future__ import annotations

from collections.abc import Sequence

from acs_gym.simulation.engine import Outcome
from acs_gym.simulation.pool import Job, Simulator, WorkerPool


def simulate_uncharged(jobs: Sequence[Job], simulator: Simulator | None = None) -> list[Outcome]:
    """The outcome of each job, in order, beside every meter: no agent that is compared gets them.

    This is the only way to the simulator without a `Session`. Who takes it, and why it is not charged:

    * `Session.operating_points`: more of a design that this session was charged for.
    * `render` of an environment (`acs_gym.envs.env_session`): waveforms of designs that were paid for, to
      be drawn.
    * `acs-gym plot` and the circuits' pages (`docs.circuit_pages`): a picture of one sizing for a person,
      in which no optimiser takes part.
    * `acs_gym.difficulty` (`acs-gym check`) and `benchmarks.references`: they measure a task before
      anybody is given it; what they find is published with it.
    * `acs_gym.sensitivity`, `acs-gym size` and `explain`: what is said of a design to its
      owner, after the run.
    * `acs_gym.gmid`: tables of single transistors, which are public knowledge of a process: no design of
      a task is in them, and every agent may look them up.
    * `acs-gym doctor`: whether the installation gives the numbers it should.
    * `acs_gym.vacask.opinion`: the same design in a second simulator, after the run.
    * `leaderboard.verify`, where it asks an agent again: the operating points that it looked at.
    * `leaderboard.verify --robust`: a winner at perturbed conditions, after the agent has ended.
    * `tlgrpo.bank`: designs to learn from, of training circuits only, what optimisers try for training
      targets among them; the bank counts them.
    * `tlgrpo.domains` (`circuits`, `sizing`, `chat_circuits`): training. Its meter is the rollouts
      of the run's configuration, equal actions are simulated once, and what was learnt is compared
      through sessions.
    * `benchmarks` of the simulator, of PDKs and of conditions: they measure ngspice itself.

    A design that a result claims is simulated again through a session of its own: it is not in the list.

    Args:
        simulator: what runs them, not closed here; None starts a worker process of its own for these jobs
            and ends it.

    Raises SimulatorNotFound.
    """
    if simulator is not None:
        return simulator.run(jobs)
    with WorkerPool(1) as pool:
        return pool.run(jobs)
