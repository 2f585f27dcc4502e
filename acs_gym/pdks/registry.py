"""Names to PDKs: ours, and those of installed packages.

A PDK is an entry point of the group `acs_gym.pdks`: its name, and where its class is. Ours are the same
records, written here so that a source checkout knows them whatever is installed beside it. A name is
all that is read of a PDK until somebody asks for it, so a broken one is in nobody else's way.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from acs_gym.pdks.base import NEUTRAL, Pdk, PdkError, PdkNotFound, Signature
from acs_gym.wording import did_you_mean

GROUP = "acs_gym.pdks"
_OURS = (
    EntryPoint("sky130", "acs_gym.pdks.sky130:Sky130", GROUP),
    EntryPoint("generic", "acs_gym.pdks.generic:Generic", GROUP),
    EntryPoint("gf180mcu", "acs_gym.pdks.gf180mcu:Gf180mcu", GROUP),
)


def pdk_names() -> tuple[str, ...]:
    """Every known PDK, whether or not its models are on this machine."""
    return tuple(_points())


def available_pdks() -> tuple[str, ...]:
    """The PDKs that can be simulated on this machine."""
    return tuple(name for name in pdk_names() if _available(name))


@cache
def get_pdk(name: str) -> Pdk:
    """The PDK called `name`.

    Raises PdkNotFound naming the known ones, and PdkError when the package that brings this one is
    broken.
    """
    known = _points()
    if name in known:
        return _load(known[name])
    hint = did_you_mean(name, known)
    raise PdkNotFound(f"no PDK called {name!r}; {hint}PDKs: {', '.join(known)}")


@cache
def signatures() -> dict[str, Signature]:
    """What an X line may name: neutral devices, and those of every PDK that can be loaded."""
    found = dict(NEUTRAL)
    for name in pdk_names():
        try:
            found |= get_pdk(name).signatures
        except PdkError:
            continue  # Whoever asks for that PDK is told.
    return found


def _available(name: str) -> bool:
    try:
        return get_pdk(name).available()
    except PdkError:
        return False


@cache
def _points() -> Mapping[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in (*_OURS, *entry_points(group=GROUP)):
        first = found.setdefault(point.name, point)
        if first is not point:
            # Which of two a result came from must not be a matter of luck: the first, and said so.
            warnings.warn(
                f"PDK {point.name} of {_origin(point)} is left out: {_origin(first)} has one of that "
                "name; uninstall one of the two packages",
                stacklevel=2,
            )
    return found


def _load(point: EntryPoint) -> Pdk:
    where = f"PDK {point.name} of {_origin(point)}"
    try:
        pdk = point.load()()
    except Exception as error:  # whatever a plug-in raises
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise PdkError(
            f"{where}: {point.value} cannot be loaded: {words}; update or uninstall that package"
        ) from error
    if not isinstance(pdk, Pdk):
        raise PdkError(
            f"{where}: {point.value} gives a {type(pdk).__name__}; it must name a subclass of "
            "acs_gym.pdks.Pdk"
        )
    if pdk.name != point.name:
        raise PdkError(
            f"{where}: {point.value} calls itself {pdk.name!r}; the entry point and `name` must agree"
        )
    return pdk


def _origin(point: EntryPoint) -> str:
    return "acs-gym" if point.dist is None else f"{point.dist.name} {point.dist.version}"
