from pathlib import Path

import pytest

from decoder.training.adaptation_footage import (
    PIECE_FRAMES,
    SHORTEST_PIECE_FRAMES,
    Piece,
    plan_pieces,
    read_pieces,
)
from stream.errors import ConfigError
from tests.training_media import moving_frame, write_footage


def _parts(piece: Piece) -> tuple[range, range, range]:
    return piece.train, piece.choose, piece.prove


def test_of_one_clip_the_later_frames_choose_and_the_last_ones_prove(tmp_path: Path) -> None:
    clip = write_footage(tmp_path / "match.y4m", count=100, width=32, height=32)

    (piece,) = plan_pieces([clip])

    assert (piece.first, piece.count) == (0, 100)
    train, choose, prove = _parts(piece)
    assert train.start == 25, "the start of a stream is left out"
    assert train.stop == choose.start < choose.stop == prove.start < prove.stop == 100
    assert len(train) > 2 * len(choose)


def test_of_many_pieces_whole_ones_are_set_apart(tmp_path: Path) -> None:
    clips = [
        write_footage(tmp_path / f"{index}.y4m", count=40, width=32, height=32)
        for index in range(12)
    ]

    pieces = plan_pieces(clips)

    assert len(pieces) == 12
    for piece in pieces:
        assert sum(bool(part) for part in _parts(piece)) == 1
    counts = [sum(bool(_parts(piece)[part]) for piece in pieces) for part in range(3)]
    assert counts == [8, 2, 2]


def test_long_footage_is_cut_into_pieces_and_taken_from_all_over(tmp_path: Path) -> None:
    clip = write_footage(tmp_path / "match.y4m", count=2 * PIECE_FRAMES + 30, width=32, height=32)

    pieces = plan_pieces([clip])
    assert [(piece.first, piece.count) for piece in pieces] == [(0, 250), (250, 250), (500, 30)]

    first, last = plan_pieces([clip], most=2)
    assert (first.first, last.first) == (0, 500)


def test_a_rest_that_is_too_short_is_left_out_and_so_is_a_clip(tmp_path: Path) -> None:
    short = write_footage(
        tmp_path / "short.y4m", count=SHORTEST_PIECE_FRAMES - 1, width=32, height=32
    )
    with pytest.raises(ConfigError, match="at least 24 frames"):
        plan_pieces([short])

    enough = write_footage(tmp_path / "enough.y4m", count=30, width=32, height=32)
    assert [piece.clip for piece in plan_pieces([short, enough])] == [enough]


def test_a_folder_of_pictures_counts_as_a_clip(tmp_path: Path) -> None:
    from PIL import Image

    for index in range(26):
        Image.new("RGB", (32, 32), (index, 0, 0)).save(tmp_path / f"{index:03}.png")

    (piece,) = plan_pieces([tmp_path])
    assert piece.count == 26
    ((_, frames, _),) = read_pieces([piece], scale=2)
    assert len(frames) == 26


def test_pieces_of_a_clip_are_the_frames_they_say(tmp_path: Path) -> None:
    clip = write_footage(tmp_path / "match.y4m", count=60, width=32, height=32)
    wanted = [Piece(clip=clip, first=5, count=10), Piece(clip=clip, first=40, count=4)]

    found = list(read_pieces(wanted, scale=2))

    assert [piece for piece, _, _ in found] == wanted
    for piece, frames, rate in found:
        assert rate == 25
        assert [frame.pts for frame in frames] == list(range(piece.count))
        for index, frame in enumerate(frames):
            original = moving_frame(piece.first + index, width=32, height=32)
            assert (frame.y == original.y).all()


def test_a_clip_that_ends_early_is_told(tmp_path: Path) -> None:
    clip = write_footage(tmp_path / "match.y4m", count=30, width=32, height=32)
    with pytest.raises(ConfigError, match=r"match\.y4m ends early: after 30 frames"):
        list(read_pieces([Piece(clip=clip, first=20, count=20)], scale=2))
