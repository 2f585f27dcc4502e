"""An agent's folder is gone afterwards, whatever it made of it."""

from __future__ import annotations

import os

import pytest

from leaderboard.wire.isolation.leftovers import remove


def deep(folder):
    """Deeper than a path may be long and than Python recurses."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(6000):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def closed(folder):
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    inner.chmod(0)
    (folder / "a").chmod(0o500)
    folder.chmod(0o500)


def numbered(folder):
    """The names that it is moved to are taken."""
    for name in ("1", "2", "3"):
        (folder / name / "1" / "2").mkdir(parents=True)
    (folder / "4").touch()


def strange(folder):
    os.mkfifo(folder / "fifo")
    (folder / "link").symlink_to("/etc")
    (folder / "nowhere").symlink_to("nowhere")
    (folder / "a\nb").mkdir()
    os.mkdir(os.fsencode(folder) + b"/\xff\xfe")


@pytest.mark.parametrize("fill", [deep, closed, numbered, strange, lambda folder: None])
def test_nothing_is_left(tmp_path, fill):
    folder, beside = tmp_path / "agent", tmp_path / "beside"
    folder.mkdir()
    beside.mkdir()
    (beside / "file").touch()
    (folder / "out").symlink_to(beside)
    fill(folder)
    remove(folder)
    assert not folder.exists() and (beside / "file").exists()


def test_one_that_is_gone_already_is_no_error(tmp_path):
    remove(tmp_path / "nothing")
