"""Memory of large tensors, kept by a process that trains."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from tlgrpo.allocation import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(16_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(), keep_memory(), faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="there is no glibc")
def test_pages_that_were_used_are_there_again():
    ran = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    before, kept, after = ran.stdout.split()
    assert kept == "True" and int(after) < int(before) / 2


def test_elsewhere_it_says_that_nothing_was_done(monkeypatch):
    from tlgrpo import allocation

    monkeypatch.setattr(allocation.ctypes, "CDLL", lambda name: object())
    assert allocation.keep_memory() is False
