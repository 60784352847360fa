"""Which H.264 encoder compresses outputs: a hardware one where it works, else libx264.

That a codec opens proves little: drivers refuse sizes, hold frames back, or ignore keyframes that
are asked for. So each one is tried on a moving picture, and what comes out is decoded and compared.

h264_vaapi is not in PyAV's wheels; it is found where PyAV was built against a system's FFmpeg.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import av
import numpy as np
from av.codec.hwaccel import HWAccel
from av.video.frame import PictureType
from av.video.stream import VideoStream
from numpy.typing import NDArray

from stream.errors import ConfigError
from stream.frame import CLOCK_HZ, Size
from stream.frame_av import TIME_BASE

_log = logging.getLogger(__name__)

OutputCodec = Literal["auto", "x264", "nvenc", "qsv", "vaapi"]
"""How users name them."""

LEAST_PSNR_DB = 28.0
"""Any encoder at these settings is far above it; a picture in the wrong format is far below."""

_PROBE_FRAMES = 8
_PROBE_KEYFRAME = 5
_PROBE_STEP = CLOCK_HZ // 25


@dataclass(frozen=True, slots=True, kw_only=True)
class H264Codec:
    """One of FFmpeg's H.264 encoders, with the options that make it give each frame back at once.

    pixel_format: what it takes. device: hardware that frames are uploaded to first, or None.
    """

    name: str
    codec: str
    pixel_format: Literal["yuv420p", "nv12"] = "yuv420p"
    device: str | None = None
    options: tuple[tuple[str, str], ...] = ()

    @property
    def is_hardware(self) -> bool:
        """Whether a chip does the work."""
        return self.codec != "libx264"

    def hwaccel(self) -> HWAccel | None:
        """What PyAV needs to upload frames."""
        return None if self.device is None else HWAccel(self.device)


X264 = H264Codec(name="x264", codec="libx264")
"""Its options are in `decoder.video_output`, with their cost."""

HARDWARE = (
    H264Codec(
        name="nvenc",
        codec="h264_nvenc",
        options=(
            *(("preset", "p4"), ("tune", "ll"), ("rc", "vbr"), ("cq", "22"), ("b", "0")),
            *(("bf", "0"), ("delay", "0"), ("zerolatency", "1"), ("forced-idr", "1")),
            *(("rc-lookahead", "0"), ("profile", "high")),
        ),
    ),
    H264Codec(
        name="qsv",
        codec="h264_qsv",
        pixel_format="nv12",
        options=(
            *(("preset", "veryfast"), ("global_quality", "22"), ("look_ahead", "0"), ("bf", "0")),
            *(("async_depth", "1"), ("forced_idr", "1"), ("profile", "high")),
        ),
    ),
    H264Codec(
        name="vaapi",
        codec="h264_vaapi",
        pixel_format="nv12",
        device="vaapi",
        options=(
            *(("rc_mode", "CQP"), ("qp", "22"), ("bf", "0"), ("async_depth", "1")),
            ("profile", "high"),
        ),
    ),
)


def choose_codec(wanted: OutputCodec, size: Size) -> H264Codec:
    """The encoder for pictures of `size`; `auto` takes the first hardware that works.

    Raises ConfigError when one that is asked for by name does not work here.
    """
    if wanted == "x264":
        return X264
    for each in HARDWARE:
        if wanted in ("auto", each.name):
            problem = problem_with(each, size)
            if problem is None:
                _log.info("outputs of %s are compressed by %s", size, each.codec)
                return each
            if wanted != "auto":
                raise ConfigError(
                    f"--output-codec {wanted} does not work here ({problem}): choose one of "
                    f"{', '.join(get_args(OutputCodec))}"
                )
            _log.debug("%s is not used: %s", each.codec, problem)
    return X264


@cache
def problem_with(codec: H264Codec, size: Size) -> str | None:
    """Why an encoder cannot be used, after trying; None when it works. Takes some 10 ms."""
    try:
        return _try(codec, size)
    except (av.FFmpegError, ValueError, RuntimeError, NotImplementedError) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _try(codec: H264Codec, size: Size) -> str | None:
    coded = io.BytesIO()
    pictures = [_picture(index, size) for index in range(_PROBE_FRAMES)]
    keyframes = []
    with av.open(coded, "w", format="h264") as container:
        stream = container.add_stream(
            codec.codec,
            rate=25,
            width=size.width,
            height=size.height,
            pix_fmt=codec.pixel_format,
            time_base=TIME_BASE,
            options={**dict(codec.options), "g": "1000"},
            hwaccel=codec.hwaccel(),
        )
        assert isinstance(stream, VideoStream)  # by the codec's kind; tells mypy
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame = frame.reformat(format=codec.pixel_format)
            frame.pts, frame.time_base = index * _PROBE_STEP, TIME_BASE
            asked = index in (0, _PROBE_KEYFRAME)
            frame.pict_type = PictureType.I if asked else PictureType.NONE
            packets = list(stream.encode(frame))
            if len(packets) != 1:
                return "it holds pictures back"
            if packets[0].pts != frame.pts:
                return "it changes timestamps"
            keyframes += [index] if packets[0].is_keyframe else []
            container.mux(packets)
        container.mux(stream.encode(None))
    if keyframes != [0, _PROBE_KEYFRAME]:
        return "it makes keyframes as it likes"
    with av.open(io.BytesIO(coded.getvalue()), "r", format="h264") as written:
        decoded = [frame.to_ndarray(format="yuv420p") for frame in written.decode(video=0)]
    if len(decoded) != len(pictures):
        return f"of {len(pictures)} pictures it coded {len(decoded)}"
    worst_db = min(_psnr_db(a, b) for a, b in zip(pictures, decoded, strict=True))
    return None if worst_db >= LEAST_PSNR_DB else f"its pictures are wrong ({worst_db:.0f} dB)"


def _picture(index: int, size: Size) -> NDArray[np.uint8]:
    """A gradient that moves, as rows of the three planes."""
    ramp = np.add.outer(np.arange(size.height), np.arange(size.width))
    luma = (16 + (ramp // 2 + 4 * index) % 200).astype(np.uint8)
    chroma = np.full((size.height // 2, size.width), 110 + index, np.uint8)
    return np.vstack((luma, chroma))


# Any: what PyAV declares for pictures of whatever format.
def _psnr_db(a: NDArray[Any], b: NDArray[Any]) -> float:
    error = float(np.mean((a.astype(np.float32) - b.astype(np.float32)) ** 2))
    return float(10 * np.log10(255**2 / max(error, 1e-9)))
