"""The SVT-AV1 library itself, with a quantiser of its own for every frame.

FFmpeg's wrapper, and so PyAV, cannot change rate or quantiser of an open encoder, and the library's
own rate control overshoots: asked for 150 kb/s at 360p it sent 160 to 250 kb/s. So this talks to
the very library that PyAV has loaded, by its C interface (EbSvtAv1Enc.h of version 4), and leaves
the choice of quantisers to `encoder.quantiser_control`. The only file that knows that interface.
"""

from __future__ import annotations

import ctypes
import os
import re
import weakref
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av  # noqa: F401 (its libraries bring SVT-AV1 into the process)

from stream.errors import CodecError, FrameError
from stream.frame import Colour, Frame, Size
from stream.thread_scheduling import ordinary_threads

MIN_QUANTISER, MAX_QUANTISER = 1, 63
"""The quantiser parameter of the library: base_q_idx in steps of about 4."""

VERSIONS = "4.1 or a later 4"
_KNOWN_VERSION = re.compile(r"v4\.[1-9]")
"""The structures below are laid out like this in 4.1 and 4.2."""

_KEYFRAME, _ANY_FRAME = 3, 0xFF  # EbAv1PictureType
_END_OF_STREAM = 1  # EB_BUFFERFLAG_EOS
_CONFIGURATION_BYTES = 1 << 16  # far larger than EbSvtAv1EncConfiguration, which stays opaque


class _Buffer(ctypes.Structure):
    """EbBufferHeaderType."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("p_buffer", ctypes.c_void_p),
        ("n_filled_len", ctypes.c_uint32),
        ("n_alloc_len", ctypes.c_uint32),
        ("p_app_private", ctypes.c_void_p),
        ("wrapper_ptr", ctypes.c_void_p),
        ("n_tick_count", ctypes.c_uint32),
        ("dts", ctypes.c_int64),
        ("pts", ctypes.c_int64),
        ("temporal_layer_index", ctypes.c_uint8),
        ("qp", ctypes.c_uint32),
        ("avg_qp", ctypes.c_uint32),
        ("pic_type", ctypes.c_uint32),
        ("luma_sse", ctypes.c_uint64),
        ("cr_sse", ctypes.c_uint64),
        ("cb_sse", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("luma_ssim", ctypes.c_double),
        ("cr_ssim", ctypes.c_double),
        ("cb_ssim", ctypes.c_double),
        ("metadata", ctypes.c_void_p),
        ("reserved", ctypes.c_uint8 * 256),  # room for what a later version appends
    )


class _Planes(ctypes.Structure):
    """EbSvtIOFormat."""

    _fields_ = (
        ("luma", ctypes.c_void_p),
        ("cb", ctypes.c_void_p),
        ("cr", ctypes.c_void_p),
        ("y_stride", ctypes.c_uint32),
        ("cr_stride", ctypes.c_uint32),
        ("cb_stride", ctypes.c_uint32),
    )


class SvtAv1:
    """One open encoder: low delay, one temporal unit out per frame in. Not thread-safe."""

    def __init__(
        self,
        size: Size,
        *,
        frame_rate: Fraction,
        preset: int,
        colour: Colour = Colour(),
        tells_error: bool = False,
        library_options: Sequence[str] = (),
    ) -> None:
        """tells_error: whether `mse` is wanted. library_options: NAME=VALUE, after those below.

        Raises CodecError when the library is missing, another one, or refuses the settings.
        """
        self._library = library()
        self._size = size
        configuration = ctypes.create_string_buffer(_CONFIGURATION_BYTES)
        handle = ctypes.c_void_p()
        with ordinary_threads():
            self._call("svt_av1_enc_init_handle", ctypes.byref(handle), configuration)
        self._handle = handle
        options: dict[str, int | str] = {
            "width": size.width,
            "height": size.height,
            "fps-num": frame_rate.numerator,
            "fps-denom": frame_rate.denominator,
            "preset": preset,
            "pred-struct": 1,  # low delay: no frame waits for a later one
            "lookahead": 0,
            "rc": 0,
            "aq-mode": 0,
            "use-q-file": 1,  # the quantiser comes with each frame
            "hierarchical-levels": 2,  # the fewest; 2 % less bits than the default
            "scd": 0,
            "keyint": -1,  # the sender decides where keyframes are
            "enable-force-key-frames": 1,
            "lp": 1,
            "color-primaries": colour.primaries,
            "transfer-characteristics": colour.transfer,
            "matrix-coefficients": colour.matrix,
            "enable-stat-report": int(tells_error),
        }
        for option in library_options:
            key, _, given = option.partition("=")
            options[key] = given
        self.mse: float | None = None
        """Mean squared error of the luma of the last frame; None before, or when not wanted."""
        self._tells_error = tells_error
        try:
            for name, value in options.items():
                self._call(
                    "svt_av1_enc_parse_parameter", configuration, name.encode(), str(value).encode()
                )
            self._call("svt_av1_enc_set_parameter", handle, configuration)
            with ordinary_threads():
                self._call("svt_av1_enc_init", handle)
        except CodecError:
            self._library.svt_av1_enc_deinit_handle(handle)
            raise
        self._free = weakref.finalize(self, _destroy, self._library, handle)

    def encode(self, frame: Frame, *, quantiser: int, is_keyframe: bool) -> bytes:
        """The temporal unit (AV1 section 7.5, with its delimiter) of one frame.

        A keyframe depends on nothing before it, so what was coded before may be thrown away.
        Raises FrameError for another size than opened for, CodecError when the library fails.
        """
        if frame.size != self._size:
            raise FrameError(f"encoder opened for {self._size} got {frame.size}")
        planes = _Planes(
            luma=frame.y.ctypes.data,
            cb=frame.u.ctypes.data,
            cr=frame.v.ctypes.data,
            y_stride=frame.size.width,
            cr_stride=frame.size.width // 2,
            cb_stride=frame.size.width // 2,
        )
        picture = _Buffer(
            size=ctypes.sizeof(_Buffer),
            p_buffer=ctypes.addressof(planes),
            n_filled_len=frame.y.nbytes + frame.u.nbytes + frame.v.nbytes,
            pts=frame.pts,
            qp=max(MIN_QUANTISER, min(MAX_QUANTISER, quantiser)),
            pic_type=_KEYFRAME if is_keyframe else _ANY_FRAME,
        )
        self._call("svt_av1_enc_send_picture", self._handle, ctypes.byref(picture))
        packet = ctypes.POINTER(_Buffer)()
        self._call("svt_av1_enc_get_packet", self._handle, ctypes.byref(packet), 0)
        try:
            coded = packet.contents
            if coded.pts != frame.pts:
                raise CodecError(f"SVT-AV1 returned a frame of pts {coded.pts} for {frame.pts}")
            if self._tells_error:
                self.mse = coded.luma_sse / frame.y.size
            return ctypes.string_at(coded.p_buffer, coded.n_filled_len)
        finally:
            self._library.svt_av1_enc_release_out_buffer(ctypes.byref(packet))

    def close(self) -> None:
        """Free the library's threads and memory; the encoder may not be used afterwards."""
        self._free()

    def _call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401 (C arguments)
        status = getattr(self._library, name)(*arguments)
        if status:
            raise CodecError(f"SVT-AV1: {name} failed for {self._size} ({status & 0xFFFFFFFF:#x})")


