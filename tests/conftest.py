"""What every test runs under: reproducible hypothesis examples and no inherited settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from decoder.artefact import Artefact

# Derandomised: a failure on one machine is a failure on all. No deadline: two shared cores stall.
settings.register_profile(
    "reproducible",
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("reproducible")


@pytest.fixture(autouse=True)
def _own_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Keep the settings of whoever runs the tests, and what is cached there, out of them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    for name in ("EDVR_TOKEN", "EDVR_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _own_precedence() -> Iterator[None]:
    """No library may leave real-time threads behind: what is started later would starve us."""
    yield
    if sys.platform == "linux":
        policies = set()
        for thread in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # it has ended
                policies.add(os.sched_getscheduler(int(thread.name)))
        assert policies <= {os.SCHED_OTHER, os.SCHED_BATCH}


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    """Networks of tests are so small that sharing their work costs time, much on busy cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def live_artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """`tests.training_media.tiny_network`, exported by command; it takes seconds, so only once."""
    from decoder.artefact import load_artefact
    from decoder.training.cli import app
    from stream.command_line import run_command
    from tests.training_media import tiny_network, write_checkpoint

    folder = tmp_path_factory.mktemp("published")
    checkpoint = write_checkpoint(folder / "checkpoint.pt", tiny_network())
    command = ["export", str(checkpoint), str(folder / "tiny-x2"), "--version", "7"]
    assert run_command(app, command) == 0
    return load_artefact(folder / "tiny-x2")
