import numpy as np
import pytest

from decoder.artefact import find_artefact
from decoder.config import RestorerConfig
from decoder.restorer import Restorer
from decoder.training.artefact_network import live_network
from decoder.training.restored_clip import restored_clip
from stream.frame import Size
from stream.weight_delta import QuantisedTensor
from tests.training_media import moving_frame

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def test_a_clip_is_restored_as_the_receiver_restores_it() -> None:
    lr = [moving_frame(index, width=64, height=48).at(3600 * index) for index in range(4)]
    config = RestorerConfig(
        size=Size(width=256, height=192), model="live-xs-x4", backend="onnxruntime", threads=1
    )
    restorer = Restorer(config)
    try:
        received = [out for frame in lr for out in restorer.push(frame)] + restorer.flush()
    finally:
        restorer.close()

    network = live_network(find_artefact("live-xs-x4"))
    restored = list(restored_clip(network, {}, lr))

    assert [frame.pts for frame in restored] == [frame.pts for frame in received]
    for ours, theirs in zip(restored, received, strict=True):
        for plane in ("y", "u", "v"):
            difference = getattr(ours, plane).astype(int) - getattr(theirs, plane)
            assert np.abs(difference).max() <= 1

    brighter = QuantisedTensor(values=np.ones(96, np.int16), scale=0.1, bits=2)
    changed = list(restored_clip(network, {"fuse.conv_last.bias": brighter}, lr))
    assert changed[0].y.mean() - restored[0].y.mean() == pytest.approx(12.8, abs=2)
