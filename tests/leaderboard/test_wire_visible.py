"""What the level `container` shows an agent, worked out from its command; and the digest of a folder."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from leaderboard.wire.isolation.command_line import resolve, split_command
from leaderboard.wire.isolation.visible import folder_digest, visible


@pytest.fixture
def installation(tmp_path):
    """A Python of one's own, a virtual environment of it, and a program, all in one folder."""
    base, venv, apps = (tmp_path / name for name in ("base", "venv", "apps"))
    for folder in (base / "bin", base / "lib" / "python3.11", venv / "bin", apps / "bin"):
        folder.mkdir(parents=True)
    for program in (base / "bin" / "python3.11", apps / "bin" / "mine"):
        program.touch(0o755)
    (base / "bin" / "python3").symlink_to("python3.11")
    (venv / "bin" / "python").symlink_to(base / "bin" / "python3")
    (venv / "pyvenv.cfg").write_text(f"home = {base / 'bin'}\n")
    return tmp_path


def seen_of(command: str, folder: Path) -> set[str]:
    """What of a folder is seen for a command, by names in it."""
    paths = visible(resolve(split_command(command))).paths
    return {str(Path(p).relative_to(folder)) for p in paths if Path(p).is_relative_to(folder)}


def test_of_a_virtual_environment_the_installation_is_seen_too(installation):
    assert seen_of(f"{installation}/venv/bin/python -c x", installation) == {"venv", "base"}
    assert seen_of(f"{installation}/base/bin/python3 -c x", installation) == {"base"}


def test_a_copied_interpreter_is_found_by_what_its_environment_says(installation):
    copy = installation / "venv" / "bin" / "python"
    copy.unlink()
    copy.touch(0o755)
    assert seen_of(f"{copy} -c x", installation) == {"venv", "base"}


def test_of_a_program_elsewhere_it_alone_is_seen(installation):
    assert seen_of(f"{installation}/apps/bin/mine", installation) == {"apps/bin/mine"}


@pytest.mark.parametrize("line", ["#!{}/venv/bin/python", "#!/usr/bin/env -S python -u"])
def test_what_runs_a_script_is_seen(installation, monkeypatch, line):
    monkeypatch.setenv("PATH", f"{installation}/venv/bin:/usr/bin:/bin")
    script = installation / "apps" / "bin" / "mine"
    script.write_text(line.format(installation) + "\n")
    expected = {"apps/bin/mine", "venv", "base"}
    assert seen_of(str(script), installation) == expected
    assert seen_of(f"env X=1 {script}", installation) >= {"apps/bin/mine"}
    assert seen_of("env X=1 python x.py", installation) == {"venv", "base"}


def test_links_on_the_way_are_seen_as_links(installation):
    (installation / "way").symlink_to("apps")
    seen = visible(resolve(split_command(f"cat {installation}/way/bin/mine")))
    assert (str(installation / "way"), "apps") in seen.links
    assert seen.holding(installation / "way" / "bin" / "mine") == f"{installation}/apps/bin/mine"
    assert seen.holding(installation / "way") is None


def test_the_system_is_seen_and_its_secrets_are_not():
    seen = visible(["/bin/sh"])
    assert seen.holding("/bin/sh") and seen.holding("/etc/passwd")
    hidden = (
        "/etc/shadow",
        "/etc/ssl/private",
        "/opt",
        "/home",
        "/var",
        "/run",
        "/usr/src",
        "/sys",
    )
    assert [path for path in hidden if seen.holding(path)] == []


NAMES = st.sampled_from(["a", "b", "a/b", "a.b", "c/d/e", "c/d.e"])
TREES = st.dictionaries(NAMES, st.binary(max_size=3), max_size=4).filter(
    lambda tree: not ("a" in tree and "a/b" in tree)
)


@examples(max_examples=50, deadline=None)
@given(one=TREES, other=TREES)
def test_two_folders_have_one_digest_only_when_they_hold_the_same(one, other):
    digests = []
    for tree in (one, other):
        with tempfile.TemporaryDirectory() as folder:
            for name, content in tree.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            digests.append(folder_digest(folder))
    assert (digests[0] == digests[1]) == (one == other)
