"""Where device models come from, and which device a line of a netlist becomes.

A PDK is two pure questions: its devices at a corner, and a digest of everything that decides a
result. Adding one is a `Pdk` subclass and an entry point, in a package of its own: docs/pdks.md.

base.py           what a PDK, a device and its parts are
spice_library.py  a distributed library's text as records
flatten.py        a distributed subcircuit as the parts of a device
resolved.py       PDKs that are read from a folder and resolved device by device
"""

from acs_gym.pdks.base import Device, Part, Pdk, PdkError, PdkNotFound, Signature
from acs_gym.pdks.registry import available_pdks, get_pdk, pdk_names, signatures

__all__ = [
    "Device", "Part", "Pdk", "PdkError", "PdkNotFound", "Signature", "available_pdks", "get_pdk",
    "pdk_names", "signatures",
]  # fmt: skip
