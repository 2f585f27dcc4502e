"""TorchRL, RLlib and videos (`make test-rl`) on the environments as they are: the page's code runs."""

from __future__ import annotations

import math

import pytest

from tests.frameworks.page import code_of


def test_gymnasium_records_a_video(tmp_path, monkeypatch):
    pytest.importorskip("moviepy")
    monkeypatch.chdir(tmp_path)
    exec(code_of("Video"), {})
    (video,) = (tmp_path / "videos").glob("*.mp4")
    assert video.stat().st_size > 1000


def test_torchrl_takes_an_environment(capsys):
    pytest.importorskip("torchrl")
    exec(code_of("TorchRL"), {})
    assert "tensor([0." in capsys.readouterr().out


def test_rllib_trains_an_iteration(capsys):
    pytest.importorskip("tree", reason="dm-tree, which Ray without RLlib does not bring")
    exec(code_of("RLlib"), {})
    assert math.isfinite(float(capsys.readouterr().out.split()[-1]))
