"""The factories that the leaderboard's entry points name.

`--agents llm:my_model.toml` calls `llm("my_model.toml")`, `--agents llm` calls `llm()`, which looks at
the environment. Importing this module imports no library of any model.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from agents.config import LlmConfig

# Id -> the class that a model's replies drive; in `llm-scripted` a procedure replies.
AGENTS = {
    "llm": "agents.llm:LlmAgent",
    "llm-scripted": "agents.llm:LlmAgent",
    "opro": "agents.loops.opro:Opro",
    "ledro": "agents.loops.ledro:Ledro",
    "ado-llm": "agents.loops.ado_llm:AdoLlm",
}


def llm(config: str | None = None) -> Any:
    """Chat model with the simulator as its tool (llm:CONFIG.toml)"""
    return _configured("llm", config)


def opro(config: str | None = None) -> Any:
    """Chat model that is shown the best designs and writes new ones (OPRO)"""
    return _configured("opro", config)


def ledro(config: str | None = None) -> Any:
    """Chat model that narrows the ranges in which TuRBO searches (LEDRO)"""
    return _configured("ledro", config)


def ado_llm(config: str | None = None) -> Any:
    """Chat model and a Gaussian process that propose in turn (ADO-LLM)"""
    return _configured("ado-llm", config)


def llm_scripted() -> Any:
    """A designer's hand procedure in the place of the model: gm/Id, look, adjust"""
    require("openai", "tenacity")
    return _load("agents.scripted.agent:ScriptedAgent")()


def require(*modules: str) -> None:
    """Raises ModuleNotFoundError with the line that installs what is missing."""
    if missing := [m for m in modules if importlib.util.find_spec(m) is None]:
        raise ModuleNotFoundError(
            f"needs {' and '.join(missing)}: pip install 'acs-gym[llm]'", name=missing[0]
        )


def build(name: str, settings: LlmConfig) -> Any:
    """The agent of that id with these settings."""
    return _load(AGENTS[name])(settings)


def _configured(name: str, config: str | None) -> Any:
    require("openai", "tenacity")
    return build(
        name, LlmConfig.from_environment() if config is None else LlmConfig.read(Path(config))
    )


def _load(location: str) -> Any:
    module, _, name = location.partition(":")
    return getattr(importlib.import_module(module), name)
