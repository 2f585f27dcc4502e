"""How the pages' pictures are written."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt


def save(figure: plt.Figure, path: Path) -> None:
    """Write an SVG, and close the figure. The same figure is the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with plt.rc_context({"svg.hashsalt": "acs-gym"}):
        figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
