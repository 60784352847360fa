"""What `edvr-bench bandwidth` measures: one field is one flag."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token

from benchmarks.bandwidth.codings import DIRECT_CODINGS, SMALL_CODINGS, small_coding
from decoder.backends.contract import BackendName
from decoder.profile_source import check_profile_source
from encoder.video_encoder import MAX_BITRATE_BPS, MIN_BITRATE_BPS
from stream.config import format_bitrate, parse_bitrate
from stream.errors import ConfigError
from stream.flag_types import StreamNames, one_value

ONLINE = "online"
"""Instead of a profile: weights that are learned on the way."""

RUNGS = (1 / 4, 1 / 2, 3 / 4)
"""Sides of the small pictures as shares of the output's: 180p, 360p and 540p for 720p."""


MAX_JOBS = 64
"""Each holds networks and an ffmpeg: more than any machine needs is a slip of the keyboard."""

QUICK_BITRATES = (80_000, 200_000, 500_000)
QUICK_DIRECT_BITRATES = (200_000, 500_000, 1_000_000, 2_000_000)
QUICK_SECONDS = 2.0
QUICK_MODELS = ("live-xs-x2", "live-xs-x4")
"""What `--quick` takes unless told otherwise."""


def parse_output(text: str) -> int:
    """Lines of the output from `720p` or `720`; ConfigError unless they can be quartered."""
    digits = text.removesuffix("p")
    lines = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 6 else 0
    if lines < 240 or lines % 8:
        raise ConfigError(f"{text!r} is not an output height: write 720p or 1080p")
    return lines


def _convert_rates(_: object, tokens: Sequence[Token]) -> tuple[int, ...]:
    return tuple(parse_bitrate(part) for token in tokens for part in token.value.split(","))


Bitrates = Annotated[
    tuple[int, ...],
    Parameter(
        converter=_convert_rates,
        consume_multiple=(1, None),
        n_tokens=1,
        negative=(),
        metavar="RATE",
        show_default=lambda rates: " ".join(format_bitrate(rate) for rate in rates),
    ),
]
"""Bits a second, each written `150k`; separated by spaces or commas."""

Paths = Annotated[
    tuple[Path, ...],
    Parameter(consume_multiple=(1, None), negative=(), metavar="DIR|FILE", show_default=False),
]

OutputHeight = Annotated[
    int, one_value(parse_output, metavar="720p|1080p", show=lambda lines: f"{lines}p")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthConfig:
    """What to compare. Raises ConfigError for values that can never work."""

    clips: Paths = ()
    """Clips, folders of clips, folders of numbered pictures [default: two rendered clips]."""

    output_size: Annotated[OutputHeight, Parameter(name="--output-size")] = 720
    """Height of the picture that is wanted; clips keep their aspect ratio."""

    codecs: StreamNames = tuple(coding.name for coding in SMALL_CODINGS)
    """Codecs of the small picture [default: all that the sender has]."""

    models: StreamNames = ()
    """Models, each at the sizes that it enlarges to the output [default: all there are]."""

    adapt: str | None = None
    """Also restore with this profile: a file, or https://…#sha256=HASH. online: first show what it
    gains to learn each clip while it is sent."""

    bitrates: Bitrates = (60_000, 120_000, 240_000, 480_000, 960_000)
    """Rates of the small picture."""

    direct_bitrates: Bitrates = (120_000, 240_000, 480_000, 960_000, 1_920_000)
    """Rates of the full picture, coded directly."""

    seconds: float = 5.0
    """How much of each clip, from its start."""

    jobs: int = 0
    """Points measured at the same time; 0 = one per core."""

    backend: BackendName = "openvino"
    """Inference library; the same for all points, so that they can be compared."""

    out: Path = Path("bandwidth")
    """Folder for the report, and for what has been measured: the same folder resumes."""

    live_results: Paths = ()
    """Results of `edvr-bench latency` (JSON), shown in the report beside these."""

    live: bool = False
    """Also run them live: sender and receiver as processes, bits on the wire, quality as seen."""

    quick: bool = False
    """Two rendered clips of 2 s at few rates: a first look in under three minutes on two cores."""

    def __post_init__(self) -> None:
        for name in self.codecs:
            small_coding(name)
        if self.adapt is not None and self.adapt != ONLINE:
            check_profile_source(self.adapt)
        if not (math.isfinite(self.seconds) and 0.2 <= self.seconds <= 600):
            raise ConfigError(f"--seconds must be 0.2 to 600, got {self.seconds}")
        if not 0 <= self.jobs <= MAX_JOBS:
            raise ConfigError(f"--jobs must be 0 to {MAX_JOBS}, got {self.jobs}")
        _check_once("--codecs", self.codecs)
        _check_once("--models", self.models)
        _check_once("--bitrates", [format_bitrate(rate) for rate in self.bitrates])
        _check_once("--direct-bitrates", [format_bitrate(rate) for rate in self.direct_bitrates])
        for rate in (*self.bitrates, *self.direct_bitrates):
            if not MIN_BITRATE_BPS <= rate <= MAX_BITRATE_BPS:
                raise ConfigError(
                    f"bitrate {format_bitrate(rate)} is out of range: choose "
                    f"{format_bitrate(MIN_BITRATE_BPS)} to {format_bitrate(MAX_BITRATE_BPS)}"
                )

    @property
    def rungs(self) -> tuple[float, ...]:
        """Sides of the small pictures as shares of the output's."""
        return RUNGS[:2] if self.quick else RUNGS

    @property
    def direct_codings(self) -> tuple[str, ...]:
        """Names of what the full picture is coded with."""
        if self.quick:
            return ("x264-veryfast", "sender-av1")
        return tuple(coding.name for coding in DIRECT_CODINGS)

    @property
    def job_count(self) -> int:
        """Points measured at the same time."""
        return self.jobs or os.cpu_count() or 1

    def as_run(self) -> BandwidthConfig:
        """What is run: with `quick`, less of everything that was not asked for."""
        if not self.quick:
            return self
        usual = BandwidthConfig()
        return replace(
            self,
            models=self.models or QUICK_MODELS,
            bitrates=QUICK_BITRATES if self.bitrates == usual.bitrates else self.bitrates,
            direct_bitrates=QUICK_DIRECT_BITRATES
            if self.direct_bitrates == usual.direct_bitrates
            else self.direct_bitrates,
            seconds=QUICK_SECONDS if self.seconds == usual.seconds else self.seconds,
        )


def _check_once(flag: str, values: Sequence[str]) -> None:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ConfigError(f"{flag} has {twice[0]} more than once")
