"""Reads how coarsely an H.264 frame was quantised, from its slice headers (ITU-T H.264, 7.3).

The receiver gives this to the network: what must be undone depends on it, and it is in every
bitstream whoever sent it. Pure, bounded, and never raises on hostile input.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_QP = 51
_NAL_SLICE, _NAL_IDR, _NAL_SPS, _NAL_PPS = 1, 5, 7, 8
_HEADER_BYTES = 256  # longest prefix of a NAL unit that is ever looked at
_HIGH_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))
_MAX_PARAMETER_SETS = 64


class _Malformed(Exception):
    """A header that does not parse; stays inside this module."""


class _Bits:
    """Big-endian bit reader over an RBSP with emulation prevention removed."""

    def __init__(self, payload: bytes) -> None:
        clean = payload.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(clean, "big")
        self._left = 8 * len(clean)

    def take(self, count: int) -> int:
        if count > self._left:
            raise _Malformed
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def ue(self) -> int:
        zeros = 0
        while self.take(1) == 0:
            zeros += 1
            if zeros > 31:
                raise _Malformed
        return (1 << zeros) - 1 + self.take(zeros)

    def se(self) -> int:
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sps:
    separate_colour_planes: bool
    frame_num_bits: int
    poc_type: int
    poc_lsb_bits: int
    delta_pic_order_always_zero: bool
    frame_mbs_only: bool
    chroma_array_type: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pps:
    sps_id: int
    entropy_coding_mode: bool
    bottom_field_pic_order: bool
    weighted_pred: bool
    weighted_bipred_idc: int
    initial_qp: int
    redundant_pic_cnt_present: bool
    default_refs: tuple[int, int]


class QuantiserReader:
    """Follows one stream's parameter sets and tells each access unit's mean slice QP."""

    def __init__(self) -> None:
        self._sps: dict[int, _Sps] = {}
        self._pps: dict[int, _Pps] = {}

    def read(self, access_unit: bytes) -> float | None:
        """Mean slice QP (0..51) of an Annex B access unit; None when it cannot be told."""
        quantisers: list[int] = []
        for nal in _nal_units(access_unit):
            kind = nal[0] & 0x1F
            bits = _Bits(nal[1 : 1 + _HEADER_BYTES])
            try:
                if kind == _NAL_SPS:
                    self._add_sps(bits)
                elif kind == _NAL_PPS:
                    self._add_pps(bits)
                elif kind in (_NAL_SLICE, _NAL_IDR):
                    quantisers.append(self._slice_qp(bits, nal[0]))
            except (_Malformed, KeyError):
                continue
        return sum(quantisers) / len(quantisers) if quantisers else None

    def _add_sps(self, bits: _Bits) -> None:
        profile = bits.take(8)
        bits.take(16)
        sps_id = bits.ue()
        chroma_format, separate = 1, False
        if profile in _HIGH_PROFILES:
            chroma_format = bits.ue()
            separate = chroma_format == 3 and bool(bits.take(1))
            depth = bits.ue()
            bits.ue()
            bits.take(1)
            if depth > 6:
                raise _Malformed
            if bits.take(1):
                for index in range(8 if chroma_format != 3 else 12):
                    if bits.take(1):
                        _skip_scaling_list(bits, 16 if index < 6 else 64)
        frame_num_bits = bits.ue() + 4
        poc_type, poc_lsb_bits, always_zero = bits.ue(), 0, False
        if poc_type == 0:
            poc_lsb_bits = bits.ue() + 4
        elif poc_type == 1:
            always_zero = bool(bits.take(1))
            bits.se()
            bits.se()
            for _ in range(min(bits.ue(), 255)):
                bits.se()
        bits.ue()
        bits.take(1)
        bits.ue()
        bits.ue()
        frame_mbs_only = bool(bits.take(1))
        if frame_num_bits > 16 or poc_lsb_bits > 16 or sps_id >= _MAX_PARAMETER_SETS:
            raise _Malformed
        self._sps[sps_id] = _Sps(
            separate_colour_planes=separate,
            frame_num_bits=frame_num_bits,
            poc_type=poc_type,
            poc_lsb_bits=poc_lsb_bits,
            delta_pic_order_always_zero=always_zero,
            frame_mbs_only=frame_mbs_only,
            chroma_array_type=0 if separate else chroma_format,
        )

    def _add_pps(self, bits: _Bits) -> None:
        pps_id, sps_id = bits.ue(), bits.ue()
        entropy = bool(bits.take(1))
        bottom = bool(bits.take(1))
        if bits.ue() > 0 or pps_id >= 4 * _MAX_PARAMETER_SETS:
            raise _Malformed  # slice groups: only in the rarely seen Extended profile
        refs = (bits.ue() + 1, bits.ue() + 1)
        weighted, bipred = bool(bits.take(1)), bits.take(2)
        initial_qp = 26 + bits.se()
        bits.se()
        bits.se()
        bits.take(2)
        self._pps[pps_id] = _Pps(
            sps_id=sps_id,
            entropy_coding_mode=entropy,
            bottom_field_pic_order=bottom,
            weighted_pred=weighted,
            weighted_bipred_idc=bipred,
            initial_qp=initial_qp,
            redundant_pic_cnt_present=bool(bits.take(1)),
            default_refs=refs,
        )

    def _slice_qp(self, bits: _Bits, nal_header: int) -> int:
        is_idr, is_reference = nal_header & 0x1F == _NAL_IDR, bool(nal_header & 0x60)
        bits.ue()
        slice_type = bits.ue() % 5  # 0 P, 1 B, 2 I, 3 SP, 4 SI (table 7-6)
        pps = self._pps[bits.ue()]
        sps = self._sps[pps.sps_id]
        if sps.separate_colour_planes:
            bits.take(2)
        bits.take(sps.frame_num_bits)
        field = False
        if not sps.frame_mbs_only and bits.take(1):
            field = True
            bits.take(1)
        if is_idr:
            bits.ue()
        if sps.poc_type == 0:
            bits.take(sps.poc_lsb_bits)
            if pps.bottom_field_pic_order and not field:
                bits.se()
        elif sps.poc_type == 1 and not sps.delta_pic_order_always_zero:
            bits.se()
            if pps.bottom_field_pic_order and not field:
                bits.se()
        if pps.redundant_pic_cnt_present:
            bits.ue()
        if slice_type == 1:
            bits.take(1)
        refs = list(pps.default_refs)
        if slice_type in (0, 1, 3) and bits.take(1):
            refs[0] = bits.ue() + 1
            if slice_type == 1:
                refs[1] = bits.ue() + 1
        lists = {0: 1, 3: 1, 1: 2}.get(slice_type, 0)
        for _ in range(lists):
            _skip_list_modification(bits)
        if (pps.weighted_pred and slice_type in (0, 3)) or (
            pps.weighted_bipred_idc == 1 and slice_type == 1
        ):
            _skip_weights(bits, refs[:lists], has_chroma=sps.chroma_array_type != 0)
        if is_reference:
            _skip_reference_marking(bits, is_idr=is_idr)
        if pps.entropy_coding_mode and slice_type not in (2, 4):
            bits.ue()
        quantiser = pps.initial_qp + bits.se()
        if not 0 <= quantiser <= MAX_QP:
            raise _Malformed
        return quantiser


def _nal_units(access_unit: bytes) -> list[bytes]:
    # A start code is 00 00 01; a zero byte before it belongs to it (annex B).
    return [part for part in access_unit.split(b"\x00\x00\x01")[1:] if part]


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def _skip_list_modification(bits: _Bits) -> None:
    if not bits.take(1):
        return
    for _ in range(66):
        if bits.ue() == 3:
            return
        bits.ue()
    raise _Malformed


def _skip_weights(bits: _Bits, refs: list[int], *, has_chroma: bool) -> None:
    bits.ue()
    if has_chroma:
        bits.ue()
    for count in refs:
        if count > 32:
            raise _Malformed
        for _ in range(count):
            if bits.take(1):
                bits.se()
                bits.se()
            if has_chroma and bits.take(1):
                for _ in range(4):
                    bits.se()


def _skip_reference_marking(bits: _Bits, *, is_idr: bool) -> None:
    if is_idr:
        bits.take(2)
    elif bits.take(1):
        for _ in range(66):
            operation = bits.ue()
            if operation == 0:
                return
            bits.ue()
            if operation == 3:
                bits.ue()
        raise _Malformed
