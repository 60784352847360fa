from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.artefact import Artefact, find_artefact
from decoder.backends import OnnxRuntimeConfig, TensorRtConfig, graph_memory, open_backend
from decoder.backends.contract import Backend
from decoder.backends.graph_memory import bytes_per_pixel, free_bytes, most_pixels
from decoder.backends.tiled import TiledBackend
from decoder.backends.tiling import OVERLAP, tile_grid
from stream.errors import InferenceFailed
from stream.frame import Frame, Size
from tests.tiny_artefact import expected_planes, textured_frame, write_tiny_artefact

CONFIG = OnnxRuntimeConfig(threads=1)


@given(
    cells=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    multiple_of=st.sampled_from((4, 8, 16)),
    most_pixels=st.integers(1, 400_000),
)
@settings(deadline=None, max_examples=60)
def test_tiles_cover_the_frame_once_and_share_enough(
    cells: tuple[int, int], multiple_of: int, most_pixels: int
) -> None:
    size = Size(width=cells[0] * multiple_of, height=cells[1] * multiple_of)
    grid = tile_grid(size, most_pixels=most_pixels, multiple_of=multiple_of)
    assert len(grid) == len(list(grid))
    sides = (grid.rows, grid.size.height, size.height), (grid.columns, grid.size.width, size.width)
    for spans, tile, length in sides:
        assert [spans[0].begin, spans[-1].end] == [0, length]
        assert all(a.end == b.begin for a, b in pairwise(spans))
        assert all(span.length == tile and span.start % multiple_of == 0 for span in spans)
        assert all(0 <= span.start <= span.start + tile <= length for span in spans)
        for a, b in pairwise(spans):
            seam = a.end
            assert seam % 2 == 0
            margin = OVERLAP // 2 - multiple_of
            assert a.start + tile - seam >= margin
            assert seam - b.start >= margin


def test_there_are_no_more_tiles_than_are_needed() -> None:
    size = Size(width=1920, height=1080 + 8)
    assert len(tile_grid(size, most_pixels=3_000_000, multiple_of=8)) == 1
    assert len(tile_grid(size, most_pixels=1_200_000, multiple_of=8)) == 2
    grid = tile_grid(size, most_pixels=400_000, multiple_of=8)
    assert grid.size.width * grid.size.height <= 400_000
    assert len(grid) <= 8


def _opened_in_tiles(
    artefact: Artefact, size: Size, most: int, monkeypatch: pytest.MonkeyPatch
) -> Backend:
    free = int(most * bytes_per_pixel(artefact) / graph_memory.SHARE) + 1
    monkeypatch.setattr(graph_memory, "free_bytes", lambda: free)
    return open_backend(CONFIG, artefact, size)


def test_a_frame_that_is_too_large_for_the_memory_is_restored_in_tiles_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    artefact = write_tiny_artefact(tmp_path / "tiny-x2")
    backend = _opened_in_tiles(artefact, Size(width=640, height=520), 320 * 240, monkeypatch)
    assert isinstance(backend, TiledBackend)
    assert "640x520 is restored in" in caplog.text
    window = [textured_frame(k, width=640, height=520) for k in range(3)]
    other = backend.sibling()
    backend.close()
    planes = other.fuse([other.extract(frame) for frame in window])
    for plane, wanted in zip(planes, expected_planes(window), strict=True):
        assert np.array_equal(plane, wanted)
    assert other.name.endswith("tiles")
    assert (other.config, other.runs_on_cpu, other.is_half_precision) == (CONFIG, True, False)
    with pytest.raises(InferenceFailed, match="640x520"):
        other.extract(textured_frame(0, width=320, height=240))
    other.close()


def _picture(size: Size, shift: int) -> Frame:
    """Smooth shapes that move, with some noise: neither flat nor white noise."""
    rows, columns = np.mgrid[: size.height, : size.width]
    waves = np.sin((columns + 3 * shift) / 9) * np.cos((rows - 2 * shift) / 7) * 60
    noise = np.random.default_rng(shift).normal(0, 6, rows.shape)
    luma = np.clip(126 + waves + noise, 16, 235).astype(np.uint8)
    chroma = np.clip(128 + waves[::2, ::2] / 2, 16, 240).astype(np.uint8)
    return Frame(y=luma, u=chroma, v=chroma[::-1].copy(), pts=shift, quantiser=30.0)


def test_the_seams_of_a_real_network_cannot_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    artefact, size = find_artefact("live-xs-x2"), Size(width=480, height=272)
    frames = [_picture(size, shift) for shift in range(3)]
    whole = open_backend(CONFIG, artefact, size)
    expected = whole.fuse([whole.extract(frame) for frame in frames])
    whole.close()
    tiled = _opened_in_tiles(artefact, size, 300 * 272, monkeypatch)
    assert isinstance(tiled, TiledBackend)
    found = tiled.fuse([tiled.extract(frame) for frame in frames])
    tiled.close()
    for plane, wanted in zip(found, expected, strict=True):
        off = np.abs(plane.astype(int) - wanted)
        assert off.max() <= 1
        assert (off > 0).mean() < 0.01


def test_memory_is_looked_at_only_where_there_is_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artefact, size = write_tiny_artefact(tmp_path / "tiny-x2"), Size(width=640, height=360)
    monkeypatch.setattr(graph_memory, "free_bytes", lambda: 16 << 30)
    assert most_pixels(artefact, CONFIG, size) is None
    monkeypatch.setattr(graph_memory, "free_bytes", lambda: 1 << 20)
    few = most_pixels(artefact, CONFIG, size)
    assert few is not None
    assert few < 640 * 360
    assert most_pixels(artefact, TensorRtConfig(), size) is None  # another memory
    monkeypatch.setattr(graph_memory, "free_bytes", lambda: None)
    assert most_pixels(artefact, CONFIG, size) is None


def test_what_a_network_takes_is_what_its_graphs_hold_at_once(tmp_path: Path) -> None:
    small = write_tiny_artefact(tmp_path / "tiny-x2")
    large = write_tiny_artefact(tmp_path / "tiny-x4", scale=4)
    # Three frames of features: one float for luma, two at a quarter of the samples for chroma.
    assert 3 * 6 < bytes_per_pixel(small) < bytes_per_pixel(large) < 400


def test_a_limit_of_a_control_group_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    monkeypatch.setattr(graph_memory, "_CGROUP", tmp_path)
    assert free_bytes() == 600_000
    (tmp_path / "memory.max").write_text("max\n")
    system = free_bytes()
    assert system is not None
    assert system > 600_000
    monkeypatch.setattr(graph_memory, "_MEMINFO", tmp_path / "none")
    assert free_bytes() is None
