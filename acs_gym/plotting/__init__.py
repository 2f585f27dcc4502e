"""Pictures of one simulated sizing, for any circuit folder.

panels.py   which waveforms belong together, from a circuit's metrics
marks.py    how a panel looks, and where on its curves each metric was read
figures.py  whole figures: a sizing with its margins, or every waveform
"""

from acs_gym.plotting.figures import draw, draw_placeholder, draw_waveforms, to_rgb

__all__ = ["draw", "draw_placeholder", "draw_waveforms", "to_rgb"]
