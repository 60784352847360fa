from dataclasses import replace

import pytest

from decoder.edvr.cost import count_cost
from decoder.edvr.network import EDVR_L, EDVR_M
from stream.errors import FrameError

# GMAC at 180x320 -> 720x1280, as published.
_M_TOTAL, _M_EXTRACTION, _M_ALIGNMENT, _M_RECONSTRUCTION, _M_TAIL = 487, 113, 234, 42, 78
_L_TOTAL = 2116


def test_edvr_m_costs_what_is_published_part_by_part() -> None:
    cost = count_cost(EDVR_M, width=320, height=180)

    assert cost.window_macs / 1e9 == pytest.approx(_M_TOTAL, rel=0.02)
    assert 5 * cost.extraction_macs / 1e9 == pytest.approx(_M_EXTRACTION, rel=0.02)
    assert cost.alignment_macs / 1e9 == pytest.approx(_M_ALIGNMENT, rel=0.02)
    assert cost.reconstruction_macs / 1e9 == pytest.approx(_M_RECONSTRUCTION, rel=0.02)
    assert cost.tail_macs / 1e9 == pytest.approx(_M_TAIL, rel=0.02)
    assert f"{cost.parameters / 1e6:.2f}" == "3.30"


def test_edvr_l_costs_what_is_published() -> None:
    cost = count_cost(EDVR_L, width=320, height=180)

    assert cost.window_macs / 1e9 == pytest.approx(_L_TOTAL, rel=0.02)
    assert f"{cost.parameters / 1e6:.2f}" == "20.63"


def test_a_stream_saves_all_extractions_but_one() -> None:
    cost = count_cost(EDVR_M, width=64, height=32)

    assert cost.window_macs - cost.streaming_macs == 4 * cost.extraction_macs
    assert cost.extraction_macs > 0


def test_cost_grows_with_the_picture_and_counts_the_real_size() -> None:
    small = count_cost(EDVR_M, width=32, height=16)
    large = count_cost(EDVR_M, width=64, height=32)

    assert large.window_macs == 4 * small.window_macs
    assert large.parameters == small.parameters
    # conv_last alone: 3x3 from 64 to 3 channels for each of 128x64 output samples.
    assert small.tail_macs > 9 * 64 * 3 * 128 * 64


def test_predeblur_counts_as_extraction_and_full_size_input_costs_a_sixteenth_per_sample() -> None:
    deblur = replace(EDVR_M, with_predeblur=True)
    plain = count_cost(EDVR_M, width=64, height=64)
    blurred = count_cost(deblur, width=64, height=64)
    full_size = count_cost(replace(deblur, hr_in=True), width=256, height=256)

    assert blurred.extraction_macs > 2 * plain.extraction_macs
    assert blurred.fuse_macs == plain.fuse_macs
    assert full_size.fuse_macs == plain.fuse_macs


def test_a_size_that_does_not_fit_is_refused() -> None:
    with pytest.raises(FrameError, match="multiples of 4"):
        count_cost(EDVR_M, width=320, height=181)
