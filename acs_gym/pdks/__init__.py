"""Where device models come from, and which device a line of a netlist becomes.

A PDK is two pure questions: its devices at a corner, and a digest of everything that decides a
result. Adding one is one module with a `Pdk` subclass and a line in `registry.py`.

base.py           what a PDK, a device and its parts are
spice_library.py  a distributed library's text as records
flatten.py        a distributed subcircuit as the parts of a device
resolved.py       PDKs that are read from a folder and resolved device by device
"""

from acs_gym.pdks.base import Device, Pdk, PdkError, PdkNotFound, Signature
from acs_gym.pdks.registry import get_pdk, pdk_names, signatures

__all__ = [
    "Device",
    "Pdk",
    "PdkError",
    "PdkNotFound",
    "Signature",
    "get_pdk",
    "pdk_names",
    "signatures",
]
