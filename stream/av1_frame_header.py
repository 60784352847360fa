"""Frame headers of AV1, as far as the quantiser (section 5.9). Pure, bounded.

A frame header can only be read by whoever follows the stream: its size may be that of a frame it
refers to. What does not parse raises `Malformed`, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from stream.av1_bits import Bits, Malformed
from stream.av1_sequence_header import EACH_FRAME_SAYS, SequenceHeader
from stream.obu import Obu

_SLOTS, _REFERENCES = 8, 7
_KEY, _INTER, _INTRA_ONLY, _SWITCH = range(4)
_NO_SUPERRES = 8
_MAX_TILE_WIDTH, _MAX_TILE_AREA, _MAX_TILES_A_SIDE = 4096, 4096 * 2304, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedPicture:
    """What a frame header says. size: (width, height) before superresolution's upscaling."""

    base_q_idx: int
    is_shown: bool
    is_key: bool
    upscaled_width: int
    size: tuple[int, int]


class FrameHeaderReader:
    """Follows the frames of one stream. sequence: its latest sequence header, set by the caller."""

    def __init__(self) -> None:
        self.sequence: SequenceHeader | None = None
        self._slots: list[CodedPicture | None] = [None] * _SLOTS

    def read(self, obu: Obu) -> CodedPicture:
        """The header in a frame or frame header OBU. Raises Malformed."""
        if self.sequence is None:
            raise Malformed
        return self._header(Bits(obu.payload), self.sequence, obu)

    def _header(self, bits: Bits, sequence: SequenceHeader, obu: Obu) -> CodedPicture:
        kind, is_shown, is_resilient = _KEY, True, True
        if not sequence.is_reduced_still:
            if bits.flag():
                return self._shown_again(bits.take(3))
            kind, is_shown = bits.take(2), bits.flag()
            if is_shown:
                bits.take(sequence.presentation_time_bits)
            else:
                bits.take(1)
            is_resilient = kind == _SWITCH or (kind == _KEY and is_shown) or bits.flag()
        is_intra = kind in (_KEY, _INTRA_ONLY)
        is_cdf_fixed = bits.flag()
        has_screen_tools = sequence.screen_content_tools
        if has_screen_tools == EACH_FRAME_SAYS:
            has_screen_tools = bits.take(1)
        has_integer_mv = False
        if has_screen_tools:
            says = sequence.integer_mv == EACH_FRAME_SAYS
            has_integer_mv = bits.flag() if says else bool(sequence.integer_mv)
        bits.take(sequence.frame_id_bits)
        overrides_size = kind == _SWITCH
        if not overrides_size and not sequence.is_reduced_still:
            overrides_size = bits.flag()
        bits.take(sequence.order_hint_bits)
        if not is_intra and not is_resilient:
            bits.take(3)  # primary_ref_frame
        _skip_removal_times(bits, sequence, obu)
        refreshed = 0xFF
        if kind != _SWITCH and not (kind == _KEY and is_shown):
            refreshed = bits.take(8)
        if (not is_intra or refreshed != 0xFF) and is_resilient and sequence.has_order_hint:
            bits.take(_SLOTS * sequence.order_hint_bits)
        if is_intra:
            upscaled_width, size = _frame_size(bits, sequence, is_overridden=overrides_size)
            _skip_render_size(bits)
            if has_screen_tools and upscaled_width == size[0]:
                bits.take(1)  # allow_intrabc
        else:
            upscaled_width, size = self._inter_size(
                bits, sequence, overrides_size=overrides_size, is_resilient=is_resilient
            )
            if not has_integer_mv:
                bits.take(1)
            if not bits.flag():
                bits.take(2)  # interpolation filter
            bits.take(1)
            if not is_resilient and sequence.has_reference_mvs:
                bits.take(1)
        if not sequence.is_reduced_still and not is_cdf_fixed:
            bits.take(1)
        _skip_tile_info(bits, sequence, size)
        picture = CodedPicture(
            base_q_idx=bits.take(8),
            is_shown=is_shown,
            is_key=kind == _KEY,
            upscaled_width=upscaled_width,
            size=size,
        )
        for slot in range(_SLOTS):
            if refreshed >> slot & 1:
                self._slots[slot] = picture
        return picture

    def _shown_again(self, slot: int) -> CodedPicture:
        picture = self._slots[slot]
        if picture is None:
            raise Malformed
        if picture.is_key:  # section 7.21: it is loaded into every slot
            self._slots = [picture] * _SLOTS
        return replace(picture, is_shown=True)

    def _inter_size(
        self, bits: Bits, sequence: SequenceHeader, *, overrides_size: bool, is_resilient: bool
    ) -> tuple[int, tuple[int, int]]:
        references: list[int | None] = []
        is_short = sequence.has_order_hint and bits.flag()
        if is_short:
            bits.take(6)
        for _ in range(_REFERENCES):
            # In the short form the others follow from order hints, which are not kept here.
            references.append(None if is_short else bits.take(3))
            bits.take(sequence.delta_frame_id_bits)
        if overrides_size and not is_resilient:
            for reference in references:
                if bits.flag():
                    return self._size_of(bits, sequence, reference)
        size = _frame_size(bits, sequence, is_overridden=overrides_size)
        _skip_render_size(bits)
        return size

    def _size_of(
        self, bits: Bits, sequence: SequenceHeader, reference: int | None
    ) -> tuple[int, tuple[int, int]]:
        picture = None if reference is None else self._slots[reference]
        if picture is None:
            raise Malformed
        width = picture.upscaled_width
        return width, (_coded_width(bits, sequence, width), picture.size[1])


