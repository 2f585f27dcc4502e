"""PDKs whose distributed library is read at run time and resolved once per corner."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from acs_gym.pdks.base import PASSIVES, Bin, Device, Pdk

_LIMITS = ("lmin", "lmax", "wmin", "wmax")
Resolved = tuple[Mapping[str, str], Mapping[str, Device]]


class ResolvedPdk(Pdk):
    """A PDK found in a folder: a subclass says where, which files decide, and how to resolve them."""

    @abstractmethod
    def folder(self) -> Path:
        """Where the library is. Raises PdkNotFound saying what to type."""

    @abstractmethod
    def files(self) -> tuple[str, ...]:
        """Every file in the folder that decides a result."""

    @abstractmethod
    def resolve(self, folder: Path, corner: str) -> Resolved:
        """(model cards, devices) of a corner. Raises PdkError on a library of another layout."""

    def models(self, corner: str) -> Mapping[str, str]:
        self.check_corner(corner)
        return _resolved(self, self.folder(), corner)[0]

    def devices(self, corner: str) -> Mapping[str, Device]:
        self.check_corner(corner)
        return {**_resolved(self, self.folder(), corner)[1], **PASSIVES}

    def digest(self) -> str:
        return _digest(self.folder(), self.files())

    def location(self) -> str:
        return str(self.folder())


def binned_card(name: str, polarity: str, values: Mapping[str, str]) -> tuple[Bin, str]:
    """One card as `.model name polarity ...` without its bin limits, and those as a Bin.

    Raises KeyError naming a limit that is missing.
    """
    limits = {k: float(values[k]) for k in _LIMITS}
    body = " ".join(f"{k}={v}" for k, v in values.items() if k not in _LIMITS)
    return Bin(name, **limits), f".model {name} {polarity} {body}"


@lru_cache(maxsize=32)
def _resolved(pdk: ResolvedPdk, folder: Path, corner: str) -> Resolved:
    return pdk.resolve(folder, corner)


@lru_cache(maxsize=8)
def _digest(folder: Path, names: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode() + b"\0" + (folder / name).read_bytes() + b"\0")
    return digest.hexdigest()
