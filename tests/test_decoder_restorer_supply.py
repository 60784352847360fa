from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from decoder import restorer_supply
from decoder.artefact import Artefact, find_artefact
from decoder.calibration import Calibration
from decoder.calibration_cache import load_calibration, save_calibration
from decoder.config import RestorerConfig
from decoder.restorer_supply import UNMEASURED_STREAMS, RestorerSupply
from stream.errors import ConfigError
from stream.frame import Size
from tests.live_peers import until
from tests.profiles import profile_for
from tests.tiny_artefact import textured_frame, write_tiny_artefact

HR, LR = Size(width=64, height=48), Size(width=32, height=24)


@pytest.fixture
def artefact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artefact:
    monkeypatch.setattr(restorer_supply, "_POLL_S", 0.01)
    monkeypatch.setattr(restorer_supply, "IDLE_BEFORE_CALIBRATION_S", 0.03)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write_tiny_artefact(tmp_path / "tiny-x2")


def _config(artefact: Artefact) -> RestorerConfig:
    return RestorerConfig(size=HR, model=str(artefact.folder), threads=1)


async def test_a_machine_is_measured_once_while_nobody_publishes(artefact: Artefact) -> None:
    supply = RestorerSupply(_config(artefact))
    await supply.open()
    assert supply.stream_limit == UNMEASURED_STREAMS
    await supply.calibrate_when_idle(lambda: True)
    known = load_calibration()
    assert known.fastest(artefact, LR, threads=1) is not None
    assert supply.stream_limit > UNMEASURED_STREAMS  # it takes well under a millisecond
    restorer = supply.take()()
    assert restorer.tier_costs_ms["tiny-x2"] > 0
    restorer.close()
    supply.close()

    again = RestorerSupply(_config(artefact))
    await again.open()
    async with asyncio.timeout(1):
        await again.calibrate_when_idle(lambda: False)  # nothing is left to measure
    again.close()


async def test_every_stream_gets_the_profile_that_was_given(
    artefact: Artefact, tmp_path: Path
) -> None:
    path = tmp_path / "show.profile"
    path.write_bytes(profile_for(artefact))
    supply = RestorerSupply(_config(artefact), profiles=(str(path),))
    await supply.open()
    for _ in range(2):  # the one that was opened in advance, and another
        restorer = supply.take()()
        restorer.push(textured_frame(1, width=LR.width, height=LR.height))
        assert restorer.weights_name == "profile a test"
        restorer.close()
    supply.close()


def test_weights_may_be_sent_for_models_of_windows_and_for_no_others() -> None:
    supply = RestorerSupply(RestorerConfig())
    assert supply.base_of("live-xs-x2") == find_artefact("live-xs-x2").sha256
    for model in ("live-xxs-x2", "lanczos", None):
        assert supply.base_of(model) is None


async def test_a_profile_for_another_model_stops_the_receiver(
    artefact: Artefact, tmp_path: Path
) -> None:
    path = tmp_path / "show.profile"
    path.write_bytes(profile_for(write_tiny_artefact(tmp_path / "other-x2", scale=4)))
    supply = RestorerSupply(_config(artefact), profiles=(str(path),))
    with pytest.raises(ConfigError, match="is for other-x2 version 1, not for tiny-x2"):
        await supply.open()
    supply.close()


async def test_a_publisher_keeps_the_machine_from_being_measured(artefact: Artefact) -> None:
    supply = RestorerSupply(_config(artefact))
    await supply.open()
    asked = 0

    def is_busy_at_once() -> bool:
        """Quiet until the measuring begins."""
        nonlocal asked
        asked += 1
        return asked <= 3

    calibrating = asyncio.create_task(supply.calibrate_when_idle(is_busy_at_once))
    await until(lambda: asked > 5)
    calibrating.cancel()
    supply.close()
    await asyncio.gather(calibrating, return_exceptions=True)
    assert load_calibration().fastest(artefact, LR, threads=1) is None


async def test_what_is_known_from_before_is_used_from_the_start(artefact: Artefact) -> None:
    supply = RestorerSupply(_config(artefact))
    await supply.open()
    await supply.calibrate_when_idle(lambda: True)
    supply.close()
    known = load_calibration()
    only_onnxruntime = Calibration(
        measurements=tuple(row for row in known.measurements if row.backend != "openvino")
    )
    save_calibration(only_onnxruntime)
    supply = RestorerSupply(_config(artefact))
    await supply.open()
    restorer = supply.take()()
    restorer.use_tier(0)
    first_networks = next(iter(restorer._shelf._open.values()))
    assert first_networks[0].backend.name == "onnxruntime f32"
    restorer.close()
    supply.close()