def is_available() -> bool:
    """Whether AV1 can be coded here."""
    try:
        library()
    except CodecError:
        return False
    return True


@cache
def library() -> ctypes.CDLL:
    """SVT-AV1 as PyAV brings it. Raises CodecError when there is none, or not of this version."""
    # It reports every opening on standard error otherwise; 1: errors only.
    os.environ.setdefault("SVT_LOG", "1")
    loaded = re.search(r"/\S*libSvtAv1Enc\S*", Path("/proc/self/maps").read_text())
    if loaded is None:
        raise CodecError("this PyAV has no SVT-AV1: use --codec h264, or install PyAV's own wheel")
    svt = ctypes.CDLL(loaded.group())
    svt.svt_av1_get_version.restype = ctypes.c_char_p
    version = (svt.svt_av1_get_version() or b"").decode(errors="replace")
    if not _KNOWN_VERSION.match(version):
        raise CodecError(
            f"SVT-AV1 {version} is not supported, only {VERSIONS}: use --codec h264, "
            "or install the PyAV that edvr-live asks for"
        )
    svt.svt_av1_enc_get_packet.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint8)
    svt.svt_av1_enc_release_out_buffer.restype = None
    return svt


def _destroy(svt: ctypes.CDLL, handle: ctypes.c_void_p) -> None:
    end = _Buffer(size=ctypes.sizeof(_Buffer), flags=_END_OF_STREAM, pic_type=_ANY_FRAME)
    svt.svt_av1_enc_send_picture(handle, ctypes.byref(end))
    svt.svt_av1_enc_deinit(handle)
    svt.svt_av1_enc_deinit_handle(handle)
