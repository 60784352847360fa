"""What of a stream is picked to be learned."""

from __future__ import annotations

import pytest

from encoder.downscale import downscale
from encoder.window_watch import FIRST_WINDOWS, WindowWatch
from stream.errors import CodecError
from stream.frame import Frame, Size
from stream.sending_codecs import NegotiatedCodec
from stream.trainer_messages import ModelNeeds, TrainingWindow
from tests.live_media import H264_HIGH, X264, picture, psnr

HR, LR = Size(width=160, height=96), Size(width=80, height=48)


class _Sender:
    """25 frames a second through a watch."""

    def __init__(self) -> None:
        self.needs: ModelNeeds | None = ModelNeeds(scale=2, window=3, lookahead=1)
        self.taken: list[TrainingWindow] = []
        self.now_ms, self.index = 0.0, 0
        self.codec = X264()
        self.watch = WindowWatch(
            self.codec,
            needs=lambda: self.needs,
            take=self.taken.append,
            clock_ms=lambda: self.now_ms,
        )

    def send(
        self, count: int, *, keyframes: bool = False, dropped: bool = False, size: Size = LR
    ) -> None:
        for _ in range(count):
            original = picture(self.index, size=HR)
            self.watch.watch(original)
            if not dropped:
                self.encode(downscale(original, size=size), keyframes or self.index == 0)
            self.index += 1
            self.now_ms += 40

    def encode(self, frame: Frame, is_keyframe: bool = False) -> bytes:
        return self.watch.encode(
            frame, codec=H264_HIGH, force_keyframe=is_keyframe, remote_estimate_bps=None
        )


def test_windows_are_as_a_receiver_decodes_them_with_the_original_of_their_reference() -> None:
    sender = _Sender()
    sender.send(30)
    assert 3 <= len(sender.taken) <= 6
    for window in sender.taken:
        assert window.index == 1
        assert [each.size for each in window.lr] == [LR] * 3
        assert len({each.pts for each in window.lr}) == 3
        assert window.lr[1].pts == window.original.pts
        assert window.original.size == HR
        assert all(each.quantiser is not None for each in window.lr)
        assert psnr(window.lr[1], downscale(window.original, size=LR)) > 30


def test_the_first_come_faster_and_then_one_a_second() -> None:
    sender = _Sender()
    sender.send(25 * 14)
    early = [each for each in sender.taken if each.original.pts < 90_000 * 5]
    late = [each for each in sender.taken if each.original.pts >= 90_000 * 5]
    assert len(early) >= FIRST_WINDOWS
    assert 7 <= len(late) <= 10


def test_nothing_is_picked_while_nothing_is_trained() -> None:
    sender = _Sender()
    sender.needs = None
    sender.send(20)
    assert sender.taken == []
    sender.needs = ModelNeeds(scale=2, window=5, lookahead=0)
    sender.send(20)
    assert sender.taken
    assert all(len(each.lr) == 5 and each.index == 4 for each in sender.taken)


def test_a_window_across_a_keyframe_or_a_change_of_size_is_left_out() -> None:
    sender = _Sender()
    sender.send(60, keyframes=True)
    assert sender.taken == []
    for _ in range(10):
        sender.send(1)
        sender.send(1, size=Size(width=40, height=24))
    assert sender.taken == []


def test_an_original_that_was_never_coded_holds_nothing_up() -> None:
    sender = _Sender()
    sender.send(1)
    sender.send(40, dropped=True)
    sender.send(60)
    assert sender.taken
    assert all(each.lr[1].pts == each.original.pts for each in sender.taken)


def test_a_stream_that_cannot_be_decoded_goes_on_unlearned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class _Broken:
        def decode(self, data: bytes, codec: NegotiatedCodec, pts: int) -> list[Frame]:
            raise CodecError("no decoder")

    sender = _Sender()
    sender.watch._pictures = _Broken()  # type: ignore[assignment]  # fails as a decoder may
    sender.send(30)
    assert sender.codec.keyframes_forced == 1
    assert sender.taken == []
    assert caplog.text.count("nothing is learned of this stream: no decoder") == 1
