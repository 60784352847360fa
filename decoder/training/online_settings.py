"""How a sender learns its stream, and what it proposes to send of that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from decoder.training.delta_training import DeltaSettings
from stream.errors import ConfigError

DB_PER_DOUBLING = 3.0
"""PSNR-Y that twice the bits bring in the codec, about, at the rates where networks restore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineSettings:
    """How a stream is learned.

    video_bps: what the codec spends, which a step's bits are weighed against.
    horizon_s: how long a step is expected to be of use: its bits are spread over this time.
    round_steps: training steps between two looks at what was gained; in the first round, in which
    most is, first_round_steps.
    pool: patches that are kept; patches: of each window, at most.
    hold_out_every: one window in so many is set apart; held_out: how many of them are kept.
    patch: HR side of a patch. change_ratio: largest change of a tensor in shares of what a
    receiver takes.
    """

    video_bps: int = 150_000
    horizon_s: float = 60.0
    db_per_doubling: float = DB_PER_DOUBLING
    first_round_steps: int = 60
    round_steps: int = 120
    pool: int = 512
    patches: int = 8
    hold_out_every: int = 3
    held_out: int = 8
    patch: int = 192
    change_ratio: float = 0.5
    training: DeltaSettings = field(default_factory=lambda: DeltaSettings(batch=8, coarseness=2.0))

    def __post_init__(self) -> None:
        if self.video_bps < 1 or not 0 < self.horizon_s < math.inf or self.hold_out_every < 2:
            raise ConfigError("a stream cannot be learned by these settings")

    def price_db(self, size_bytes: int) -> float:
        """What the codec would gain from so many bytes, spread over the horizon."""
        return self.db_per_doubling * math.log2(
            1 + 8 * size_bytes / (self.horizon_s * self.video_bps)
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proposal:
    """A coded delta that is worth its bits, and what was measured on windows set apart.

    gain_db: over what the receiver has; over_model_db: over the model as it is.
    price_db: what its bits would have gained in the codec. is_state: whether it stands alone.
    """

    coded: bytes
    gain_db: float
    over_model_db: float
    price_db: float
    is_state: bool
    weights: Mapping[str, Tensor]

    @property
    def worth_db(self) -> float:
        """What it gains beyond its price."""
        return self.gain_db - self.price_db
