"""Where device models come from, and which device a PDK-neutral primitive becomes.

A PDK is three pure questions: the model cards of a corner, the device map, and a digest of
everything that decides a result. Adding one is one module with a `Pdk` subclass and a line in
`registry.py`.
"""

from acs_gym.pdks.base import Device, Pdk, PdkError, PdkNotFound
from acs_gym.pdks.registry import get_pdk, pdk_names

__all__ = ["Device", "Pdk", "PdkError", "PdkNotFound", "get_pdk", "pdk_names"]
