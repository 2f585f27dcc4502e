"""Two-stage Miller op-amp."""

from docs.circuit_pages.sheet import Sheet


def draw(s: Sheet) -> None:
    s.rails(top=9, left=0, right=20.5)
    # bias
    s.nfet("bias", 2, 1.5, gate="right")
    s.nfet("tail", 8, 1.5)
    s.nfet("sink", 18, 1.5)
    s.two("ibias", "ib", (2, 9), (2, 3))
    s.wire("ib.b", "bias.d")
    s.wire("ib.b", (3.1, None), "bias.g", "tail.g")
    s.net("nb", (4.5, 1.5), "above")
    s.wire("sink.g", (16.2, None))
    s.net("nb", (16.2, 1.5), "left")
    # first stage
    s.nfet("pair_n", 5.5, 4.5)
    s.nfet("pair_p", 10.5, 4.5, gate="right")
    s.pfet("load_n", 5.5, 7.5, gate="right")
    s.pfet("load_p", 10.5, 7.5)
    s.wire("pair_n.s", (None, 3), (8, None), "tail.d")
    s.wire("pair_p.s", (None, 3), (8, None))
    s.wire("pair_n.d", "load_n.d", (8, None), (None, 7.5))
    s.wire("load_n.g", "load_p.g")
    s.wire("pair_p.d", "load_p.d")
    s.port("inn", "pair_n.g", "left", 0.5)
    s.port("inp", "pair_p.g", "right", 0.5)
    # second stage and compensation
    s.pfet("driver", 18, 7.5)
    s.two("res", "rz", (13.4, 5.5), (15.7, 5.5))
    s.two("cap", "cc", "rz.b", (18, None))
    s.wire("pair_p.d", "rz.a", (None, 7.5), "driver.g")
    s.wire("driver.d", "cc.b", "sink.d")
    s.port("out", "cc.b", "right", 2.0)
    s.to_rail("bias", "tail", "sink", "load_n", "load_p", "driver")
