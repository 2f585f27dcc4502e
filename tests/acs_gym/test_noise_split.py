"""Noise by device adds up to the whole, and goes where it should."""

from __future__ import annotations

import pytest

import acs_gym
from acs_gym.simulation.noise_split import noise_program, read_noise
from acs_gym.simulation.pool import InProcessSimulator, Job


def test_the_shares_of_an_op_amp_add_up(in_process: InProcessSimulator) -> None:
    task = acs_gym.make_task("ACS-OpAmp-v0", pdk="generic")
    program = noise_program(task.program)
    assert program is not None and task.reference is not None
    (outcome,) = in_process.run([Job(program, task.reference, waveforms=True)])
    shares = {s.name: s for s in read_noise(program, outcome.waveforms)}
    assert sum(s.share for s in shares.values()) == pytest.approx(1.0, abs=0.005)
    assert shares["pair_p"].share == pytest.approx(shares["pair_n"].share, rel=0.05)
    assert all(0 <= s.flicker <= s.share for s in shares.values())
    assert shares["pair_p"].share > shares["sink"].share
    assert shares["rz"].share > 0.01 and shares["rz"].flicker == 0  # a resistor


def test_a_task_without_a_noise_analysis_has_none() -> None:
    assert noise_program(acs_gym.make_task("ACS-OTA5T-v0", pdk="generic").program) is None
