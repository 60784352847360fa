"""The ladder: which picture size travels at which bitrate. Pure.

A receiver restores a small picture to HD better than a codec carries HD at the same rate, until
there are bits enough to carry HD itself. The steps below are for H.264 at 25 to 30 frames/s.
"""

from __future__ import annotations

from stream.frame import Size

_STEPS: tuple[tuple[int, Size], ...] = (
    (150_000, Size(width=320, height=180)),
    (900_000, Size(width=640, height=360)),
    (2_000_000, Size(width=960, height=540)),
)
"""Up to this many bits a second, at most this box.

At 150 kb/s 180p restored (x4) is better than 360p restored (x2) on each of six unseen clips, by 0.1
to 1.8 dB PSNR-Y, 0.9 dB in the mean.
"""

_TOP = Size(width=1280, height=720)


def choose_size(source: Size, bitrate_bps: int) -> Size:
    """The size to send a source of `source` at: its aspect ratio, even sides, never larger."""
    box = next((size for limit, size in _STEPS if bitrate_bps <= limit), _TOP)
    return fit(source, box)


def fit(source: Size, box: Size) -> Size:
    """The largest even size of the source's aspect ratio inside `box` and the source.

    A portrait source is fitted into the box turned upright.
    """
    if source.height > source.width:
        box = Size(width=box.height, height=box.width)
    limited = Size(width=min(box.width, source.width), height=min(box.height, source.height))
    return source.fit_inside(limited)
