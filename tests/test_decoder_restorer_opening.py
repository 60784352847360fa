"""The LR size changes while a stream runs, and the network for it takes its time to open."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from decoder.artefact import Artefact
from decoder.backends import Backend, BackendConfig
from decoder.backends.engine_pool import EnginePool
from decoder.config import RestorerConfig
from decoder.lanczos import LanczosScaler
from decoder.restorer import Restorer
from decoder.tier_switch import FADE_FRAMES
from stream.errors import InferenceFailed
from stream.frame import CLOCK_HZ, Frame, Size
from tests.live_processes import wait_until
from tests.tiny_artefact import expected_planes, textured_frame, write_tiny_artefact

STEP = CLOCK_HZ // 25
HR = Size(width=64, height=48)
LARGE, SMALL = Size(width=32, height=24), Size(width=16, height=12)


class _SlowEngines(EnginePool):
    """Opens the small size only when it may."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.may_open, self.fails = threading.Event(), fails

    def open(self, config: BackendConfig, artefact: Artefact, lr_size: Size) -> Backend:
        if lr_size == SMALL:
            assert self.may_open.wait(60)
            if self.fails:
                raise InferenceFailed("no memory left")
        return super().open(config, artefact, lr_size)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RestorerConfig:
    artefact = write_tiny_artefact(tmp_path_factory.mktemp("models") / "tiny-x2")
    return RestorerConfig(
        size=HR, model=str(artefact.folder), backend="onnxruntime", lookahead=0, threads=1
    )


@pytest.fixture
def engines() -> Iterator[_SlowEngines]:
    engines = _SlowEngines()
    yield engines
    engines.may_open.set()
    engines.close()


def _frame(index: int, size: Size) -> Frame:
    return textured_frame(index, width=size.width, height=size.height, pts=index * STEP)


def _push_until_open(restorer: Restorer, index: int) -> tuple[list[Frame], int]:
    """Frames until the network for the small size is in use; the number of the next frame."""
    done: list[Frame] = []
    while not done or restorer.model_name == "lanczos":
        assert index < 10_000
        done += restorer.push(_frame(index, SMALL))
        index += 1
    return done, index


def test_the_stream_goes_on_by_lanczos_and_fades_to_the_network_once_it_is_open(
    config: RestorerConfig, engines: _SlowEngines
) -> None:
    restorer = Restorer(config, engines=engines, opens_beside=True)
    first = [frame for index in range(3) for frame in restorer.push(_frame(index, LARGE))]
    assert restorer.model_name == "tiny-x2"
    waiting = [frame for index in range(3, 8) for frame in restorer.push(_frame(index, SMALL))]
    assert restorer.model_name == "lanczos"
    scaler = LanczosScaler(HR)
    for index, frame in enumerate(waiting, start=3):
        assert np.array_equal(frame.y, scaler.scale(_frame(index, SMALL)).y)
    engines.may_open.set()
    wait_until(lambda: all(each.done() for each in restorer._shelf._opening.values()), "opened")
    opened, index = _push_until_open(restorer, 8)
    rest = [
        frame
        for later in range(index, index + FADE_FRAMES + 2)
        for frame in restorer.push(_frame(later, SMALL))
    ]
    done = [*first, *waiting, *opened, *rest, *restorer.flush()]
    assert [frame.pts for frame in done] == [number * STEP for number in range(len(done))]
    assert {frame.size for frame in done} == {HR}
    assert restorer.counts.failed == 0
    last = len(done) - 1
    window = [_frame(number, SMALL) for number in (last - 1, last, last)]
    twice = expected_planes(window)[0]  # of 32x24, which is then resized
    assert twice.shape == (24, 32)
    frame = Frame(y=twice, u=twice[::2, ::2].copy(), v=twice[::2, ::2].copy(), pts=0)
    assert np.array_equal(done[-1].y, scaler.scale(frame).y)
    restorer.close()


def test_a_size_that_is_open_needs_no_lanczos(
    config: RestorerConfig, engines: _SlowEngines
) -> None:
    engines.may_open.set()
    restorer = Restorer(config, engines=engines, opens_beside=True)
    restorer.prepare(SMALL)
    for index in range(3):
        restorer.push(_frame(index, LARGE))
    for index in range(3, 6):
        restorer.push(_frame(index, SMALL))
    assert restorer.counts.restored == 6
    assert restorer.counts.resized == 0
    restorer.close()


def test_without_opening_beside_a_frame_waits_for_its_network(
    config: RestorerConfig, engines: _SlowEngines
) -> None:
    engines.may_open.set()
    restorer = Restorer(config, engines=engines)
    restorer.push(_frame(0, LARGE))
    restorer.push(_frame(1, SMALL))
    assert restorer.counts.restored == 2
    restorer.close()


def test_a_network_that_cannot_be_opened_leaves_the_stream_to_lanczos(
    config: RestorerConfig, engines: _SlowEngines, caplog: pytest.LogCaptureFixture
) -> None:
    engines.fails = True
    engines.may_open.set()
    restorer = Restorer(config, engines=engines, opens_beside=True)
    restorer.push(_frame(0, LARGE))
    restorer.push(_frame(1, SMALL))
    wait_until(lambda: all(each.done() for each in restorer._shelf._opening.values()), "failed")
    for index in range(2, 6):
        assert len(restorer.push(_frame(index, SMALL))) == 1
    assert restorer.model_name == "lanczos"
    assert caplog.text.count("frames of 16x12 are only resized: no memory left") == 1
    restorer.push(_frame(6, LARGE))
    assert restorer.model_name == "tiny-x2"
    restorer.close()


def test_closing_waits_for_what_is_being_opened(
    config: RestorerConfig, engines: _SlowEngines
) -> None:
    restorer = Restorer(config, engines=engines, opens_beside=True)
    restorer.push(_frame(0, LARGE))
    restorer.push(_frame(1, SMALL))
    threading.Timer(0.1, engines.may_open.set).start()
    restorer.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("open networks")]
