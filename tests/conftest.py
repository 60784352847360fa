"""What every test runs under: reproducible hypothesis examples and no inherited settings."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

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
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in ("EDVR_TOKEN", "EDVR_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
