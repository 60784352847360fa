"""What tests ask of coded frames, whatever the codec."""

from collections.abc import Sequence

import av
import numpy as np

from encoder.scene import Scene, SceneConfig
from encoder.video_encoder import EncodedFrame
from stream.frame import Frame, Size

CUT = 60


def moving_frames(size: Size) -> list[Frame]:
    """120 frames of the test scene at 25 a second, cut at frame `CUT`."""
    scene = Scene(SceneConfig(size=size, fps=25, duration_s=4.8))
    return [scene.frame(index) for index in range(2 * CUT)]


def keyframes(coded: Sequence[EncodedFrame]) -> list[int]:
    return [index for index, each in enumerate(coded) if each.is_keyframe]


def busiest_second(coded: Sequence[EncodedFrame]) -> int:
    """Most bits in any 25 frames in a row."""
    bits = [8 * len(each.data) for each in coded]
    return int(np.convolve(bits, np.ones(25, np.int64), "valid").max())


def decoded(coded: Sequence[EncodedFrame], *, library: str) -> list[av.VideoFrame]:
    """Pictures, each as soon as its frame was given; `library`: the decoder's name in PyAV."""
    decoder = av.CodecContext.create(library, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    decoder.flags |= av.codec.context.Flags.low_delay
    return [shown for each in coded for shown in decoder.decode(av.Packet(each.data))]
