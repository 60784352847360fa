"""How the threads of SVT-AV1 are scheduled, which it leaves neither fair nor safe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def ordinary_threads() -> Iterator[None]:
    """Let the threads that begin meanwhile interrupt nobody, and leave the caller as it was.

    Under root the library makes all its threads real-time ones, and the thread that opens it too.
    They starve everything else on the machine, a receiver among them, and so does every program
    that is started from there, since scheduling is inherited.

    As ordinary threads they can stop for ever, all waiting for each other: one that is woken up
    takes the core at once, before the one that woke it has written down what it had to (SVT-AV1
    4.1, one to a few thousand frames on a busy machine). Batch threads wait until the core is left
    to them, which no privilege is needed for, and did not stop in more than 100,000 frames.
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
                os.sched_setscheduler(int(thread), os.SCHED_BATCH, os.sched_param(0))
        with suppress(OSError):
            os.sched_setscheduler(0, policy, parameters)
