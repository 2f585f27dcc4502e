"""Three-stage op-amp with damping-factor control."""

from docs.circuit_pages.schematics.nmc import bias, first_stage, second_stage
from docs.circuit_pages.sheet import Sheet


def draw(s: Sheet) -> None:
    s.rails(top=14, left=0, right=58)
    bias(s)
    first_stage(s)
    second_stage(s, out=41.5)
    damping_stage(s)
    output_stage(s)


def damping_stage(s: Sheet) -> None:
    """An inverter at the output of the second stage, with a capacitor across it."""
    s.pfet("hold", 47.5, 12.5)
    s.nfet("damp", 47.5, 1.5)
    s.wire("hold.g", (45.9, None))
    s.net("pb", (45.9, 12.5), "left")
    s.wire("hold.d", "damp.d")
    s.net("nd", (47.5, 8), "right")
    s.wire((41.5, 3.6), (45.5, None), (None, 1.5), "damp.g")
    s.two("cap", "cm2", (46.2, 5.6), (43.2, 5.6))
    s.wire((41.5, 5.6), "cm2.b")
    s.wire("cm2.a", (47.5, None))
    s.to_rail("hold", "damp")


def output_stage(s: Sheet) -> None:
    """The driver, the feedforward device and the Miller capacitor."""
    s.nfet("driver", 54, 1.5)
    s.pfet("forward", 54, 12.5)
    s.wire("forward.d", "driver.d")
    s.wire("forward.g", (52.4, None))
    s.net("n2", (52.4, 12.5), "left")
    s.wire("driver.g", (52.4, None))
    s.net("n3", (52.4, 1.5), "left")
    s.two("cap", "cm1", (50.4, 8.6), (53.2, 8.6))
    s.wire("cm1.b", (54, None))
    s.wire("cm1.a", (49.8, None))
    s.net("n2", (49.8, 8.6), "left")
    s.port("out", (54, 7), "right", 2.0)
    s.to_rail("driver", "forward")
