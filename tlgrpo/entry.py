"""The factory that the leaderboard's entry point names; importing it imports no torch."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any


def agent(run: str | None = None) -> Any:
    """Policy trained by TL-GRPO or GRPO (tlgrpo:RUN, or tlgrpo:RUN+METHOD to go on with a method)"""
    needed = ("torch", "transformers", "tenacity")
    if missing := [m for m in needed if importlib.util.find_spec(m) is None]:
        raise ModuleNotFoundError(
            f"needs {' and '.join(missing)}: pip install 'acs-gym[train]'", name=missing[0]
        )
    if not run:
        raise ValueError("which policy? Write tlgrpo:RUN, the folder of a training run")
    folder, plus, method = run.rpartition("+")
    if plus and not Path(run).exists():
        from tlgrpo.start import PolicyStart

        return PolicyStart(folder, method)
    from tlgrpo.agent import TlgrpoAgent

    return TlgrpoAgent(run)
