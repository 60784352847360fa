"""A stream on its own time: coded, sent within its bits, decoded; weights arrive as they would.

Everything is the product's own but the clock and the network: the sender's codecs and what paces
its weights, the receiver's decoder and what reads deltas. Bits of weights are taken off the
pictures while they travel, as the sender does.
"""

from __future__ import annotations

from dataclasses import replace

from encoder.codec_choice import settings_for
from encoder.downscale import Downscaler
from encoder.video_encoder import MIN_BITRATE_BPS, open_video_encoder
from encoder.weight_publisher import WeightPublisher
from stream import rtp_av1
from stream.errors import CodecError
from stream.frame import CLOCK_HZ, Frame, Size
from stream.jitter_buffer import CodedFrame
from stream.scene_cut import SceneCutDetector
from stream.sending_codecs import NegotiatedCodec
from stream.video_decode import VideoDecoder
from stream.weight_messages import DeltaAssembler, pieces_of

_HIGH_PROFILE = "640c1f"


class PathOfWeights:
    """A data channel that loses nothing; what comes out of it is in `arrived`."""

    is_open, is_refused, waiting_bytes = True, False, 0

    def __init__(self) -> None:
        self.is_state_wanted = False
        self.useless: set[str] = set()
        self.arrived: list[bytes] = []
        self._assembler, self._number = DeltaAssembler(), 0

    def pieces(self, delta: bytes) -> list[bytes]:
        """See `SendingWeights.pieces`."""
        self._number += 1
        return pieces_of(delta, self._number)

    def send(self, piece: bytes) -> None:
        """See `SendingWeights.send`."""
        delta = self._assembler.push(piece)
        if delta is not None:
            self.arrived.append(delta)


class CodedStream:
    """Frames in, what a receiver decodes out; at a rate that weights are part of."""

    def __init__(
        self,
        codec: str,
        *,
        size: Size,
        total_bps: int,
        frame_rate: float,
        publisher: WeightPublisher,
    ) -> None:
        """size: that travels. total_bps: of pictures and weights. Raises CodecError."""
        negotiated = NegotiatedCodec(
            name=codec,
            profile_level_id=_HIGH_PROFILE if codec == "h264" else None,
            payload_type=96,
        )
        self._encoder = open_video_encoder(
            settings_for(
                negotiated,
                size=size,
                target_bps=total_bps,
                frame_rate=frame_rate,
                preset="auto",
                intra_refresh=False,
            )
        )
        self._codec, self._size, self._total_bps = codec, size, total_bps
        self._frame_rate, self._publisher = frame_rate, publisher
        self._decoder, self._downscaler = VideoDecoder(codec), Downscaler()
        self._cuts = SceneCutDetector()
        self._frames = 0
        self.video_bytes = 0

    def push(self, original: Frame) -> Frame:
        """The next picture as a receiver has it; pts counts pictures. Raises CodecError."""
        pts = round(self._frames * CLOCK_HZ / self._frame_rate)
        self._publisher.poll(now_ms=1000 * self._frames / self._frame_rate)
        left_bps = self._total_bps - self._publisher.sending_bps
        self._encoder.target_bitrate_bps = max(MIN_BITRATE_BPS, left_bps)
        small = self._downscaler.downscale(replace(original, pts=pts), size=self._size)
        data = self._encoder.encode(small, force_keyframe=self._cuts.push(small)).data
        self.video_bytes += len(data)
        if self._codec == "av1":  # travels in another form than it is made
            data = b"".join(rtp_av1.depayload(each).data for each in rtp_av1.packetize(data))
        coded = CodedFrame(
            data=data, timestamp=pts, is_keyframe=False, after_loss=False, arrived_ms=0.0
        )
        shown = self._decoder.decode(coded)
        if len(shown) != 1:
            raise CodecError(f"{len(shown)} pictures of one came back")
        self._frames += 1
        return replace(shown[0], pts=self._frames - 1, entered_ms=None)

    def close(self) -> None:
        """Free the codec."""
        self._encoder.close()
