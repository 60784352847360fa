"""A publisher's own coded pictures on their way to viewers, untouched, in packets of our own."""

from __future__ import annotations

from dataclasses import dataclass

from stream import rtp_av1, rtp_h264
from stream.coded_media import CodedPicture, CodedUnit
from stream.errors import PeerError
from stream.payload_formats import SENT_CODECS, PayloadCutter
from stream.timing import Track

_SPS = 7  # nal_unit_type (ITU-T H.264 table 7-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedPicture:
    """units: of one shown picture, in order. h264_profile_idc: of H.264, once it was seen."""

    units: tuple[CodedUnit, ...]
    codec: str
    is_keyframe: bool
    h264_profile_idc: int | None


class Passing:
    """Cuts pictures into units, on an output time that never goes back. Pure."""

    def __init__(self) -> None:
        self._codec = ""
        self._cutter: PayloadCutter | None = None
        self._profile_idc: int | None = None
        self._last_pts: int | None = None

    def take(self, picture: CodedPicture, *, pts: int) -> PassedPicture | None:
        """`picture` at an output time (1/90000 s); None when it cannot be sent on in its codec."""
        if picture.codec != self._codec:
            self._codec, self._profile_idc = picture.codec, None
            self._cutter = PayloadCutter(picture.codec) if picture.codec in SENT_CODECS else None
        if self._cutter is None:
            return None
        try:
            access_units = [_access_unit(picture.codec, each) for each in picture.data]
        except PeerError:
            return None
        if picture.codec == "h264" and picture.is_keyframe:
            self._profile_idc = _profile_idc(access_units[-1]) or self._profile_idc
        first_pts = pts - len(access_units) + 1
        if self._last_pts is not None:
            first_pts = max(first_pts, self._last_pts + 1)
        self._last_pts = first_pts + len(access_units) - 1
        units = tuple(
            CodedUnit(
                track=Track.VIDEO,
                codec=picture.codec,
                payloads=tuple(self._cutter.cut(access_unit)),
                pts=first_pts + index,
                is_keyframe=picture.is_keyframe,
            )
            for index, access_unit in enumerate(access_units)
        )
        return PassedPicture(
            units=units,
            codec=picture.codec,
            is_keyframe=picture.is_keyframe,
            h264_profile_idc=self._profile_idc,
        )


def _access_unit(codec: str, data: bytes) -> bytes:
    return rtp_av1.assemble(data) if codec == "av1" else data


def _profile_idc(access_unit: bytes) -> int | None:
    for unit in rtp_h264.split_access_unit(access_unit):
        if len(unit) > 1 and unit[0] & 0x1F == _SPS:
            return unit[1]
    return None
