"""Memory of large tensors, kept by a process that trains."""

import platform
import subprocess
import sys

import pytest

from tlgrpo import allocation

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


HOLES = """
import torch
from tlgrpo.allocation import give_back, keep_memory

def held():
    status = open("/proc/self/status").read()
    return int(status.split("VmRSS:")[1].split()[0]) >> 10

keep_memory()
blocks = [torch.ones(5_000_000) for _ in range(40)]
del blocks[::2]
print(held(), give_back(), held())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="there is no glibc")
def test_what_is_kept_between_others_can_be_given_back():
    ran = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    kept, given, after = ran.stdout.split()
    assert given == "True" and int(after) < int(kept) - 300


@pytest.mark.parametrize("ask", [allocation.keep_memory, allocation.give_back])
def test_elsewhere_it_says_that_nothing_was_done(ask, monkeypatch):
    monkeypatch.setattr(allocation.ctypes, "CDLL", lambda name: object())
    assert ask() is False
