from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from decoder import model_choice, network_shelf
from decoder.artefact import Artefact, list_artefacts
from decoder.config import RestorerConfig
from decoder.lanczos import LanczosScaler
from decoder.network_shelf import OPEN_SIZES
from decoder.restorer import Restorer
from stream.errors import ConfigError, ModelMismatch
from stream.frame import CLOCK_HZ, Colour, Frame, Size
from tests.tiny_artefact import expected_planes, textured_frame, write_tiny_artefact

STEP = CLOCK_HZ // 25
HR = Size(width=64, height=48)


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return write_tiny_artefact(tmp_path_factory.mktemp("models") / "tiny-x2")


def _restorer(artefact: Artefact, *, size: Size = HR, lookahead: int | None = None) -> Restorer:
    return Restorer(
        RestorerConfig(
            size=size,
            model=str(artefact.folder),
            backend="onnxruntime",
            lookahead=lookahead,
            threads=1,
        )
    )


def _stream(count: int, *, width: int = 32, height: int = 24, first: int = 0) -> list[Frame]:
    return [
        textured_frame(i, width=width, height=height, pts=i * STEP)
        for i in range(first, first + count)
    ]


def _run(restorer: Restorer, frames: Sequence[Frame]) -> list[Frame]:
    done = [restored for frame in frames for restored in restorer.push(frame)]
    return done + restorer.flush()


def _assert_restored(frame: Frame, window: Sequence[Frame]) -> None:
    for found, wanted in zip((frame.y, frame.u, frame.v), expected_planes(window), strict=True):
        assert np.array_equal(found, wanted)


def test_each_frame_is_restored_from_itself_and_its_neighbours(artefact: Artefact) -> None:
    frames = _stream(4)
    done = _run(_restorer(artefact), frames)
    assert [frame.pts for frame in done] == [frame.pts for frame in frames]
    _assert_restored(done[0], [frames[0], frames[0], frames[1]])
    _assert_restored(done[1], [frames[0], frames[1], frames[2]])
    _assert_restored(done[2], [frames[1], frames[2], frames[3]])
    _assert_restored(done[3], [frames[2], frames[3], frames[3]])


def test_a_frame_comes_out_one_frame_late_and_without_lookahead_at_once(
    artefact: Artefact,
) -> None:
    frames = _stream(3)
    late = _restorer(artefact)
    assert [len(late.push(frame)) for frame in frames] == [0, 1, 1]
    prompt = _restorer(artefact, lookahead=0)
    assert [len(prompt.push(frame)) for frame in frames] == [1, 1, 1]


def test_more_lookahead_than_the_model_has_is_cut_down_with_a_word(
    artefact: Artefact, caplog: pytest.LogCaptureFixture
) -> None:
    restorer = _restorer(artefact, lookahead=2)
    assert [len(restorer.push(frame)) for frame in _stream(3)] == [0, 1, 1]
    assert "looks ahead 1 frames, not 2" in caplog.text


def test_extract_runs_once_a_frame(artefact: Artefact) -> None:
    restorer = _restorer(artefact)
    _run(restorer, _stream(7))
    assert restorer.timings["extract"].count == 7
    assert restorer.timings["fuse"].count == 7
    assert restorer.counts.restored == 7


def test_a_single_frame_comes_out_at_the_end(artefact: Artefact) -> None:
    (frame,) = _stream(1)
    (done,) = _run(_restorer(artefact), [frame])
    _assert_restored(done, [frame] * 3)


def test_time_colour_and_arrival_are_those_of_the_reference(artefact: Artefact) -> None:
    colour = Colour(primaries=9, transfer=16, matrix=9)
    frame = replace(_stream(1)[0], pts=123, colour=colour, entered_ms=4.5, is_damaged=True)
    (done,) = _run(_restorer(artefact), [frame])
    assert (done.pts, done.colour, done.entered_ms, done.is_damaged) == (123, colour, 4.5, True)


@pytest.mark.parametrize("jump", [CLOCK_HZ + STEP, -10 * STEP, 0])
def test_a_jump_in_time_starts_a_new_scene(artefact: Artefact, jump: int) -> None:
    before, after = _stream(2), _stream(2, first=2)
    after = [frame.at(frame.pts - STEP + jump) for frame in after]
    done = _run(_restorer(artefact), [*before, *after])
    _assert_restored(done[1], [before[0], before[1], before[1]])
    _assert_restored(done[2], [after[0], after[0], after[1]])


