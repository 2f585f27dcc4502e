"""Pictures of one simulated sizing, for any circuit folder.

panels.py   which waveforms belong together, from a circuit's metrics
curves.py   a panel as plain numbers, for those who draw it elsewhere
marks.py    how a panel looks, and where on its curves each metric was read
figures.py  whole figures: a sizing with its margins, or every waveform
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acs_gym.plotting.figures import draw, draw_placeholder, draw_waveforms, to_rgb

__all__ = ["draw", "draw_placeholder", "draw_waveforms", "to_rgb"]


def __getattr__(name: str) -> Any:
    # Only when something is drawn: panels and curves are used where matplotlib's import would cost
    # more than the simulation that they are of.
    if name in __all__:
        from acs_gym.plotting import figures

        return getattr(figures, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
