"""AV1 by SVT-AV1 in live settings."""

from __future__ import annotations

from fractions import Fraction

from encoder.quantiser_control import LAYERS, QuantiserControl
from encoder.svt_av1 import MAX_QUANTISER, MIN_QUANTISER, SvtAv1
from encoder.video_encoder import (
    MAX_BITRATE_BPS,
    MIN_BITRATE_BPS,
    AV1Settings,
    EncodedFrame,
)
from stream.errors import FrameError
from stream.frame import Colour, Frame, Size

KEYFRAME_TRIES = 4
"""How often the quantiser of a keyframe is corrected, at about 10 ms each at 360p."""

GOOD_SHARE, AIMED_SHARE = 0.75, 0.88
"""A keyframe that uses at least the first share of what it may take is not tried again; otherwise
the next try aims at the second."""

TRIAL_LEARNING = 0.5
"""Weight of the newest keyframe in how much smaller than tried they come out."""

LOWEST_QUANTISER = 8
"""Finer than this nothing visible is gained, in LR that is going to be restored."""

_PRESETS = ((320 * 180 * 30, 4), (640 * 360 * 30, 7), (960 * 540 * 30, 8))
FASTEST_PRESET = 10
FASTEST_LIVE_PRESET = 12
"""Where nothing else keeps up."""


def preset_for(size: Size, frame_rate: float) -> int:
    """The slowest preset that takes about half a core at this picture rate.

    At 360p, one core codes 60 to 120 frames a second with preset 6, 110 to 190 with 8 and 240 to
    450 with 10; 6 needs 10 to 15 % less bits than 8 for the same PSNR, 10 needs 15 to 39 % more.
    At 180p, 4 needs 6 % less than 5 and takes 1.2 times as long.
    """
    pixels_per_second = size.width * size.height * frame_rate
    for most, preset in _PRESETS:
        if pixels_per_second <= most:
            return preset
    return FASTEST_PRESET


