"""ACS-Gym: analog circuit sizing as Gymnasium tasks on real ngspice simulation and a real open PDK.

    import acs_gym, gymnasium
    env = gymnasium.make("ACS-OpAmp-v0")

Importing registers every environment; nothing heavy is loaded until it is used.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from acs_gym import program

program.end_at_once_while_importing()

if TYPE_CHECKING:
    from acs_gym.circuit import CircuitError
    from acs_gym.design import Design, DesignSpace, InvalidDesign, Parameter
    from acs_gym.envs.moves import DeltaAction, Discrete
    from acs_gym.envs.sizing import SizingEnv
    from acs_gym.envs.snapshot import EnvState
    from acs_gym.envs.vector import SizingVectorEnv
    from acs_gym.envs.wrappers import GoalConditioned
    from acs_gym.evaluation import AtCondition, Evaluation, Status
    from acs_gym.pdks import PdkError, PdkNotFound, available_pdks, get_pdk, pdk_names
    from acs_gym.registry import register_circuit
    from acs_gym.session import BudgetExhausted, Session, SimulationMeter
    from acs_gym.simulation.driver import SimulatorNotFound
    from acs_gym.simulation.pool import InProcessSimulator, Simulator, WorkerPool
    from acs_gym.specs import InvalidSpec, Spec, SpecSheet
    from acs_gym.targets import Anchor, TargetsNotFound
    from acs_gym.task import Task, TaskNotFound, make_task, task_ids

__version__ = "0.1.0"

_HOME = {
    "CircuitError": "circuit", "register_circuit": "registry",
    "Design": "design", "DesignSpace": "design", "InvalidDesign": "design", "Parameter": "design",
    "SizingEnv": "envs.sizing", "EnvState": "envs.snapshot", "SizingVectorEnv": "envs.vector",
    "DeltaAction": "envs.moves", "Discrete": "envs.moves", "GoalConditioned": "envs.wrappers",
    "AtCondition": "evaluation", "Evaluation": "evaluation", "Status": "evaluation",
    "PdkError": "pdks", "PdkNotFound": "pdks", "available_pdks": "pdks", "get_pdk": "pdks",
    "pdk_names": "pdks",
    "BudgetExhausted": "session", "Session": "session", "SimulationMeter": "session",
    "SimulatorNotFound": "simulation.driver",
    "InProcessSimulator": "simulation.pool", "Simulator": "simulation.pool",
    "WorkerPool": "simulation.pool",
    "InvalidSpec": "specs", "Spec": "specs", "SpecSheet": "specs",
    "Anchor": "targets", "TargetsNotFound": "targets",
    "Task": "task", "TaskNotFound": "task", "make_task": "task", "task_ids": "task",
}  # fmt: skip

__all__ = [
    "Anchor", "AtCondition", "BudgetExhausted", "CircuitError", "DeltaAction", "Design", "DesignSpace",
    "Discrete", "EnvState", "Evaluation", "GoalConditioned", "InProcessSimulator",
    "InvalidDesign", "InvalidSpec", "Parameter", "PdkError", "PdkNotFound", "Session",
    "SimulationMeter", "Simulator", "SimulatorNotFound", "SizingEnv", "SizingVectorEnv", "Spec",
    "SpecSheet", "Status", "TargetsNotFound", "Task", "TaskNotFound", "WorkerPool",
    "available_pdks", "get_pdk", "make_task", "pdk_names", "register_circuit", "task_ids",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use, so that importing stays quick."""
    if name not in _HOME:
        raise AttributeError(f"module 'acs_gym' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"acs_gym.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# A simulation worker imports this package to simulate, not to make environments; Gymnasium is most
# of its start-up time.
if "ACS_GYM_WORKER" not in os.environ:
    from acs_gym.registry import register_environments

    register_environments()
