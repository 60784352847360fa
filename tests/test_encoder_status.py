import io

from encoder.live_encoder import EncodeCounts
from encoder.status import StatusLine
from stream.peer import PeerStats


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _counts(frames: int) -> EncodeCounts:
    return EncodeCounts(frames=frames, coded_bytes=700 * frames, keyframes=1, target_bps=142_000)


def _stats(frames: int, **values: int) -> PeerStats:
    return PeerStats(wire_bytes_sent=750 * frames, codec="h264", rtt_ms=12.4, **values)


def _run(out: io.StringIO, *, seconds: int) -> None:
    with StatusLine(out) as status:
        for tick in range(5 * seconds + 1):
            frames = 5 * tick
            status.update(
                _counts(frames), _stats(frames), frames_dropped=2, now_ms=1e6 + 200 * tick
            )


def test_a_line_a_second_says_what_was_sent_in_it() -> None:
    out = io.StringIO()
    _run(out, seconds=3)
    lines = out.getvalue().splitlines()
    assert (
        lines
        == [
            "sending h264 25.0 fps, video 140 kb/s of 142, wire 150 kb/s, keyframes 1, "
            "dropped 2, lost packets 0, rtt 12 ms"
        ]
        * 3
    )


def test_a_terminal_shows_one_line_that_is_written_over_and_ended_once() -> None:
    out = _Terminal()
    _run(out, seconds=3)
    assert out.getvalue().count("\r\x1b[K") == 3
    assert out.getvalue().count("\n") == 1


def test_nothing_is_written_before_a_second_has_passed() -> None:
    for out in (io.StringIO(), _Terminal()):
        with StatusLine(out) as status:
            for now_ms in (0, 500, 999):
                status.update(_counts(0), _stats(0), frames_dropped=0, now_ms=now_ms)
        assert out.getvalue() == ""


def test_frames_that_could_not_be_encoded_are_told() -> None:
    out = io.StringIO()
    with StatusLine(out) as status:
        for now_ms in (0, 1000):
            stats = _stats(0, encode_errors=4)
            status.update(_counts(0), stats, frames_dropped=0, now_ms=now_ms)
    assert "not encoded 4" in out.getvalue()