class AV1Encoder:
    """A `VideoEncoder` over SVT-AV1; see `AV1Settings`.

    A frame that does not fit the rate even at the coarsest quantiser is replaced by a repetition of
    the last one that did, in a few dozen bytes: so there is one temporal unit for each frame. A
    keyframe that does not fit yet waits meanwhile.
    """

    def __init__(self, settings: AV1Settings) -> None:
        self._settings = settings
        self._control = QuantiserControl(
            settings.target_bitrate_bps,
            samples=settings.size.width * settings.size.height,
            lowest=LOWEST_QUANTISER,
            highest=MAX_QUANTISER,
        )
        self._target_bitrate_bps = settings.target_bitrate_bps
        self._last_pts: int | None = None
        self._shown: Frame | None = None  # the source of what the other end shows
        self._position = 0  # frames since the last keyframe
        self._owes_keyframe = True
        self._needed_bits = 0.0  # that the owed keyframe takes at least
        self._steps = self._opened_steps = 0  # faster than the settings say
        self._colour = Colour()
        self._trial: SvtAv1 | None = None
        self._trial_ratio = 1.0
        # To refuse bad settings at once; the colour tags come with the first frame.
        self._codec: SvtAv1 | None = self._open(Colour())

    @property
    def target_bitrate_bps(self) -> int:
        """Bits a second aimed at."""
        return self._target_bitrate_bps

    @target_bitrate_bps.setter
    def target_bitrate_bps(self, bitrate_bps: int) -> None:
        self._target_bitrate_bps = max(MIN_BITRATE_BPS, min(MAX_BITRATE_BPS, bitrate_bps))

    def encode(self, frame: Frame, *, force_keyframe: bool = False) -> EncodedFrame:
        """Compress one frame to one temporal unit; see `VideoEncoder.encode`."""
        if frame.size != self._settings.size:
            raise FrameError(f"encoder opened for {self._settings.size} got {frame.size}")
        if self._last_pts is not None and frame.pts <= self._last_pts:
            raise FrameError(f"pts {frame.pts} does not follow {self._last_pts}")
        self._last_pts = frame.pts
        codec = self._codec
        if codec is None or frame.colour != self._colour:
            self.close()
            codec = self._codec = self._open(frame.colour)
            self._owes_keyframe, self._needed_bits, self._shown = True, 0.0, None
        self._control.retarget(self._target_bitrate_bps)
        self._control.start_frame(frame.pts)
        self._owes_keyframe |= force_keyframe
        if self._owes_keyframe:
            data = self._keyframe(codec, frame)
            if data is not None:
                mse = self._codec.mse if self._codec else None
                return EncodedFrame(data=data, pts=frame.pts, is_keyframe=True, mse=mse)
        else:
            data = self._inter(codec, frame)
        if data is None:
            data = self._repeat(codec, frame)
            return EncodedFrame(data=data, pts=frame.pts, is_keyframe=False)
        return EncodedFrame(data=data, pts=frame.pts, is_keyframe=False, mse=codec.mse)

    def be_faster(self, steps: int) -> None:
        """Take a faster preset; see `VideoEncoder.be_faster`."""
        self._steps = steps
        self._owes_keyframe |= steps != self._opened_steps

    def close(self) -> None:
        """Free the codec; the encoder may not be used afterwards."""
        for codec in (self._codec, self._trial):
            if codec is not None:
                codec.close()
        self._codec = self._trial = None

    def _keyframe(self, codec: SvtAv1, frame: Frame) -> bytes | None:
        """A keyframe of about the wanted size; None when it must wait until more was saved."""
        room = self._control.keyframe_room()
        # With nothing on the other end's screen, or nothing left to save, it goes as it is.
        must_go = self._shown is None or room.most_bits >= self._control.target_bps
        if room.most_bits < self._needed_bits and not must_go:
            return None
        quantiser, bits = self._try_keyframe(frame, wanted_bits=max(room.wanted_bits, 1.0))
        if bits > room.most_bits and not must_go:
            self._needed_bits = bits
            return None
        if self._steps != self._opened_steps:
            codec.close()
            codec = self._codec = self._open(frame.colour)
        data = codec.encode(frame, quantiser=quantiser, is_keyframe=True)
        self._trial_ratio *= (8 * len(data) / bits) ** TRIAL_LEARNING
        self._owes_keyframe, self._needed_bits = False, 0.0
        self._shown, self._position = frame, 0
        self._control.note_keyframe(quantiser=quantiser, bits=8 * len(data))
        return data

    def _try_keyframe(self, frame: Frame, *, wanted_bits: float) -> tuple[int, float]:
        """The quantiser at which a keyframe takes at most `wanted_bits`, and what it will take.

        Found by coding it with the fastest preset, in an encoder of its own: the one that codes the
        stream must not forget what the other end refers to, since the keyframe may have to wait.
        """
        if self._trial is None:
            self._trial = self._open(frame.colour, preset=FASTEST_PRESET)
        quantiser = self._control.keyframe_quantiser(wanted_bits)
        too_fine, fitting, bits = MIN_QUANTISER - 1, MAX_QUANTISER + 1, 0.0
        for _ in range(KEYFRAME_TRIES):
            tried = self._trial.encode(frame, quantiser=quantiser, is_keyframe=True)
            bits = 8 * len(tried) * self._trial_ratio
            self._control.note_keyframe_size(quantiser=quantiser, bits=bits)
            if bits > wanted_bits:
                too_fine = max(too_fine, quantiser)
            else:
                fitting = quantiser
                if bits >= GOOD_SHARE * wanted_bits:
                    break
            following = self._control.keyframe_quantiser(AIMED_SHARE * wanted_bits)
            following = max(LOWEST_QUANTISER, too_fine + 1, min(following, fitting - 1))
            if following > MAX_QUANTISER or following == fitting:
                break
            quantiser = following
        return quantiser, bits

    def _inter(self, codec: SvtAv1, frame: Frame) -> bytes | None:
        """A frame that refers to others; None when it does not fit."""
        layer = LAYERS[(self._position + 1) % len(LAYERS)]
        quantiser = self._control.inter_quantiser(layer)
        if quantiser is None:
            return None
        data = codec.encode(frame, quantiser=quantiser, is_keyframe=False)
        self._shown, self._position = frame, self._position + 1
        self._control.note_inter(layer, quantiser=quantiser, bits=8 * len(data))
        return data

    def _repeat(self, codec: SvtAv1, frame: Frame) -> bytes:
        """The last picture once more."""
        assert self._shown is not None  # what is sent first must go
        data = codec.encode(self._shown.at(frame.pts), quantiser=MAX_QUANTISER, is_keyframe=False)
        self._position += 1
        self._control.note_repeat(bits=8 * len(data))
        return data

    def _open(self, colour: Colour, *, preset: int | None = None) -> SvtAv1:
        settings = self._settings
        is_trial = preset is not None
        if preset is None:
            preset = preset_for(settings.size, settings.frame_rate)
            if settings.preset != "auto":
                preset = int(settings.preset)
            preset = min(preset + self._steps, max(preset, FASTEST_LIVE_PRESET))
            self._opened_steps = self._steps
        self._colour = colour
        return SvtAv1(
            settings.size,
            frame_rate=Fraction(settings.frame_rate).limit_denominator(1001),
            preset=preset,
            colour=colour,
            tells_error=not is_trial,
            library_options=settings.library_options,
        )
