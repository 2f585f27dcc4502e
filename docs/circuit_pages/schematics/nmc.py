"""Three-stage op-amp with nested Miller compensation and feedforward."""

from docs.circuit_pages.sheet import Sheet


def draw(s: Sheet) -> None:
    s.rails(top=14, left=0, right=51)
    bias(s)
    first_stage(s)
    second_stage(s)
    output_stage(s)
    s.two("cap", "cm2", (42.4, 5.2), (45.4, 5.2))
    s.wire((40.5, 5.2), "cm2.a")
    s.wire("cm2.b", (47, None))


def second_stage(s: Sheet, out: float = 40.5) -> None:
    """Its current is turned round; its output is drawn at x = `out`."""
    s.pfet("second", 35.5, 12.5)
    s.nfet("turn_r", 35.5, 1.5, gate="right")
    s.nfet("turn_o", out, 1.5)
    s.pfet("pull", out, 12.5)
    s.wire((29.5, 8), (33.5, None), (None, 12.5), "second.g")
    s.net("n2", (30.4, 8), "above")
    s.wire("second.d", "turn_r.d")
    s.wire("turn_r.g", "turn_o.g")
    s.wire((35.5, 3.3), (37.2, None), (None, 1.5))
    s.net("nm", (35.5, 4.5), "left")
    s.wire("pull.d", "turn_o.d")
    s.wire("pull.g", (out - 1.6, None))
    s.net("pb", (out - 1.6, 12.5), "left")
    s.net("n3", (out, 6.6), "left")
    s.to_rail("turn_r", "turn_o", "second", "pull")


def output_stage(s: Sheet) -> None:
    """The driver, the feedforward device and the outer Miller capacitor."""
    s.nfet("driver", 47, 1.5)
    s.pfet("forward", 47, 12.5)
    s.wire("forward.d", "driver.d")
    s.wire("forward.g", (45.4, None))
    s.net("n2", (45.4, 12.5), "left")
    s.wire((40.5, 3.6), (45, None), (None, 1.5), "driver.g")
    s.two("cap", "cm1", (42.4, 8.6), (45.4, 8.6))
    s.wire("cm1.b", (47, None))
    s.wire("cm1.a", (41.6, None))
    s.net("n2", (41.6, 8.6), "left")
    s.port("out", (47, 7), "right", 2.0)
    s.to_rail("driver", "forward")


def bias(s: Sheet) -> None:
    """The reference current, its PMOS copies, and the gates of the NMOS sinks and cascodes."""
    s.pfet("bias", 2, 12.5, gate="right")
    s.pfet("bias_a", 6.5, 12.5)
    s.pfet("bias_b", 11.5, 12.5)
    s.two("ibias", "ib", (2, 9), (2, 0))
    s.wire("bias.d", "ib.a")
    s.wire("bias.g", "bias_a.g")
    s.wire((2, 10.6), (4.2, None), (None, 12.5))
    s.net("pb", (4.2, 12.5), "above")
    s.wire("bias_b.g", (9.9, None))
    s.net("pb", (9.9, 12.5), "left")
    s.nfet("nshift", 6.5, 1.5)
    s.wire("bias_a.d", "nshift.d")
    s.wire("nshift.g", (None, 3), (6.5, None))
    s.net("vcn", (6.5, 8), "left")
    s.nfet("ncas_r", 11.5, 5)
    s.nfet("sink_r", 11.5, 1.5)
    s.wire("ncas_r.g", (9.9, None))
    s.net("vcn", (9.9, 5), "above")
    s.wire("ncas_r.s", "sink_r.d")
    s.net("nr", (11.5, 3.2), "right")
    s.wire("bias_b.d", "ncas_r.d")
    s.wire("sink_r.g", (9.4, None), (None, 7.2), (11.5, None))
    s.net("nb", (11.5, 8.4), "left")
    s.to_rail("bias", "bias_a", "bias_b", "nshift", "sink_r")


def first_stage(s: Sheet) -> None:
    """The pair in a well of its own, folded into NMOS cascodes, with the PMOS mirror load."""
    s.pfet("tail", 18.5, 12.5)
    s.wire("tail.g", (16.9, None))
    s.net("pb", (16.9, 12.5), "left")
    s.pfet("pair_n", 16, 8.5, bulk=True, text=(0.2, -1.3))
    s.pfet("pair_p", 21, 8.5, gate="right", bulk=True, text=(-0.2, -1.3))
    s.wire("pair_n.s", (None, 10.4), (18.5, None), "tail.d")
    s.wire("pair_p.s", (None, 10.4), (18.5, None))
    s.wire("pair_n.b", (18.5, None), (None, 10.4))
    s.wire("pair_p.b", (18.5, None))
    s.port("inn", "pair_n.g", "left", 0.5)
    s.port("inp", "pair_p.g", "right", 0.5)
    left, right = 24.5, 29.5
    for x, half, gate in ((left, "n", "right"), (right, "p", "left")):
        s.pfet(f"load_{half}", x, 12.5, gate)
        s.nfet(f"ncas_{half}", x, 5, gate)
        s.nfet(f"sink_{half}", x, 1.5, gate)
        s.wire(f"load_{half}.d", f"ncas_{half}.d")
        s.wire(f"ncas_{half}.s", f"sink_{half}.d")
    for device, net in {"load": "n1", "ncas": "vcn", "sink": "nb"}.items():
        s.wire(f"{device}_n.g", f"{device}_p.g")
        if net != "n1":
            s.net(net, (26.8, s.at(f"{device}_n.g")[1]), "above")
    s.wire((left, 10.6), (26.8, None), (None, 12.5))
    s.net("n1", (left, 8), "right")
    s.wire("pair_n.d", (None, 3.7), (left, None))
    s.wire("pair_p.d", (None, 2.9), (right, None))
    s.net("fn", (22.5, 3.7), "above")
    s.net("fp", (27.2, 2.9), "below")
    s.to_rail("tail", "sink_n", "sink_p", "load_n", "load_p")
