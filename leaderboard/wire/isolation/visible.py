"""What an agent in the level `container` sees of the file system; the rest is not there.

The system's programs and libraries, the few files of /etc that they read, the programs that its command
names, the folders of a Python among those, and the files and folders that its command names. Each is
found at the path that it has outside, and through the same links. `mounts.py` adds what is the agent's
own: /proc, /dev, /tmp, and its folder.

Not the environment that the harness runs in, nor a simulator: an agent that can simulate beside the
meter spends no budget. A command that names the harness's Python gets the Python that this one is made
from; what it is to import beyond the standard library, it brings in an environment of its own.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import re
import shlex
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# Not the whole of /usr: images keep their applications in /usr/src, or in /usr/local itself.
_PARTS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec", "include", "share")
_PREFIXES = ("/", "/usr", "/usr/local")
# Names, the network, certificates and the loader. Nothing that has a secret in it.
_ETC = (
    "alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "gai.conf", "group",
    "host.conf", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime",
    "mime.types", "nsswitch.conf", "os-release", "passwd", "pki/ca-trust", "pki/tls/certs",
    "pki/tls/cert.pem", "pki/tls/openssl.cnf", "protocols", "resolv.conf", "services", "ssl/cert.pem",
    "ssl/certs", "ssl/openssl.cnf", "timezone",
)  # fmt: skip
# Programs, libraries and model files of simulators, below a prefix.
_SIMULATORS = (
    "bin/*ngspice*",
    "bin/vacask*",
    "lib*/*ngspice*",
    "lib*/*/*ngspice*",
    "share/*ngspice*",
)
# Where there is no environment of its own, what the harness is made of stands among others' packages.
_PACKAGES = ("acs_gym*", "leaderboard", "baselines", "agents", "tlgrpo", "PySpice*", "vacask*")
# The agent has its own, or none.
_NEVER = ("/proc", "/sys")
_SHEBANGS = 4


@dataclass(frozen=True, slots=True)
class Visible:
    """What is seen, at the paths of outside.

    Attributes:
        paths: files and folders, none of them a link or reached through one, none inside another.
        links: symbolic links outside those folders: where each is, and what it says.
        hidden: files and folders among them that are to be empty.
    """

    paths: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    hidden: tuple[str, ...]

    def holding(self, path: str | os.PathLike[str]) -> str | None:
        """Which of `paths` a path is in, or is; None when it is not seen."""
        real = os.path.realpath(path)
        return next((seen for seen in self.paths if _inside(real, seen)), None)


def visible(*commands: Sequence[str]) -> Visible:
    """What has to be seen for resolved commands (`command_line.resolve`) to run."""
    paths: set[str] = set()
    links: dict[str, str] = {}
    for wanted in {*_system(), *(path for c in commands for path in _of_command(c))}:
        on_the_way, real = _follow(wanted)
        never = any(_inside(real, own) for own in _NEVER) or real == _environment()
        if not never and _is_ordinary(real):
            paths.add(real)
            links |= on_the_way
    outermost = [p for p in paths if not any(p != q and _inside(p, q) for q in paths)]
    outside = {w: to for w, to in links.items() if not any(_inside(w, p) for p in outermost)}
    hidden = {p for p in _to_hide(outermost) if any(_inside(p, seen) for seen in outermost)}
    return Visible(tuple(sorted(outermost)), tuple(sorted(outside.items())), tuple(sorted(hidden)))


def _environment() -> str | None:
    """The virtual environment that the harness runs in; None where there is none."""
    return os.path.realpath(sys.prefix) if sys.prefix != sys.base_prefix else None


def _to_hide(shown: Sequence[str]) -> Iterator[str]:
    """Simulators and this package, wherever they may lie in what is shown."""
    prefixes = {*map(os.path.realpath, _PREFIXES), *shown}
    patterns = [os.path.join(glob.escape(p), s) for p in prefixes for s in _SIMULATORS]
    site = os.path.realpath(sysconfig.get_path("purelib"))
    patterns += [os.path.join(glob.escape(site), package) for package in _PACKAGES]
    for prefix in shown:
        packages = os.path.join(glob.escape(prefix), "lib*/python3*/*-packages")
        patterns += [os.path.join(packages, name) for name in _PACKAGES]
    yield from {os.path.realpath(found) for pattern in patterns for found in glob.glob(pattern)}


def kept_apart() -> dict[str, str]:
    """Folders that nothing shown may hold, and what each is."""
    # Where results go when nothing else is said.
    runs = os.path.abspath("runs")
    return {
        os.path.expanduser("~"): "your home folder",
        **dict.fromkeys((tempfile.gettempdir(), "/tmp"), "the folder for temporary files"),
        **dict.fromkeys(("/dev", "/dev/shm"), "what the agent has of its own"),
        **({runs: "the results of runs"} if os.path.isdir(runs) else {}),
    }


def folder_digest(folder: str | os.PathLike[str]) -> str:
    """The sha256 over the names and contents of a folder's files, and over where its links point.

    `__pycache__` is left out, which changes by itself. Raises OSError for what cannot be read.
    """
    digest = hashlib.sha256()
    root = Path(folder)
    for path in sorted(root.rglob("*"), key=lambda p: p.relative_to(root).as_posix()):
        name = path.relative_to(root)
        if "__pycache__" in name.parts:
            continue
        if path.is_symlink():
            kind, content = b"link", os.fsencode(os.readlink(path))
        elif path.is_file():
            with path.open("rb") as stream:
                kind, content = b"file", hashlib.file_digest(stream, "sha256").digest()
        else:
            continue
        # Their lengths, so that no two folders give the same bytes.
        for part in (kind, os.fsencode(name.as_posix()), content):
            digest.update(b"%d:" % len(part) + part)
    return digest.hexdigest()


def _system() -> Iterator[str]:
    yield from (os.path.join(prefix, part) for prefix in _PREFIXES for part in _PARTS)
    yield from (f"/etc/{name}" for name in _ETC)


def _of_command(command: Sequence[str]) -> Iterator[str]:
    program, *words = command
    # A bare word may be a program too, as after `env` or `timeout`.
    named = (shutil.which(word) for word in words if "/" not in word)
    for path in (program, *filter(None, named)):
        for started in _started(path):
            yield started
            yield from _python_folders(started)
    yield from (word for word in words if os.path.isabs(word))


def _started(program: str, left: int = _SHEBANGS) -> Iterator[str]:
    """The program, and what runs it when it is a script that says so in its first line."""
    yield program
    first = b""
    with contextlib.suppress(OSError), open(program, "rb") as stream:
        first = stream.readline(256)
    if left and first.startswith(b"#!"):
        with contextlib.suppress(ValueError):
            for word in shlex.split(first[2:].decode("utf-8", "replace")):
                if found := shutil.which(word):
                    yield from _started(os.path.abspath(found), left - 1)


def _python_folders(program: str) -> Iterator[str]:
    """The virtual environment of a Python and the installation that it is made from."""
    for path in _chain(program):
        folder = os.path.dirname(path)
        for candidate in (folder, os.path.dirname(folder)):
            home = _home(os.path.join(candidate, "pyvenv.cfg"))
            if home is not None:
                yield candidate
                yield from _installation(home)
        if re.match(r"(python|pypy)[\d.]*$", os.path.basename(path)):
            yield from _installation(folder)


def _installation(programs: str) -> Iterator[str]:
    """The prefix whose folder of programs it is, when it is a Python's own."""
    prefix = os.path.dirname(programs)
    if prefix not in _PREFIXES and glob.glob(f"{glob.escape(prefix)}/lib*/py*3*"):
        yield prefix


def _home(settings: str) -> str | None:
    """The folder of the Python that a virtual environment is made from."""
    with contextlib.suppress(OSError), open(settings, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            key, _, value = line.partition("=")
            if key.strip() == "home":
                return value.strip()
    return None


def _chain(path: str) -> Iterator[str]:
    """A path, and what it is a link to, to the end."""
    yield path
    for _ in range(40):
        if not os.path.islink(path):
            return
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
        yield path


def _follow(path: str) -> tuple[dict[str, str], str]:
    """The links on the way to a path, and where it really is."""
    links: dict[str, str] = {}
    real, left = "/", _parts(path)
    while left:
        part, *left = left
        here = os.path.join(real, part)
        if part == "..":
            real = os.path.dirname(real)
        elif not os.path.islink(here) or here in links:  # A circle leads nowhere.
            real = here
        else:
            links[here] = to = os.readlink(here)
            real, left = "/" if os.path.isabs(to) else real, [*_parts(to), *left]
    return links, real


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _is_ordinary(path: str) -> bool:
    return os.path.isfile(path) or os.path.isdir(path)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