def test_a_scene_cut_separates_windows(artefact: Artefact) -> None:
    def shot(seed: int, first: int) -> list[Frame]:
        pattern = np.random.default_rng(seed).integers(16, 120, (24, 32), np.uint8)
        return [replace(frame, y=frame.y - 20 + pattern) for frame in _stream(2, first=first)]

    one, other = shot(seed=1, first=0), shot(seed=2, first=2)
    done = _run(_restorer(artefact), [*one, *other])
    _assert_restored(done[1], [one[0], one[1], one[1]])
    _assert_restored(done[2], [other[0], other[0], other[1]])


@pytest.mark.parametrize(
    ("lr", "box", "out"),
    [
        ((32, 24), (64, 48), (64, 48)),
        ((32, 24), (100, 100), (100, 76)),
        ((32, 24), (30, 30), (30, 22)),
        ((30, 22), (64, 48), (64, 46)),
        ((2, 2), (64, 48), (48, 48)),
        ((2, 16), (64, 48), (6, 48)),
        ((16, 2), (1280, 720), (1280, 160)),
    ],
)
def test_the_output_is_exactly_as_large_as_asked(
    artefact: Artefact, lr: tuple[int, int], box: tuple[int, int], out: tuple[int, int]
) -> None:
    restorer = _restorer(artefact, size=Size(width=box[0], height=box[1]))
    frames = _stream(3, width=lr[0], height=lr[1])
    done = _run(restorer, frames)
    assert {frame.size for frame in done} == {Size(width=out[0], height=out[1])}
    assert restorer.output_size == Size(width=out[0], height=out[1])
    assert restorer.counts.failed == 0


def test_sizes_between_the_multiples_are_padded_by_their_edges(artefact: Artefact) -> None:
    frames = _stream(3, width=30, height=22)
    done = _run(_restorer(artefact, size=Size(width=60, height=44)), frames)
    _assert_restored(done[1], frames)


def test_another_target_than_the_models_scale_is_reached_by_lanczos(artefact: Artefact) -> None:
    frames = _stream(3)
    done = _run(_restorer(artefact, size=Size(width=96, height=72)), frames)
    y, u, v = expected_planes(frames)
    doubled = Frame(y=y, u=u, v=v, pts=0)
    wanted = LanczosScaler(Size(width=96, height=72)).scale(doubled)
    assert np.array_equal(done[1].y, wanted.y)
    assert np.array_equal(done[1].v, wanted.v)


def test_a_change_of_size_loses_no_frame_and_keeps_the_output_size(artefact: Artefact) -> None:
    large, small = _stream(3), _stream(3, width=16, height=12, first=3)
    back = _stream(2, first=6)
    done = _run(_restorer(artefact), [*large, *small, *back])
    assert [frame.pts for frame in done] == [i * STEP for i in range(8)]
    assert {frame.size for frame in done} == {HR}
    _assert_restored(done[2], [large[1], large[2], large[2]])
    _assert_restored(done[6], [back[0], back[0], back[1]])


def test_many_sizes_do_not_pile_up_networks(artefact: Artefact) -> None:
    frames = [textured_frame(i, width=16 + 4 * i, height=16, pts=i * STEP) for i in range(8)]
    restorer = _restorer(artefact)
    assert len(_run(restorer, frames)) == 8
    assert len(restorer._shelf.sizes) == OPEN_SIZES


def test_lanczos_needs_no_network_and_delays_nothing() -> None:
    restorer = Restorer(RestorerConfig(size=HR, model="lanczos"))
    frames = _stream(3)
    scaler = LanczosScaler(HR)
    for frame in frames:
        (done,) = restorer.push(frame)
        assert np.array_equal(done.y, scaler.scale(frame).y)
    assert restorer.counts.resized == 3
    assert (restorer.model_name, restorer.backend_name) == ("lanczos", None)


def test_a_frame_that_fails_comes_out_by_lanczos_and_the_stream_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failing = write_tiny_artefact(tmp_path / "failing-x2", fails_above_mean=140.0)
    frames = _stream(6)
    frames[2] = replace(frames[2], y=np.full((24, 32), 150, np.uint8))
    restorer = _restorer(failing)
    done = _run(restorer, frames)
    assert [frame.pts for frame in done] == [frame.pts for frame in frames]
    assert np.array_equal(done[2].y, LanczosScaler(HR).scale(frames[2]).y)
    _assert_restored(done[4], frames[3:6])
    assert (restorer.counts.failed, restorer.counts.restored) == (1, 5)
    assert len([record for record in caplog.records if "network failed" in record.message]) == 1


