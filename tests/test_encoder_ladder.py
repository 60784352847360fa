import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.ladder import choose_size, fit
from stream.frame import Size

sizes = st.builds(
    Size,
    width=st.integers(1, 2000).map(lambda n: 2 * n),
    height=st.integers(1, 2000).map(lambda n: 2 * n),
)


@pytest.mark.parametrize(
    ("source", "bitrate_bps", "wanted"),
    [
        ("1280x720", 30_000, "320x180"),
        ("1280x720", 150_000, "320x180"),
        ("1280x720", 200_000, "640x360"),
        ("1920x1080", 1_500_000, "960x540"),
        ("1920x1080", 5_000_000, "1280x720"),
        ("720x1280", 200_000, "360x640"),  # upright
        ("640x480", 200_000, "480x360"),  # 4:3
        ("320x180", 5_000_000, "320x180"),  # never larger than it is
        ("2560x1080", 200_000, "640x270"),
    ],
)
def test_the_size_that_travels_fits_the_bitrate(source: str, bitrate_bps: int, wanted: str) -> None:
    width, height = map(int, source.split("x"))
    assert str(choose_size(Size(width=width, height=height), bitrate_bps)) == wanted


def test_more_bits_never_make_the_picture_smaller() -> None:
    source = Size(width=1920, height=1080)
    widths = [
        choose_size(source, bitrate_bps).width for bitrate_bps in range(30_000, 5_000_000, 10_000)
    ]
    assert widths == sorted(widths)


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
