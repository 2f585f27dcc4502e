"""Common-source stage with a current-mirror load."""

from docs.circuit_pages.sheet import Sheet


def draw(s: Sheet) -> None:
    s.rails(top=8, left=0, right=10.5)
    s.pfet("load_ref", 2.5, 6.5, gate="right")
    s.pfet("load_out", 7.5, 6.5)
    s.nfet("driver", 7.5, 1.5)
    s.two("ibias", "ib", (2.5, 4), (2.5, 0))
    s.wire("load_ref.d", "ib.a", (5, None), (None, 6.5))
    s.wire("load_ref.g", "load_out.g")
    s.net("pb", (5, 6.5), "above")
    s.wire("load_out.d", "driver.d")
    s.port("in", "driver.g", "left", 1)
    s.port("out", (7.5, 4), "right", 2.3)
    s.to_rail("load_ref", "load_out", "driver")
