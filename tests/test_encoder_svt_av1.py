"""The library's own ways, where they reach beyond its pictures."""

import os
from fractions import Fraction
from pathlib import Path

import pytest

from encoder.svt_av1 import SvtAv1
from stream.frame import Size

TASKS = Path("/proc/self/task")


@pytest.mark.skipif(not TASKS.is_dir(), reason="threads are listed in /proc on Linux only")
def test_its_threads_take_no_precedence_over_other_programs() -> None:
    before = {each.name for each in TASKS.iterdir()}
    opened = SvtAv1(Size(width=64, height=64), frame_rate=Fraction(25), preset=10)
    threads = {each.name for each in TASKS.iterdir()} - before
    assert len(threads) > 3
    policies = {os.sched_getscheduler(int(thread)) for thread in threads}
    assert policies == {os.sched_getscheduler(0)} == {os.SCHED_OTHER}
    opened.close()
