import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoder.window import SlidingWindow, Window


def _window(*, size: int = 3, reference_index: int = 1, lookahead: int = 1) -> SlidingWindow[int]:
    return SlidingWindow(size=size, reference_index=reference_index, lookahead=lookahead)


def _items(windows: list[Window[int]]) -> list[tuple[int, ...]]:
    return [window.items for window in windows]


def test_a_window_comes_out_one_frame_late_with_both_neighbours() -> None:
    window = _window()
    assert window.push(0) == []
    assert _items(window.push(1)) == [(0, 0, 1)]
    assert _items(window.push(2)) == [(0, 1, 2)]
    assert _items(window.push(3)) == [(1, 2, 3)]
    assert _items(window.flush()) == [(2, 3, 3)]


def test_a_single_frame_is_its_own_past_and_future() -> None:
    window = _window()
    window.push(7)
    assert _items(window.flush()) == [(7, 7, 7)]
    assert window.flush() == []


def test_without_lookahead_windows_come_at_once_and_the_newest_stands_for_the_future() -> None:
    window = _window(lookahead=0)
    assert _items(window.push(0)) == [(0, 0, 0)]
    assert _items(window.push(1)) == [(0, 1, 1)]
    assert _items(window.push(2)) == [(1, 2, 2)]


def test_a_scene_cut_releases_what_waits_and_separates_the_scenes() -> None:
    window = _window()
    window.push(0)
    window.push(1)
    assert _items(window.push(2, starts_scene=True)) == [(0, 1, 1)]
    assert _items(window.push(3)) == [(2, 2, 3)]
    assert _items(window.push(4)) == [(2, 3, 4)]


def test_a_five_frame_window_with_one_frame_of_lookahead() -> None:
    window = _window(size=5, reference_index=2, lookahead=1)
    done = [items for index in range(5) for items in _items(window.push(index))]
    assert done == [(0, 0, 0, 1, 1), (0, 0, 1, 2, 2), (0, 1, 2, 3, 3), (1, 2, 3, 4, 4)]


def test_a_window_of_one_frame_has_no_neighbours() -> None:
    window = _window(size=1, reference_index=0, lookahead=0)
    assert _items(window.push(5)) == [(5,)]


def test_an_unusable_frame_is_replaced_for_others_and_empty_for_itself() -> None:
    window = _window()
    window.push(0)
    assert _items(window.push(1, is_usable=False)) == [(0, 0, 0)]
    assert _items(window.push(2)) == [()]
    assert _items(window.push(3)) == [(2, 2, 3)]


@pytest.mark.parametrize(
    ("size", "reference_index", "lookahead"),
    [(3, 3, 0), (3, 1, 2), (3, 2, 1), (0, 0, 0), (3, 1, -1)],
)
def test_impossible_windows_are_refused(size: int, reference_index: int, lookahead: int) -> None:
    with pytest.raises(ValueError, match="no window"):
        _window(size=size, reference_index=reference_index, lookahead=lookahead)


@given(
    st.integers(1, 7).flatmap(
        lambda size: st.integers(0, size - 1).flatmap(
            lambda reference: st.tuples(
                st.just(size), st.just(reference), st.integers(0, size - 1 - reference)
            )
        )
    ),
    st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40),
)
def test_every_item_gets_one_window_in_order_from_its_own_scene(
    shape: tuple[int, int, int], stream: list[tuple[bool, bool]]
) -> None:
    size, reference_index, lookahead = shape
    window = _window(size=size, reference_index=reference_index, lookahead=lookahead)
    scene_of, scene, done = {}, 0, []
    for index, (starts_scene, is_usable) in enumerate(stream):
        scene += starts_scene
        scene_of[index] = scene
        out = window.push(index, starts_scene=starts_scene, is_usable=is_usable)
        assert len(out) <= lookahead + 1
        done += out
    done += window.flush()
    assert [each.reference for each in done] == list(range(len(stream)))
    for each in done:
        if not stream[each.reference][1]:
            assert each.items == ()
            continue
        assert len(each.items) == size
        assert each.items[reference_index] == each.reference
        assert list(each.items) == sorted(each.items)
        for item in each.items:
            assert scene_of[item] == scene_of[each.reference]
            assert stream[item][1]
            assert each.reference - reference_index <= item <= each.reference + lookahead
