"""The sender's own look at what a receiver will make of its pictures, by the real edvr-restore."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from encoder.downscale import downscale
from encoder.quality_preview import EDGE_FRAMES, FRAMES, RESTORE, QualityPreview
from encoder.video_encoder import AV1Settings, open_video_encoder
from stream.frame import Frame, Size
from stream.sending_codecs import FrameEncoder, NegotiatedCodec
from tests.live_media import H264_HIGH, INTERVAL, X264, picture, psnr
from tests.live_processes import wait_until

HD, LR = Size(width=320, height=192), Size(width=160, height=96)
BY_LANCZOS = (*RESTORE, "--model", "lanczos")


def _original(index: int) -> Frame:
    return picture(index, size=HD, pts=index * INTERVAL)


class _Av1:
    """A `FrameEncoder` of the sender's AV1."""

    def __init__(self) -> None:
        settings = AV1Settings(size=LR, target_bitrate_bps=300_000, preset="12")
        self._codec = open_video_encoder(settings)

    def encode(
        self,
        frame: Frame,
        *,
        codec: NegotiatedCodec,
        force_keyframe: bool,
        remote_estimate_bps: int | None,
    ) -> bytes:
        return self._codec.encode(frame, force_keyframe=force_keyframe).data


class _Sender:
    """A preview fed at 25 frames a second of its own clock."""

    def __init__(
        self,
        *,
        restore: Sequence[str] = BY_LANCZOS,
        encoder: FrameEncoder | None = None,
        codec: NegotiatedCodec = H264_HIGH,
    ) -> None:
        self.codec = codec
        self.now_ms, self.index = 0.0, 0
        self.told: list[tuple[float, int]] = []
        self.preview = QualityPreview(
            X264() if encoder is None else encoder,
            hd=HD,
            tell=lambda db, frames: self.told.append((db, frames)),
            restore=restore,
            first_after_ms=100,
            period_ms=400,
            niceness=0,
            clock_ms=lambda: self.now_ms,
        )

    def send(self, count: int, *, skip: Sequence[int] = ()) -> None:
        for _ in range(count):
            original = _original(self.index)
            self.preview.watch(original)
            if self.index not in skip:
                assert self.preview.encode(
                    downscale(original, size=LR),
                    codec=self.codec,
                    force_keyframe=self.index == 0,
                    remote_estimate_bps=None,
                )
            self.index += 1
            self.now_ms += 40


def test_what_was_sent_is_restored_and_compared_with_its_originals() -> None:
    sender = _Sender()
    sender.send(3 + FRAMES)
    sender.preview.wait()
    ((told_db, frames),) = sender.told
    assert frames == FRAMES - 2 * EDGE_FRAMES
    # coded nearly without loss: what is lost is what the small picture cannot hold
    assert 30 < told_db < 60


def test_av1_is_decoded_as_a_receiver_does() -> None:
    codec = NegotiatedCodec(name="av1", profile_level_id=None, payload_type=97)
    sender = _Sender(encoder=_Av1(), codec=codec)
    sender.send(3 + FRAMES)
    sender.preview.wait()
    ((told_db, frames),) = sender.told
    assert frames == FRAMES - 2 * EDGE_FRAMES
    assert 25 < told_db < 60


def test_worse_pictures_have_a_lower_figure() -> None:
    figures = []
    for size in (LR, Size(width=40, height=24)):
        sender = _Sender()
        for index in range(3 + FRAMES):
            original = _original(index)
            sender.preview.watch(original)
            sender.preview.encode(
                downscale(original, size=size),
                codec=H264_HIGH,
                force_keyframe=index == 0,
                remote_estimate_bps=None,
            )
            sender.now_ms += 40
        sender.preview.wait()
        figures.append(sender.told[0][0])
    assert figures[0] > figures[1] + 3
    assert psnr(_original(1), _original(1)) > figures[0]


def test_frames_that_were_dropped_before_coding_are_left_out() -> None:
    sender = _Sender()
    sender.send(3 + FRAMES, skip=[6])
    sender.preview.wait()
    assert [frames for _, frames in sender.told] == [FRAMES - 1 - 2 * EDGE_FRAMES]


def test_a_restoration_that_fails_is_told_once_and_the_sending_goes_on(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.WARNING)
    failing = tmp_path / "fails.py"
    failing.write_text("raise SystemExit('there is no model')")
    sender = _Sender(restore=(sys.executable, str(failing)))
    sender.send(3 + FRAMES)
    sender.preview.wait()
    sender.send(30)
    sender.preview.wait()
    assert sender.told == []
    assert caplog.text.count("no preview of the quality: there is no model") == 1


def test_closing_ends_a_restoration_without_a_word(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    endless = tmp_path / "endless.py"
    endless.write_text("import time\ntime.sleep(1000)")
    sender = _Sender(restore=(sys.executable, str(endless)))
    sender.send(3 + FRAMES)
    wait_until(lambda: sender.preview._process is not None, "a restoration that runs")
    sender.preview.close()
    assert sender.told == []
    assert caplog.text == ""