def test_after_three_failures_in_a_row_the_network_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failing = write_tiny_artefact(tmp_path / "failing-x2", fails_above_mean=140.0)
    bright = [replace(frame, y=np.full((24, 32), 150, np.uint8)) for frame in _stream(5)]
    restorer = _restorer(failing)
    done = _run(restorer, [*bright, *_stream(5, first=5)])
    assert [frame.pts for frame in done] == [i * STEP for i in range(10)]
    assert restorer.timings["fuse"].count == 0
    assert restorer.counts.restored == 0
    assert restorer.model_name == "lanczos"
    assert caplog.text.count("3 times in a row") == 1


def test_a_restorer_takes_a_new_stream_after_a_flush(artefact: Artefact) -> None:
    restorer = _restorer(artefact)
    frames = _stream(2)
    _run(restorer, frames)
    done = _run(restorer, frames)
    _assert_restored(done[0], [frames[0], frames[0], frames[1]])


def test_an_unknown_model_is_refused_before_the_first_frame() -> None:
    with pytest.raises(ConfigError, match="unknown model 'nonesuch'"):
        Restorer(RestorerConfig(model="nonesuch"))


def test_a_model_that_does_not_reproduce_its_reference_is_refused(tmp_path: Path) -> None:
    broken = write_tiny_artefact(tmp_path / "broken-x2", is_broken=True)
    restorer = _restorer(broken)
    with pytest.raises(ModelMismatch):
        restorer.prepare(Size(width=32, height=24))
    with pytest.raises(ModelMismatch):
        restorer.push(_stream(1)[0])


def test_preparing_opens_the_network_that_the_first_frame_uses(artefact: Artefact) -> None:
    restorer = _restorer(artefact)
    restorer.prepare(Size(width=32, height=24))
    opened = restorer._shelf.get(Size(width=32, height=24), hr_size=HR)
    restorer.push(_stream(1)[0])
    assert restorer._ladder is opened
    restorer.close()


@pytest.mark.parametrize(
    ("box", "name"), [((64, 48), "tiny-x2"), ((128, 96), "tiny-x4"), ((34, 26), "lanczos")]
)
def test_auto_takes_the_model_that_fits_the_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, box: tuple[int, int], name: str
) -> None:
    for scale in (2, 4):
        write_tiny_artefact(tmp_path / f"tiny-x{scale}", scale=scale)
    monkeypatch.setattr(model_choice, "DEFAULT_TIER", "tiny")
    monkeypatch.setattr(network_shelf, "list_artefacts", lambda: list_artefacts(tmp_path))
    config = RestorerConfig(size=Size(width=box[0], height=box[1]), backend="onnxruntime")
    restorer = Restorer(config)
    assert len(_run(restorer, _stream(2))) == 2
    assert restorer.model_name == name


def test_in_place_of_damaged_frames_the_last_good_picture_stays_and_windows_skip_them(
    artefact: Artefact,
) -> None:
    frames = _stream(6)
    frames[2:4] = [replace(frame, is_damaged=True, entered_ms=7.0) for frame in frames[2:4]]
    restorer = _restorer(artefact)
    done = _run(restorer, frames)
    assert [frame.pts for frame in done] == [frame.pts for frame in frames]
    _assert_restored(done[1], [frames[0], frames[1], frames[1]])
    for held in done[2:4]:
        assert np.array_equal(held.y, done[1].y)
        assert held.is_damaged
        assert held.entered_ms == 7.0
    _assert_restored(done[4], [frames[4], frames[4], frames[5]])
    assert restorer.timings["extract"].count == 4
    assert (restorer.counts.restored, restorer.counts.held, restorer.counts.failed) == (4, 2, 0)


def test_damage_that_lasts_is_shown_and_then_left_out_of_what_follows(artefact: Artefact) -> None:
    frames = _stream(30)
    frames[1:25] = [replace(frame, is_damaged=True) for frame in frames[1:25]]
    done = _run(_restorer(artefact), frames)
    assert np.array_equal(done[10].y, done[0].y)
    _assert_restored(done[20], [frames[19], frames[20], frames[21]])
    _assert_restored(done[25], [frames[25], frames[25], frames[26]])


def test_resizing_alone_holds_the_last_good_picture_too() -> None:
    frames = _stream(3)
    frames[1] = replace(frames[1], is_damaged=True)
    done = _run(Restorer(RestorerConfig(size=HR, model="lanczos")), frames)
    assert np.array_equal(done[1].y, done[0].y)
    assert not np.array_equal(done[2].y, done[0].y)
    assert done[1].pts == frames[1].pts
