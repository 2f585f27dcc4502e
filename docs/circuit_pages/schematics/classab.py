"""Class-AB rail-to-rail op-amp."""

from docs.circuit_pages.sheet import Sheet

TOP = 17.0
P_ROW, N_ROW = 15.5, 1.5


def draw(s: Sheet) -> None:
    s.rails(top=TOP, left=0, right=73)
    bias(s)
    stacks(s)
    pairs(s)
    summing_circuit(s)
    output_stage(s)


def bias(s: Sheet) -> None:
    """The reference current, its copies, and the gates of the cascodes."""
    s.nfet("nbias", 2, N_ROW, gate="right")
    s.two("ibias", "ib", (2, TOP), (2, 3.4))
    s.wire("ib.b", "nbias.d")
    s.wire("ib.b", (3.4, None), (None, N_ROW))
    s.nfet("nsink_a", 7, N_ROW)
    s.wire("nbias.g", "nsink_a.g")
    s.net("nb", (4.6, N_ROW), "above")
    s.pfet("pbias", 7, P_ROW, gate="right")
    s.wire("pbias.d", "nsink_a.d")
    s.pfet("psrc_b", 12, P_ROW)
    s.wire("pbias.g", "psrc_b.g")
    s.wire((7, 13.4), (9.2, None), (None, P_ROW))
    s.net("pb", (9.8, P_ROW), "above")
    s.nfet("nshift", 12, N_ROW)
    s.wire("psrc_b.d", "nshift.d")
    s.wire("nshift.g", (None, 3.4), (12, None))
    s.net("vcn", (12, 9), "left")
    s.pfet("pshift", 17, P_ROW)
    s.nfet("nsink_b", 17, N_ROW)
    s.wire("pshift.d", "nsink_b.d")
    s.wire("pshift.g", (None, 13.4), (17, None))
    s.net("vcp", (17, 9), "left")
    s.net("nb", "nsink_b.g", "left")
    s.to_rail("nbias", "nsink_a", "pbias", "psrc_b", "nshift", "pshift", "nsink_b")


def stacks(s: Sheet) -> None:
    """Two diodes from each rail, for the gates of the floating devices."""
    s.pfet("psrc_c", 22, P_ROW)
    s.net("pb", "psrc_c.g", "left")
    s.nfet("ninner", 22, 5.5)
    s.nfet("nouter", 22, N_ROW)
    s.wire("psrc_c.d", "ninner.d")
    s.wire("ninner.g", (None, 7.4), (22, None))
    s.wire("ninner.s", "nouter.d")
    s.wire("nouter.g", (None, 3.4), (22, None))
    s.net("abn", (22, 9.5), "left")
    s.net("xn", (22, 4), "right")
    s.pfet("pouter", 27, P_ROW)
    s.pfet("pinner", 27, 11.5, bulk=True, text=(0.2, -1.0))
    s.nfet("nsink_c", 27, N_ROW)
    s.net("nb", "nsink_c.g", "left")
    s.wire("pouter.d", "pinner.s")
    s.wire("pouter.g", (None, 13.6), (27, None))
    s.wire("pinner.b", (28.2, None), (None, 13.1), (27, None))
    s.wire("pinner.g", (None, 9.6), (27, None))
    s.wire("pinner.d", "nsink_c.d")
    s.net("xp", (27, 14.1), "right")
    s.net("abp", (27, 7.5), "left")
    s.to_rail("psrc_c", "nouter", "pouter", "nsink_c")


