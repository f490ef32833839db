"""Memory that a training frees and takes again: kept in the process, and given back in the end."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
from uncounted import uncounted

_MIB = 64
_PROGRAM = """
import resource
import numpy as np
from foveal.machine import keeping_memory, resident_bytes

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.full({size}, 1, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
with keeping_memory():
    faults()
    print(faults())
    held = resident_bytes()
print(held - resident_bytes(), faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_pages_are_taken_once_and_given_back_in_the_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(size=_MIB << 20)],
        env=uncounted(),
        capture_output=True,
        text=True,
        check=True,
    )
    before, kept, given_back, after = map(int, done.stdout.split())
    # Pages may be of 4 KiB or of 2 MiB: what counts is how much fewer they are.
    assert kept < before / 10
    assert given_back > 0.9 * (_MIB << 20)
    assert after > 10 * kept
