"""The rate control of AV1 against a codec of formulas: no video, no clock."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.quantiser_control import LAYERS, QuantiserControl
from stream.frame import CLOCK_HZ

STEP = CLOCK_HZ // 30
LOWEST, HIGHEST = 8, 63


@dataclass(kw_only=True)
class FormulaCodec:
    """bits = complexity(frame) * exp(-slope * quantiser), with noise; more where quality jumps."""

    complexity: Callable[[int], float]
    slope: float = 0.08
    noise: float = 0.2
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    reference: int = HIGHEST

    def bits(self, index: int, *, layer: int, quantiser: int, is_keyframe: bool) -> int:
        bits = self.complexity(index) * math.exp(-self.slope * quantiser)
        bits *= math.exp(self.chance.gauss(0, self.noise))
        if is_keyframe:
            bits *= 6
        elif layer == 0:
            bits *= math.exp(0.1 * max(0, self.reference - quantiser))
        if is_keyframe or layer == 0:
            self.reference = quantiser
        return max(200, round(bits))


def drive(
    codec: FormulaCodec,
    *,
    frames: int,
    target_bps: Callable[[int], int],
    keyframes: tuple[int, ...] = (0,),
) -> list[int]:
    """The bits of each frame, as `AV1Encoder` uses the control."""
    control = QuantiserControl(target_bps(0), samples=230_400, lowest=LOWEST, highest=HIGHEST)
    spent: list[int] = []
    position, owed = 0, False
    for index in range(frames):
        control.retarget(target_bps(index))
        control.start_frame(index * STEP)
        owed |= index in keyframes
        if owed:
            room = control.keyframe_room()
            quantiser = control.keyframe_quantiser(max(room.wanted_bits, 1.0))
            for _ in range(4):
                bits = codec.bits(index, layer=0, quantiser=quantiser, is_keyframe=True)
                control.note_keyframe_size(quantiser=quantiser, bits=bits)
                if bits <= room.wanted_bits:
                    break
                quantiser = min(HIGHEST, quantiser + 4)
            if index == 0 or bits <= room.most_bits:
                control.note_keyframe(quantiser=quantiser, bits=bits)
                spent.append(bits)
                owed, position = False, 0
                continue
        position += 1
        layer = LAYERS[position % len(LAYERS)]
        planned = None if owed else control.inter_quantiser(layer)
        if planned is None:
            control.note_repeat(bits=240)
            spent.append(240)
            continue
        assert LOWEST <= planned <= HIGHEST
        bits = codec.bits(index, layer=layer, quantiser=planned, is_keyframe=False)
        control.note_inter(layer, quantiser=planned, bits=bits)
        spent.append(bits)
    return spent


def busiest_second(bits: list[int]) -> int:
    return max(sum(bits[start : start + 30]) for start in range(len(bits) - 29))


def even(index: int) -> float:
    return 150_000.0


@pytest.mark.parametrize("target_bps", [60_000, 150_000, 600_000])
@pytest.mark.parametrize("slope", [0.06, 0.09])
def test_an_even_scene_is_on_target_and_in_every_second_below_its_peak(
    target_bps: int, slope: float
) -> None:
    codec = FormulaCodec(complexity=even, slope=slope)
    bits = drive(codec, frames=300, target_bps=lambda _: target_bps)
    assert sum(bits) / 10 == pytest.approx(target_bps, rel=0.05)
    assert busiest_second(bits) <= 1.1 * target_bps


def test_motion_that_starts_and_stops_is_followed() -> None:
    codec = FormulaCodec(complexity=lambda index: 400_000 if index // 60 % 2 else 90_000)
    bits = drive(codec, frames=360, target_bps=lambda _: 150_000)
    assert sum(bits) / 12 == pytest.approx(150_000, rel=0.1)
    assert busiest_second(bits) <= 1.3 * 150_000  # nobody tells it before


def test_keyframes_are_paid_back_within_the_second() -> None:
    codec = FormulaCodec(complexity=even)
    bits = drive(codec, frames=300, target_bps=lambda _: 150_000, keyframes=(0, 100, 130, 220))
    assert sum(bits) / 10 == pytest.approx(150_000, rel=0.06)
    assert busiest_second(bits) <= 1.12 * 150_000


def test_half_the_rate_is_kept_within_a_second_and_taken_up_again() -> None:
    codec = FormulaCodec(complexity=even)
    bits = drive(
        codec, frames=450, target_bps=lambda index: 75_000 if 150 <= index < 300 else 150_000
    )
    assert busiest_second(bits[156:300]) <= 1.12 * 75_000
    assert sum(bits[360:450]) / 3 == pytest.approx(150_000, rel=0.1)


def test_what_does_not_fit_even_at_the_coarsest_is_left_out() -> None:
    codec = FormulaCodec(complexity=lambda _: 3_000_000.0)
    bits = drive(codec, frames=300, target_bps=lambda _: 60_000)
    assert 240 in bits
    assert busiest_second(bits[30:]) <= 1.3 * 60_000


def test_a_still_picture_gets_finer_and_saves_the_rest() -> None:
    codec = FormulaCodec(complexity=lambda _: 100.0, noise=0)
    bits = drive(codec, frames=200, target_bps=lambda _: 150_000)
    assert sum(bits[100:]) < 0.1 * 150_000 * 100 / 30


def test_saved_bits_do_not_burst_out_later() -> None:
    codec = FormulaCodec(complexity=lambda index: 100.0 if index < 150 else 150_000.0)
    bits = drive(codec, frames=300, target_bps=lambda _: 150_000)
    assert busiest_second(bits) <= 1.25 * 150_000


@given(
    st.lists(
        st.tuples(st.integers(1, 10 * CLOCK_HZ), st.integers(1, 2_000_000), st.booleans()),
        max_size=40,
    ),
    st.integers(30_000, 5_000_000),
)
def test_any_history_gives_quantisers_in_range(
    history: list[tuple[int, int, bool]], target_bps: int
) -> None:
    control = QuantiserControl(target_bps, samples=57_600, lowest=LOWEST, highest=HIGHEST)
    pts = 0
    for index, (interval, bits, is_keyframe) in enumerate(history):
        pts += interval
        control.start_frame(pts)
        layer = LAYERS[index % len(LAYERS)]
        if is_keyframe:
            quantiser = control.keyframe_quantiser(max(1.0, control.keyframe_room().wanted_bits))
            assert LOWEST <= quantiser <= HIGHEST
            control.note_keyframe(quantiser=quantiser, bits=bits)
        elif (planned := control.inter_quantiser(layer)) is not None:
            assert LOWEST <= planned <= HIGHEST
            control.note_inter(layer, quantiser=planned, bits=bits)
        else:
            control.note_repeat(bits=200)
        control.retarget(target_bps if index % 3 else target_bps // 2 + 15_000)


def test_after_a_frame_that_took_far_more_than_expected_the_next_are_planned_with_less_room() -> (
    None
):
    def next_quantiser(error: float) -> int:
        control = QuantiserControl(150_000, samples=230_400, lowest=LOWEST, highest=HIGHEST)
        control.start_frame(0)
        control.note_keyframe(quantiser=40, bits=60_000)
        for index in range(1, 30):  # a second with hardly any room left
            control.start_frame(index * STEP)
            control.note_repeat(bits=2_900)
        control._error = error
        quantiser = control.inter_quantiser(0)
        assert quantiser is not None
        return quantiser

    assert next_quantiser(0.7) > next_quantiser(0.0)
