"""Settings of the receiver; the command line of `edvr-receive` is generated from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from decoder.backends.contract import BackendName
from decoder.config import DEFAULT_SIZE, RestorerConfig
from decoder.model_choice import AUTO
from decoder.sink import NullTarget, parse_target, public_name
from stream.config import HostPort
from stream.errors import ConfigError
from stream.flag_types import AddressOrNone, BearerToken, PictureSize, StreamNames
from stream.sdp_exchange import check_url
from stream.signalling import check_token

STREAM_PLACEHOLDER = "{stream}"
"""In an output, stands for the name of the stream; without it only one stream can be written."""

DEFAULT_LISTEN = HostPort(host="127.0.0.1", port=8080)
MAX_STREAMS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverConfig:
    """Where from, how restored, where to."""

    outputs: Annotated[StreamNames, Parameter(name="--output")]
    """Where restored video goes: FILE.mp4, FILE.mkv, rtmp://…, srt://…, hls:DIR, y4m:- or null:;
    any number. {stream} in it stands for the stream's name."""

    lr_outputs: Annotated[StreamNames, Parameter(name="--lr-output")] = ()
    """Where the small pictures go as they travelled, in the same forms; for comparing."""

    listen: AddressOrNone = None
    """Take publishers here, at /whip and /whip/NAME [default: 127.0.0.1:8080]."""

    whep: str | None = None
    """Pull from this WHEP endpoint instead of listening."""

    token: BearerToken = None
    """Bearer token that publishers must show, or that the WHEP endpoint asks for."""

    size: PictureSize = DEFAULT_SIZE
    """Box that the restored picture fills, keeping its aspect ratio."""

    model: str = AUTO
    """auto, lanczos (no network), the name of a model or the path of a model folder."""

    backend: BackendName = "auto"
    """Inference library; auto takes the one that is fastest here."""

    lookahead: Literal[0, 1, 2] | None = None
    """Future frames to wait for; less lowers delay and quality [default: as the model has it]."""

    threads: int = 0
    """Threads for the network; 0 takes one per core."""

    stats: Path | None = None
    """Append one JSON object a second and stream to this file."""

    verbose: bool = False
    """Log more: scene cuts and frames that do not decode."""

    def __post_init__(self) -> None:
        targets = [parse_target(output) for output in (*self.outputs, *self.lr_outputs)]
        for number, target in enumerate(targets):
            if target in targets[:number] and not isinstance(target, NullTarget):
                raise ConfigError(f"output {public_name(target)} is given twice")
        if self.whep is not None and self.listen is not None:
            raise ConfigError("give --listen or --whep, not both")
        if self.whep is not None:
            check_url(self.whep)
        check_token(self.token)
        if self.stats is not None and not self.stats.absolute().parent.is_dir():
            raise ConfigError(f"--stats {self.stats}: its directory does not exist")
        _ = self.restorer

    @property
    def restorer(self) -> RestorerConfig:
        """The part that concerns restoration."""
        return RestorerConfig(
            size=self.size,
            model=self.model,
            backend=self.backend,
            lookahead=self.lookahead,
            threads=self.threads,
        )

    @property
    def max_streams(self) -> int:
        """How many streams may be live: more than one only if their outputs do not collide."""
        collide = any(
            STREAM_PLACEHOLDER not in output and not isinstance(parse_target(output), NullTarget)
            for output in (*self.outputs, *self.lr_outputs)
        )
        return 1 if collide else MAX_STREAMS

    def outputs_of(self, stream: str) -> tuple[str, ...]:
        """The outputs of one stream."""
        return tuple(output.replace(STREAM_PLACEHOLDER, stream) for output in self.outputs)

    def lr_outputs_of(self, stream: str) -> tuple[str, ...]:
        """The outputs of one stream's small pictures."""
        return tuple(output.replace(STREAM_PLACEHOLDER, stream) for output in self.lr_outputs)
