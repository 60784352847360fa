"""How outputs are written, apart from where: the same for all outputs of a receiver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from decoder.video_codec import OutputCodec

if TYPE_CHECKING:
    from decoder.hls_shelf import HlsShelf


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """segment_s: files are cut into files of so many seconds; None writes one file.

    shelf: takes low-latency HLS; without one there is none. whip_token: Bearer token that WHIP
    outputs show. codec: what compresses files, pushes and HLS.
    """

    segment_s: float | None = None
    shelf: HlsShelf | None = None
    whip_token: str | None = None
    codec: OutputCodec = "auto"


PLAIN = OutputOptions()
