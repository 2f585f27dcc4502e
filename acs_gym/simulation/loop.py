"""The loop gain of a feedback loop where it is, with what loads it: double injection. Pure.

A loop gain found by breaking the loop depends on what then stands in for the missing load. A voltage
source in the unbroken wire is right only while what drives the wire is far lower in impedance than
what the wire drives, and where an input pair's capacitance rivals the compensation capacitor it is
not. Two injections, a voltage in series and then a current into the wire, need no such assumption.

Source: M. Tian, V. Visvanathan, J. Hantgan, K. Kundert, "Striving for small-signal stability",
IEEE Circuits and Devices Magazine 17 (1), 2001.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def loop_gain(
    v_voltage: NDArray[Any],
    i_voltage: NDArray[Any],
    v_current: NDArray[Any],
    i_current: NDArray[Any],
) -> NDArray[Any]:
    """The loop gain at a zero-volt source in the feedback wire, positive at DC; complex, shape (n,).

    The two ends of the wire are the ports of a linear two-port with admittances y11, y12 (the driven
    end), y21, y22 (the driving end). The loop gain is (y12 + y21) / (y11 + y22), so that
    1 + T = sum of all four / (y11 + y22), whose zeros are the poles of the closed loop.

    Args:
        v_voltage, i_voltage: voltage (V) of the source's positive end against ground and current
            (A) through the source from its positive to its negative end, for 1 V in series.
        v_current, i_current: the same for 1 A into the positive end.
    """
    series = (2.0 * i_current - 1.0) * v_voltage - 2.0 * i_voltage * v_current
    gain: NDArray[Any] = (i_current - series) / (series + 1.0 - i_current)
    return gain
