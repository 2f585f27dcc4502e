"""PDKs whose distributed library is read at run time and resolved once per corner."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from acs_gym.pdks.base import Bin, Device, Pdk

_LIMITS = ("lmin", "lmax", "wmin", "wmax")


class ResolvedPdk(Pdk):
    """A PDK found in a folder: a subclass says where, which files decide, and how to resolve them."""

    @abstractmethod
    def folder(self) -> Path:
        """Where the library is. Raises PdkNotFound saying what to type."""

    @abstractmethod
    def files(self) -> tuple[str, ...]:
        """Every file that decides a result, by its path from the folder."""

    def place(self, folder: Path, name: str) -> Path:
        """Where a file is; for a PDK whose installations differ in that."""
        return folder / name

    @abstractmethod
    def kinds(self) -> tuple[str, ...]:
        """The names of all devices, neutral ones first."""

    @abstractmethod
    def resolve(self, folder: Path, corner: str, kind: str) -> Device:
        """One device at a corner. Raises PdkError on a library of another layout."""

    def devices(self, corner: str) -> Mapping[str, Device]:
        self.check_corner(corner)
        return _Devices(self, self.folder(), corner)

    def digest(self) -> str:
        folder = self.folder()
        return _digest(tuple((name, self.place(folder, name)) for name in self.files()))

    def location(self) -> str:
        return str(self.folder())


@dataclass(frozen=True, slots=True)
class _Devices(Mapping[str, Device]):
    """Devices by name, each resolved when it is first asked for: a circuit uses two of thirty."""

    pdk: ResolvedPdk
    folder: Path
    corner: str

    def __getitem__(self, kind: str) -> Device:
        if kind not in self.pdk.kinds():
            raise KeyError(kind)
        return _resolved(self.pdk, self.folder, self.corner, kind)

    def __iter__(self) -> Iterator[str]:
        return iter(self.pdk.kinds())

    def __len__(self) -> int:
        return len(self.pdk.kinds())


def binned_card(name: str, polarity: str, values: Mapping[str, str]) -> tuple[Bin, str]:
    """One card as `.model name polarity ...` without its bin limits, and those as a Bin.

    Raises KeyError naming a limit that is missing.
    """
    limits = {k: float(values[k]) for k in _LIMITS}
    body = " ".join(f"{k}={v}" for k, v in values.items() if k not in _LIMITS)
    return Bin(name, **limits), f".model {name} {polarity} {body}"


@lru_cache(maxsize=512)
def _resolved(pdk: ResolvedPdk, folder: Path, corner: str, kind: str) -> Device:
    return pdk.resolve(folder, corner, kind)


@lru_cache(maxsize=8)
def _digest(files: tuple[tuple[str, Path], ...]) -> str:
    """sha256 of names and contents; a device whose file is missing is refused when it is used."""
    digest = hashlib.sha256()
    for name, path in files:
        content = path.read_bytes() if path.is_file() else b""
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()
