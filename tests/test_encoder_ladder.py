import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.ladder import DEFAULT_HD, Ladder, fit, measured_steps
from stream.frame import Size

sizes = st.builds(
    Size,
    width=st.integers(1, 2000).map(lambda n: 2 * n),
    height=st.integers(1, 2000).map(lambda n: 2 * n),
)
CODECS = sorted({row.codec for row in measured_steps()})
FULL_HD = Size(width=1920, height=1080)


def _size(text: str) -> Size:
    width, height = map(int, text.split("x"))
    return Size(width=width, height=height)


@pytest.mark.parametrize(
    ("source", "box", "wanted"),
    [
        ("1280x720", "320x180", "320x180"),
        ("1920x1080", "1280x720", "1280x720"),
        ("320x180", "1280x720", "320x180"),  # never larger than it is
        ("720x1280", "640x360", "360x640"),  # upright
        ("640x480", "640x360", "480x360"),  # 4:3
        ("2560x1080", "640x360", "640x270"),
    ],
)
def test_the_size_that_travels_fits_box_and_source(source: str, box: str, wanted: str) -> None:
    assert str(fit(_size(source), _size(box))) == wanted


def test_a_receiver_that_restores_full_hd_gets_shares_of_that() -> None:
    small, large = Ladder(DEFAULT_HD), Ladder(FULL_HD)
    assert small.top == large.top
    for rung in range(small.top + 1):
        assert large.box(rung).width == pytest.approx(1.5 * small.box(rung).width, abs=2)
    assert large.box(large.top) == FULL_HD
    assert large.size(FULL_HD, large.top) == FULL_HD
    assert small.size(FULL_HD, small.top) == DEFAULT_HD


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("hd", [DEFAULT_HD, FULL_HD], ids=str)
def test_every_rung_has_its_range_of_rates_and_more_bits_never_make_it_smaller(
    codec: str, hd: Size
) -> None:
    ladder = Ladder(hd, codec=codec)
    for rung in range(ladder.top + 1):
        low_bps, high_bps = ladder.limits_bps(rung)
        assert low_bps < high_bps
        assert ladder.rung_for(low_bps + 1) == rung
        assert ladder.rung_for(min(high_bps, 1e9)) == rung
    widths = [ladder.box(rung).width for rung in range(ladder.top + 1)]
    assert widths == sorted(set(widths))
    assert widths[-1] == hd.width


def test_the_same_picture_needs_a_higher_rate_when_it_is_for_a_larger_output() -> None:
    small, large = Ladder(DEFAULT_HD), Ladder(FULL_HD)
    for rung in range(small.top):
        assert large.limits_bps(rung)[1] > small.limits_bps(rung)[1]


def test_a_codec_that_nobody_measured_counts_as_h264() -> None:
    assert Ladder(codec="vp8").limits_bps(0) == Ladder(codec="h264").limits_bps(0)


@given(source=sizes, box=sizes)
def test_a_fitted_size_is_even_and_inside_box_and_source(source: Size, box: Size) -> None:
    fitted = fit(source, box)
    assert fitted.is_even
    assert fitted.width <= source.width
    assert fitted.height <= source.height
    upright = source.height > source.width
    across, along = (box.height, box.width) if upright else (box.width, box.height)
    assert fitted.width <= across
    assert fitted.height <= along
