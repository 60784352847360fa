"""The sequence header of AV1, as far as frame headers depend on it (section 5.5). Pure, bounded."""

from __future__ import annotations

from dataclasses import dataclass

from stream.av1_bits import Bits

EACH_FRAME_SAYS = 2
"""SELECT_SCREEN_CONTENT_TOOLS and SELECT_INTEGER_MV."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A choice of layers to decode."""

    layers: int  # operating_point_idc
    has_decoder_model: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceHeader:
    """What of a sequence header later headers depend on; lengths in bits."""

    is_reduced_still: bool
    operating_points: tuple[OperatingPoint, ...]
    presentation_time_bits: int  # 0: frames carry none
    removal_time_bits: int  # 0: there is no decoder model
    width_bits: int
    height_bits: int
    max_size: tuple[int, int]
    frame_id_bits: int  # 0: frames carry none
    delta_frame_id_bits: int
    uses_large_superblocks: bool
    order_hint_bits: int  # 0: frames carry none
    has_order_hint: bool
    has_reference_mvs: bool
    screen_content_tools: int
    integer_mv: int
    has_superres: bool

    @classmethod
    def parse(cls, payload: bytes) -> SequenceHeader:
        """From the payload of its OBU. Raises Malformed."""
        bits = Bits(payload)
        bits.take(4)  # profile, still picture
        is_reduced = bits.flag()
        points: list[OperatingPoint] = []
        presentation_time_bits = removal_time_bits = 0
        if is_reduced:
            bits.take(5)
            points.append(OperatingPoint(layers=0, has_decoder_model=False))
        else:
            points, presentation_time_bits, removal_time_bits = _operating_points(bits)
        width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
        max_size = (bits.take(width_bits) + 1, bits.take(height_bits) + 1)
        frame_id_bits = delta_frame_id_bits = 0
        if not is_reduced and bits.flag():
            delta_frame_id_bits = bits.take(4) + 2
            frame_id_bits = bits.take(3) + delta_frame_id_bits + 1
        uses_large_superblocks = bits.flag()
        bits.take(2)
        order_hint_bits, has_order_hint, has_reference_mvs = 0, False, False
        screen_content_tools = integer_mv = EACH_FRAME_SAYS
        if not is_reduced:
            bits.take(4)
            has_order_hint = bits.flag()
            if has_order_hint:
                bits.take(1)
                has_reference_mvs = bits.flag()
            if not bits.flag():
                screen_content_tools = bits.take(1)
            if screen_content_tools and not bits.flag():
                integer_mv = bits.take(1)
            if has_order_hint:
                order_hint_bits = bits.take(3) + 1
        return cls(
            is_reduced_still=is_reduced,
            operating_points=tuple(points),
            presentation_time_bits=presentation_time_bits,
            removal_time_bits=removal_time_bits,
            width_bits=width_bits,
            height_bits=height_bits,
            max_size=max_size,
            frame_id_bits=frame_id_bits,
            delta_frame_id_bits=delta_frame_id_bits,
            uses_large_superblocks=uses_large_superblocks,
            order_hint_bits=order_hint_bits,
            has_order_hint=has_order_hint,
            has_reference_mvs=has_reference_mvs,
            screen_content_tools=screen_content_tools,
            integer_mv=integer_mv,
            has_superres=bits.flag(),
        )


def _operating_points(bits: Bits) -> tuple[list[OperatingPoint], int, int]:
    """Also the lengths of presentation and of removal times."""
    delay_bits = presentation_time_bits = removal_time_bits = 0
    if bits.flag():  # timing info
        bits.take(64)
        has_equal_intervals = bits.flag()
        if has_equal_intervals:
            bits.uvlc()
        if bits.flag():  # decoder model
            delay_bits = bits.take(5) + 1
            bits.take(32)
            removal_time_bits = bits.take(5) + 1
            presentation_time_bits = bits.take(5) + 1
            if has_equal_intervals:
                presentation_time_bits = 0
    has_display_delay = bits.flag()
    points = []
    for _ in range(bits.take(5) + 1):
        layers = bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        has_model = bool(delay_bits) and bits.flag()
        if has_model:
            bits.take(2 * delay_bits + 1)
        if has_display_delay and bits.flag():
            bits.take(4)
        points.append(OperatingPoint(layers=layers, has_decoder_model=has_model))
    return points, presentation_time_bits, removal_time_bits