def _skip_removal_times(bits: Bits, sequence: SequenceHeader, obu: Obu) -> None:
    if not sequence.removal_time_bits or not bits.flag():
        return
    for point in sequence.operating_points:
        if not point.has_decoder_model:
            continue
        is_in_layer = point.layers >> obu.temporal_id & 1 and point.layers >> obu.spatial_id + 8 & 1
        if not point.layers or is_in_layer:
            bits.take(sequence.removal_time_bits)


def _frame_size(
    bits: Bits, sequence: SequenceHeader, *, is_overridden: bool
) -> tuple[int, tuple[int, int]]:
    width, height = sequence.max_size
    if is_overridden:
        width, height = bits.take(sequence.width_bits) + 1, bits.take(sequence.height_bits) + 1
    return width, (_coded_width(bits, sequence, width), height)


def _coded_width(bits: Bits, sequence: SequenceHeader, upscaled_width: int) -> int:
    if not sequence.has_superres or not bits.flag():
        return upscaled_width
    denominator = bits.take(3) + _NO_SUPERRES + 1
    return (upscaled_width * _NO_SUPERRES + denominator // 2) // denominator


def _skip_render_size(bits: Bits) -> None:
    if bits.flag():
        bits.take(32)


def _skip_tile_info(bits: Bits, sequence: SequenceHeader, size: tuple[int, int]) -> None:
    shift = 7 if sequence.uses_large_superblocks else 6  # log2 of a superblock's side
    columns, rows = ((2 * ((side + 7) >> 3) * 4 + (1 << shift) - 1) >> shift for side in size)
    most_width = _MAX_TILE_WIDTH >> shift
    least_log2_columns = _tile_log2(most_width, columns)
    least_log2 = max(least_log2_columns, _tile_log2(_MAX_TILE_AREA >> 2 * shift, rows * columns))
    if bits.flag():  # uniform spacing
        most = _tile_log2(1, min(columns, _MAX_TILES_A_SIDE))
        log2_columns = _counted_up(bits, least_log2_columns, most)
        most = _tile_log2(1, min(rows, _MAX_TILES_A_SIDE))
        log2_rows = _counted_up(bits, max(least_log2 - log2_columns, 0), most)
    else:
        widths = _spans(bits, columns, most_width)
        area = rows * columns >> least_log2 + 1 if least_log2 else rows * columns
        heights = _spans(bits, rows, max(area // max(widths), 1))
        log2_columns, log2_rows = _tile_log2(1, len(widths)), _tile_log2(1, len(heights))
    if log2_columns or log2_rows:
        bits.take(log2_columns + log2_rows + 2)


def _tile_log2(size: int, target: int) -> int:
    log2 = 0
    while size << log2 < target:
        log2 += 1
    return log2


def _counted_up(bits: Bits, least: int, most: int) -> int:
    while least < most and bits.flag():
        least += 1
    return least


def _spans(bits: Bits, total: int, most: int) -> list[int]:
    spans: list[int] = []
    while sum(spans) < total:
        if len(spans) == _MAX_TILES_A_SIDE:
            raise Malformed
        spans.append(bits.ns(min(total - sum(spans), most)) + 1)
    return spans
