"""What a receiver makes of our own coded pictures, quantisers included."""

from __future__ import annotations

from stream import rtp_av1
from stream.frame import Frame
from stream.jitter_buffer import CodedFrame
from stream.sending_codecs import NegotiatedCodec
from stream.video_decode import VideoDecoder


class SentPictures:
    """Decodes a stream as it is coded, beside the coding; for one thread."""

    def __init__(self) -> None:
        self._decoder: VideoDecoder | None = None
        self._codec: NegotiatedCodec | None = None

    def decode(self, data: bytes, codec: NegotiatedCodec, pts: int) -> list[Frame]:
        """The pictures of an access unit of `FrameEncoder.encode`, with its pts.

        Raises CodecError.
        """
        if self._decoder is None or codec != self._codec:
            self._decoder, self._codec = VideoDecoder(codec.name), codec
        if codec.name == "av1":  # travels in another form than it is made
            data = b"".join(rtp_av1.depayload(each).data for each in rtp_av1.packetize(data))
        coded = CodedFrame(
            data=data, timestamp=pts, is_keyframe=False, after_loss=False, arrived_ms=0.0
        )
        return self._decoder.decode(coded)
