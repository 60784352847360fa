"""Settings of the receiver; the command line of `edvr-receive` is generated from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from decoder.backends.contract import BackendName
from decoder.config import DEFAULT_SIZE, RestorerConfig
from decoder.hls_shelf import HlsShelf
from decoder.model_choice import AUTO
from decoder.output_options import OutputOptions
from decoder.profile_source import check_profile_source
from decoder.sink import FileTarget, NullTarget, numbered, parse_target, public_name
from decoder.video_codec import OutputCodec
from stream.access import AccessRules, check_token, parse_stream_token
from stream.config import HostPort
from stream.config_file import ConfigFilePath
from stream.errors import ConfigError
from stream.flag_types import AddressOrNone, BearerToken, DurationOrNone, PictureSize, StreamNames
from stream.log import LogFormat
from stream.scene_signature import MAX_SCENES
from stream.sdp_exchange import check_url
from stream.signalling import HttpConfig

STREAM_PLACEHOLDER = "{stream}"
"""In an output, stands for the name of the stream; without it only one stream can be written."""

DEFAULT_LISTEN = HostPort(host="127.0.0.1", port=8080)
MAX_STREAMS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverConfig:
    """Where from, how restored, where to."""

    outputs: Annotated[StreamNames, Parameter(name="--output")] = ()
    """Where restored video goes: FILE.mp4, FILE.mkv, rtmp://…, srt://…, whip+https://…, hls:DIR,
    llhls:NAME, y4m:-, raw:-, camera: or null:; any number. {stream} in it stands for the stream's
    name. Without one it can be viewed only."""

    lr_outputs: Annotated[StreamNames, Parameter(name="--lr-output")] = ()
    """Where the small pictures go as they travelled, in the same forms; for comparing."""

    segment_s: Annotated[DurationOrNone, Parameter(name="--segment")] = None
    """Cut files into one of this length each, named by when it begins: 30s, 10m or 1h."""

    output_codec: OutputCodec = "auto"
    """What compresses files, pushes and HLS; auto takes hardware where it works, else x264."""

    whip_token: Annotated[
        str | None,
        Parameter(env_var="EDVR_WHIP_TOKEN", metavar="TOKEN", show_default=False),
    ] = None
    """Bearer token that whip+http outputs show."""

    listen: AddressOrNone = None
    """Take publishers here, at /whip and /whip/NAME [default: 127.0.0.1:8080]."""

    whep: str | None = None
    """Pull from this WHEP endpoint instead of listening."""

    token: BearerToken = None
    """Bearer token that publishers must show, or that the WHEP endpoint asks for."""

    max_viewers: int = 32
    """How many may view at the same time, in browsers and by WHEP, all streams together."""

    view_codec: Literal["h264", "av1"] = "h264"
    """What compresses the restored picture for viewers; av1 for those who take it, if the machine
    is fast enough: a quarter to a half of the bits less."""

    direct_ratio: float | None = None
    """How many times as many bits HD of this quality would take if it were sent directly, as you
    measured it (`make demo`); shown beside the bits that travel."""

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

    profiles: Annotated[StreamNames, Parameter(name="--profile", metavar="PROFILE")] = ()
    """Weights made for this show: FILE.profile, or https://…/FILE.profile#sha256=HASH. Of several,
    each is used for the scenes that it was made from."""

    adapt: bool = True
    """Take weights that a sender has or trains for its stream."""

    stats: Path | None = None
    """Append one JSON object a second and stream to this file."""

    calibrate: bool = False
    """Measure every model on every backend, print the table, keep it for later, and end."""

    verbose: bool = False
    """Log more: scene cuts and frames that do not decode."""

    log_format: LogFormat = "text"
    """json: one object a line, for collecting."""

    config: ConfigFilePath = None
    """Take settings from this TOML file: flags by their names without --."""

    view_token: Annotated[
        str | None,
        Parameter(env_var="EDVR_VIEW_TOKEN", metavar="TOKEN", show_default=False),
    ] = None
    """Bearer token that lets watch all streams and read figures, but not publish."""

    public_view: bool = False
    """Let anybody watch, even where publishing takes a token."""

    stream_tokens: Annotated[
        StreamNames, Parameter(name="--stream-token", metavar="NAME=TOKEN")
    ] = ()
    """Tokens that publish one stream only; others then take --token."""

    stream_view_tokens: Annotated[
        StreamNames, Parameter(name="--stream-view-token", metavar="NAME=TOKEN")
    ] = ()
    """Tokens that watch one stream only."""

    tls_cert: Path | None = None
    """Serve HTTPS with this certificate chain (PEM)."""

    tls_key: Path | None = None
    """The certificate's private key (PEM)."""

    cors_origins: Annotated[StreamNames, Parameter(name="--cors-origin", metavar="ORIGIN")] = ("*",)
    """Origins whose web pages may use this server; * for all [default: *]."""

    request_rate: float = 50.0
    """HTTP requests a second that one address may make, four times as many at once; 0 for any."""

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
        if self.direct_ratio is not None and not 0 < self.direct_ratio < 1000:
            raise ConfigError(f"--direct-ratio must be above 0, got {self.direct_ratio:g}")
        if self.max_viewers < 0:
            raise ConfigError(f"--max-viewers must be at least 0, got {self.max_viewers}")
        check_token(self.whip_token)
        for profile in self.profiles:
            check_profile_source(profile)
        if len(self.profiles) > MAX_SCENES:
            raise ConfigError(f"--profile: {MAX_SCENES} at most, got {len(self.profiles)}")
        if self.segment_s is not None and not any(
            isinstance(target, FileTarget) for target in targets
        ):
            raise ConfigError("--segment cuts files: give a FILE.mp4 or FILE.mkv as --output")
        if self.request_rate < 0:
            raise ConfigError(f"--request-rate must not be below 0, got {self.request_rate:g}")
        if self.stats is not None and not self.stats.absolute().parent.is_dir():
            raise ConfigError(f"--stats {self.stats}: its directory does not exist")
        _ = self.restorer, self.http

    @property
    def http(self) -> HttpConfig:
        """The part that concerns the HTTP server."""
        listen = self.listen or DEFAULT_LISTEN
        return HttpConfig(
            host=listen.host,
            port=listen.port,
            access=AccessRules(
                publish_token=self.token,
                view_token=self.view_token,
                stream_publish_tokens=dict(map(parse_stream_token, self.stream_tokens)),
                stream_view_tokens=dict(map(parse_stream_token, self.stream_view_tokens)),
                is_viewing_public=self.public_view,
            ),
            tls_cert=self.tls_cert,
            tls_key=self.tls_key,
            max_sessions=self.max_streams,
            cors_origins=self.cors_origins,
            requests_per_s=self.request_rate or None,
            replace_publisher=True,  # a sender that was killed may come back at once
        )

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

    def output_options(self, shelf: HlsShelf) -> OutputOptions:
        """How outputs are written."""
        return OutputOptions(
            segment_s=self.segment_s,
            shelf=shelf if self.whep is None else None,
            whip_token=self.whip_token,
            codec=self.output_codec,
        )

    @property
    def view_codecs(self) -> tuple[str, ...]:
        """What viewers may get restored pictures in, best first."""
        return ("av1", "h264") if self.view_codec == "av1" else ("h264",)

    @property
    def max_streams(self) -> int:
        """How many streams may be live: more than one only if their outputs do not collide."""
        collide = any(
            STREAM_PLACEHOLDER not in output and not isinstance(parse_target(output), NullTarget)
            for output in (*self.outputs, *self.lr_outputs)
        )
        return 1 if collide else MAX_STREAMS

    def outputs_of(self, stream: str, *, life: int = 1) -> tuple[str, ...]:
        """The outputs of one stream; `life` counts how often it began anew in this run."""
        return _outputs(self.outputs, stream, life)

    def lr_outputs_of(self, stream: str, *, life: int = 1) -> tuple[str, ...]:
        """The outputs of one stream's small pictures."""
        return _outputs(self.lr_outputs, stream, life)


def _outputs(outputs: tuple[str, ...], stream: str, life: int) -> tuple[str, ...]:
    return tuple(
        numbered(output.replace(STREAM_PLACEHOLDER, stream), life=life) for output in outputs
    )
