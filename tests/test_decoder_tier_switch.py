from collections import deque
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoder.tier_stream import Done
from decoder.tier_switch import FADE_FRAMES, TierSwitch
from stream.frame import Frame


class _Shade:
    """A tier that paints frames in one shade, `lookahead` frames late."""

    backend_name = None
    weights_name = None

    def __init__(self, shade: int, *, lookahead: int = 0) -> None:
        self.name = str(shade)
        self._shade, self._lookahead = shade, lookahead
        self._held: deque[Frame] = deque()
        self.taken = 0

    def push(self, frame: Frame, *, starts_scene: bool, is_held: bool = False) -> list[Done]:
        assert not is_held
        done = self.flush() if starts_scene else []
        self.taken += 1
        self._held.append(frame)
        while len(self._held) > self._lookahead:
            done.append(self._paint(self._held.popleft()))
        return done

    def flush(self) -> list[Done]:
        done = [self._paint(frame) for frame in self._held]
        self._held.clear()
        return done

    def _paint(self, frame: Frame) -> Done:
        return Done(frame=_flat(self._shade, frame.pts), fate="restored", tier=self.name)


def _flat(shade: int, pts: int) -> Frame:
    half = np.full((2, 2), shade, np.uint8)
    return Frame(y=np.full((4, 4), shade, np.uint8), u=half, v=half.copy(), pts=pts)


def _shades(frames: list[Done]) -> list[int]:
    return [int(done.frame.y[0, 0]) for done in frames]


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_three_frames_lead_over_in_equal_steps_whatever_the_tiers_look_ahead(
    before: int, after: int
) -> None:
    switch = TierSwitch(_Shade(40, lookahead=before))
    done: list[Done] = []
    for number in range(10):
        if number == 5:
            switch.use(_Shade(80, lookahead=after))
        done += switch.push(_flat(0, number), starts_scene=False)
    done += switch.flush()
    assert [each.frame.pts for each in done] == list(range(10))
    assert _shades(done) == [40] * 5 + [50, 60, 70] + [80] * 2
    assert int(done[6].frame.u[0, 0]) == int(done[6].frame.v[0, 0]) == 60


def test_pictures_that_agree_come_through_a_change_unchanged() -> None:
    for shade in (0, 1, 127, 254, 255):
        switch = TierSwitch(_Shade(shade))
        switch.use(_Shade(shade))
        done = [each for n in range(4) for each in switch.push(_flat(0, n), starts_scene=False)]
        assert _shades(done) == [shade] * 4


def test_the_old_tier_works_only_as_long_as_it_is_mixed() -> None:
    old = _Shade(0, lookahead=1)
    switch = TierSwitch(old)
    switch.use(_Shade(80, lookahead=1))
    assert switch.is_fading
    for number in range(10):
        switch.push(_flat(0, number), starts_scene=False)
    assert old.taken == FADE_FRAMES
    assert not switch.is_fading


def test_a_pause_ends_a_change() -> None:
    switch = TierSwitch(_Shade(0, lookahead=2))
    first = switch.push(_flat(0, 0), starts_scene=False)
    switch.use(_Shade(80, lookahead=1))
    done = first + switch.push(_flat(0, 1), starts_scene=False) + switch.flush()
    assert [each.frame.pts for each in done] == [0, 1]
    assert not switch.is_fading
    switch.use(_Shade(0))


@pytest.mark.parametrize("is_fading", [False, True])
def test_a_hurried_change_takes_no_further_frame_of_the_old_tier(is_fading: bool) -> None:
    old, done = _Shade(40, lookahead=2), []
    switch = TierSwitch(old)
    for number in range(5):
        done += switch.push(_flat(0, number), starts_scene=False)
    if is_fading:
        switch.use(_Shade(60, lookahead=1))
        done += switch.push(_flat(0, 5), starts_scene=False)
    taken = old.taken
    done += switch.cut(_Shade(80))
    done += switch.push(_flat(0, 6), starts_scene=False)
    assert old.taken == taken
    assert not switch.is_fading
    assert _shades(done)[-3:] == [80] * 3
    assert [each.frame.pts for each in done] == [0, 1, 2, 3, 4, *([5] if is_fading else []), 6]


def test_one_change_at_a_time() -> None:
    switch = TierSwitch(_Shade(0))
    switch.use(_Shade(80))
    with pytest.raises(ValueError, match="one change"):
        switch.use(_Shade(40))


@given(
    st.lists(
        st.sampled_from(["frame", "frame", "frame", "scene", "pause", "change", "cut"]), max_size=60
    ),
    st.lists(st.integers(0, 2), min_size=60, max_size=60),
)
def test_every_frame_comes_out_once_and_in_order(events: list[str], lookaheads: list[int]) -> None:
    ahead: Iterator[int] = iter(lookaheads)
    switch, done, number = TierSwitch(_Shade(0, lookahead=1)), [], 0
    for event in events:
        if event == "change" and not switch.is_fading:
            switch.use(_Shade(80, lookahead=next(ahead)))
        elif event == "cut":
            done += switch.cut(_Shade(40, lookahead=next(ahead)))
        elif event == "pause":
            done += switch.flush()
            assert len(done) == number
        elif event in ("frame", "scene"):
            done += switch.push(_flat(0, number), starts_scene=event == "scene")
            number += 1
            assert number - len(done) <= 2, "no more delay than the tiers have"
    done += switch.flush()
    assert [each.frame.pts for each in done] == list(range(number))
