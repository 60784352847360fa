"""Keeping a library from taking precedence over every other program on the machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def ordinary_threads() -> Iterator[None]:
    """Give the threads that begin meanwhile the scheduling of the one that starts them.

    SVT-AV1 under root makes all its threads real-time ones, and the thread that opens it too. They
    starve everything else on the machine, a receiver among them, and so does every program that is
    started from there, since scheduling is inherited.
    """
    if sys.platform != "linux":
        yield
        return
    tasks = Path("/proc/self/task")
    before = {each.name for each in tasks.iterdir()}
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in {each.name for each in tasks.iterdir()} - before:
            with suppress(OSError):  # it has ended
                os.sched_setscheduler(int(thread), policy, parameters)
        with suppress(OSError):
            os.sched_setscheduler(0, policy, parameters)
