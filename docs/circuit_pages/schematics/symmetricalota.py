"""Symmetrical (current-mirror) OTA."""

from docs.circuit_pages.sheet import Sheet


def draw(s: Sheet) -> None:
    s.rails(top=12, left=0, right=24)
    # bias
    s.nfet("bias", 2, 1.5, gate="right")
    s.two("ibias", "ib", (2, 12), (2, 3))
    s.wire("ib.b", "bias.d")
    s.wire("ib.b", (3.1, None), "bias.g")
    s.net("nb", "bias.g", "right")
    # pair and its diodes
    outer_left, left, middle, right, outer_right = 6.8, 10.6, 13.5, 16.4, 20.2
    s.nfet("tail", middle, 3.6)
    s.wire("tail.g", (12, None))
    s.net("nb", (12, 3.6), "left")
    for x, half, outer in ((left, "n", "left"), (right, "p", "right")):
        s.nfet(f"pair_{half}", x, 6.5, outer)
        s.pfet(f"mirror_{half}", x, 10.5, outer)
        s.wire(f"pair_{half}.s", (None, 5), (middle, None))
        s.wire(f"pair_{half}.d", f"mirror_{half}.d")
        s.port(f"in{half}", f"pair_{half}.g", outer, 0.4)
    s.wire("tail.d", (None, 5))
    s.wire("mirror_n.d", (8.8, None), (None, 10.5))
    s.wire("mirror_p.d", (18.2, None), (None, 10.5))
    # their copies, and the mirror that turns one of them round
    s.pfet("mirror_d", outer_left, 10.5, gate="right")
    s.pfet("mirror_u", outer_right, 10.5)
    s.nfet("sink_n", outer_left, 1.5, gate="right")
    s.nfet("sink_p", outer_right, 1.5)
    s.wire("mirror_d.g", "mirror_n.g")
    s.wire("mirror_u.g", "mirror_p.g")
    s.wire("mirror_d.d", "sink_n.d", (8.8, None), (None, 1.5))
    s.wire("mirror_u.d", "sink_p.d")
    s.wire("sink_n.g", "sink_p.g")
    s.port("out", (outer_right, 5), "right", 2.6)
    s.to_rail("bias", "tail", "sink_n", "sink_p")
    s.to_rail("mirror_n", "mirror_p", "mirror_d", "mirror_u")