def pairs(s: Sheet) -> None:
    """The PMOS pair above, in a well of its own, and the NMOS pair below."""
    left, middle, right = 34, 36.75, 39.5
    s.pfet("ptail", middle, P_ROW)
    s.net("pb", "ptail.g", "left")
    s.nfet("ntail", middle, N_ROW)
    s.net("nb", "ntail.g", "left")
    s.pfet("ppair_n", left, 11.5, bulk=True, text=(0.2, -1.3))
    s.pfet("ppair_p", right, 11.5, gate="right", bulk=True, text=(-0.2, -1.3))
    s.nfet("npair_n", left, 5.5)
    s.nfet("npair_p", right, 5.5, gate="right")
    for name in ("ppair_n", "ppair_p"):
        s.wire(f"{name}.s", (None, 13.4), (middle, None))
        s.wire(f"{name}.b", (middle, None), (None, 13.4))
    s.wire("ptail.d", (None, 13.4))
    for name in ("npair_n", "npair_p"):
        s.wire(f"{name}.s", (None, 3.4), (middle, None))
    s.wire("ntail.d", (None, 3.4))
    s.net("tp", (middle, 13.9), "right")
    s.net("tn", (middle, 3.0), "right")
    for port, half, side in (("inn", "n", "left"), ("inp", "p", "right")):
        s.wire(f"ppair_{half}.g", f"npair_{half}.g")
        s.port(port, (s.at(f"ppair_{half}.g")[0], 8.5), side, 0.6)
    s.net("pl", "npair_n.d", "above")
    s.net("pr", "npair_p.d", "above")
    s.wire("ppair_n.d", (None, 9.7))
    s.wire("ppair_p.d", (None, 9.7))
    s.net("nl", (left, 9.7), "below")
    s.net("nr", (right, 9.7), "below")
    s.to_rail("ptail", "ntail")


def summing_circuit(s: Sheet) -> None:
    """Two cascoded mirrors, and between them the floating source and the class-AB control."""
    left, right = 47, 58
    for x, half, gate in ((left, "l", "right"), (right, "r", "left")):
        s.pfet(f"pmir_{half}", x, P_ROW, gate)
        s.pfet(f"pcas_{half}", x, 12.3, gate)
        s.nfet(f"ncas_{half}", x, 4.7, gate)
        s.nfet(f"nmir_{half}", x, N_ROW, gate)
        s.wire(f"pmir_{half}.d", f"pcas_{half}.s")
        s.wire(f"ncas_{half}.s", f"nmir_{half}.d")
        s.nfet(f"nfloat_{half}", x - 2.2, 8.5)
        s.pfet(f"pfloat_{half}", x + 2.2, 8.5, gate="right", bulk=True, text=(-0.2, -1.3))
        s.net("abn", f"nfloat_{half}.g", "left")
        s.net("abp", f"pfloat_{half}.g", "right")
        s.wire(f"nfloat_{half}.d", (None, 10.4), (x + 2.2, None), f"pfloat_{half}.s")
        s.wire(f"nfloat_{half}.s", (None, 6.6), (x + 2.2, None), f"pfloat_{half}.d")
        s.wire(f"pfloat_{half}.b", (x + 1.1, None), (None, 10.4))
        s.wire(f"pcas_{half}.d", (None, 10.4))
        s.wire(f"ncas_{half}.d", (None, 6.6))
    s.net("pl", (left, 13.9), "left")
    s.net("pr", (right, 13.9), "right")
    s.net("nl", (left, 3.1), "left")
    s.net("nr", (right, 3.1), "right")
    for device, net, y in (("pcas", "vcp", 12.3), ("ncas", "vcn", 4.7)):
        s.wire(f"{device}_l.g", f"{device}_r.g")
        s.net(net, (53.5, y), "above")
    s.wire("pmir_l.g", "pmir_r.g")
    s.wire("nmir_l.g", "nmir_r.g")
    s.wire((49.2, 10.4), (52, None), (None, P_ROW))
    s.wire((49.2, 6.6), (52, None), (None, N_ROW))
    s.net("gpl", (53.5, P_ROW), "above")
    s.net("gnl", (53.5, N_ROW), "above")
    s.to_rail("pmir_l", "pmir_r", "nmir_l", "nmir_r")


def output_stage(s: Sheet) -> None:
    """The push-pull output and its Miller capacitors."""
    s.pfet("pout", 70, 13.5)
    s.nfet("nout", 70, 3.5)
    s.wire("pout.d", "nout.d")
    s.wire((60.2, 10.4), (64, None), (None, 13.5), "pout.g")
    s.wire((60.2, 6.6), (64, None), (None, 3.5), "nout.g")
    s.net("gp", (62.2, 10.4), "above")
    s.net("gn", (62.2, 6.6), "below")
    s.two("cap", "cp", (65.4, 10.4), (68.4, 10.4))
    s.two("cap", "cn", (65.4, 6.6), (68.4, 6.6))
    for name in ("cp", "cn"):
        s.wire(f"{name}.a", (64, None))
        s.wire(f"{name}.b", (70, None))
    s.port("out", (70, 8.5), "right", 1.6)
    s.to_rail("pout", "nout")
