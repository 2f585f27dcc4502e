"""The gm/Id method in a handful of functions: from a chosen transconductance efficiency to a width.

One equation covers weak to strong inversion, that of the EKV model (Enz, Krummenacher, Vittoz, Analog
Integrated Circuits and Signal Processing 1995), in the inversion coefficient IC = Id / (I0·W/L):

    gm/Id = 1/(n·Ut) · 2/(1 + sqrt(1 + 4·IC))

How to size with it: Silveira, Flandre, Jespers, JSSC 1996; Jespers, Murmann, Systematic Design of Analog
CMOS Circuits, Cambridge 2017. All voltages are magnitudes, so that both polarities read alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

# Of a bulk CMOS technology of about 130 nm, at 27 °C; rounded, typical, and calibrated by simulation.
SLOPE_FACTOR = 1.3
THERMAL_VOLTAGE = 0.0259
TECHNOLOGY_CURRENT: Mapping[str, float] = {"nfet": 0.5e-6, "pfet": 0.15e-6}
HIGHEST_EFFICIENCY = 1.0 / (SLOPE_FACTOR * THERMAL_VOLTAGE)


def efficiency(ic: float) -> float:
    """gm/Id in 1/V at an inversion coefficient > 0."""
    return HIGHEST_EFFICIENCY * 2.0 / (1.0 + math.sqrt(1.0 + 4.0 * ic))


def inversion(gm_id: float) -> float:
    """The inversion coefficient at which gm/Id (1/V) is reached.

    Raises ValueError for what no transistor reaches.
    """
    if not 0 < gm_id < HIGHEST_EFFICIENCY:
        raise ValueError(
            f"gm/Id is between 0 and 1/(n·Ut) = {HIGHEST_EFFICIENCY:.3g} 1/V, got {gm_id:g}"
        )
    ratio = HIGHEST_EFFICIENCY / gm_id
    return ratio * (ratio - 1.0)


def efficiency_slope(ic: float) -> float:
    """d ln(gm/Id) / d ln(IC): 0 in weak inversion, -1/2 in strong inversion."""
    return -0.5 * (1.0 - 1.0 / math.sqrt(1.0 + 4.0 * ic))


def overdrive(ic: float) -> float:
    """Gate-source voltage above threshold, V, of a saturated device; negative in weak inversion."""
    root = math.sqrt(ic)
    # log(exp(x) - 1) that neither overflows nor cancels.
    return 2.0 * SLOPE_FACTOR * THERMAL_VOLTAGE * (root + math.log(-math.expm1(-root)))


def inversion_at(overdrive_v: float) -> float:
    """The inversion coefficient at an overdrive in V; what `overdrive` maps back."""
    x = overdrive_v / (2.0 * SLOPE_FACTOR * THERMAL_VOLTAGE)
    root = x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x))
    return root * root


def saturation_voltage(ic: float) -> float:
    """Drain-source voltage, V, that keeps a device in saturation."""
    return THERMAL_VOLTAGE * (2.0 * math.sqrt(ic + 0.25) + 3.0)
