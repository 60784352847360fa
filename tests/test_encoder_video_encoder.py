import pytest

from encoder.video_encoder import (
    MAX_BITRATE_BPS,
    MIN_BITRATE_BPS,
    H264Settings,
    open_video_encoder,
)
from stream.errors import ConfigError
from stream.frame import Size
from tests.live_media import SIZE, picture


@pytest.mark.parametrize("bitrate_bps", [MIN_BITRATE_BPS, MAX_BITRATE_BPS])
def test_both_ends_of_the_bitrate_range_give_an_encoder_that_works(bitrate_bps: int) -> None:
    encoder = open_video_encoder(H264Settings(size=SIZE, target_bitrate_bps=bitrate_bps))
    coded = encoder.encode(picture(0))
    encoder.close()
    assert coded.is_keyframe
    assert coded.data.startswith(b"\0\0\0\1")


@pytest.mark.parametrize("bitrate_bps", [0, MIN_BITRATE_BPS - 1, MAX_BITRATE_BPS + 1])
def test_a_bitrate_out_of_range_is_refused_with_the_range(bitrate_bps: int) -> None:
    with pytest.raises(ConfigError, match=f"{bitrate_bps} b/s is out of range: choose 30k to 5M"):
        H264Settings(size=SIZE, target_bitrate_bps=bitrate_bps)


def test_odd_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="even"):
        H264Settings(size=Size(width=160, height=97), target_bitrate_bps=100_000)
