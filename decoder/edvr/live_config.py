"""The sizes of a live network."""

from __future__ import annotations

from dataclasses import dataclass

from stream.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConfig:
    """Sizes of one live network.

    scale: output over input, 1 to 4; 1 cleans (deblurs) without enlarging.
    window: frames seen; lookahead: how many lie in the future.
    channels: width of the trunk. near_channels: width of what is aligned to the reference.
    align_level: the finer of the two levels on which frames are aligned: 1 is the trunk's own
    grid, 2 is half as fine, which costs a quarter.
    coarse_kernel, fine_kernel: taps along one side of the deformable convolution on the coarser
    and on the finer level.
    Raises ConfigError for impossible combinations.
    """

    scale: int
    window: int = 3
    lookahead: int = 1
    channels: int = 48
    near_channels: int = 24
    align_level: int = 1
    deformable_groups: int = 8
    extract_blocks: int = 1
    reconstruct_blocks: int = 2
    fine_kernel: int = 1
    coarse_kernel: int = 3

    def __post_init__(self) -> None:
        if self.scale not in (1, 2, 3, 4):
            raise ConfigError(f"scale must be 1, 2, 3 or 4, got {self.scale}")
        if not 0 <= self.lookahead < self.window:
            raise ConfigError(f"lookahead {self.lookahead} does not fit window {self.window}")
        if self.align_level not in (1, 2):
            raise ConfigError(f"align_level must be 1 or 2, got {self.align_level}")
        if self.near_channels % self.deformable_groups:
            raise ConfigError(
                f"{self.deformable_groups} groups do not divide {self.near_channels} channels"
            )

    def has_trunk_of(self, other: LiveConfig) -> bool:
        """Whether both compute a frame's features without neighbours by layers of one shape.

        The last layer, which makes samples of them, is of the same shape at the same scale.
        """
        names = ("lr_stride", "channels", "extract_blocks", "reconstruct_blocks")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    @property
    def lr_stride(self) -> int:
        """LR luma samples along one side of a trunk cell."""
        return 4 if self.scale == 1 else 2

    @property
    def align_stride(self) -> int:
        """LR luma samples along one side of a cell of the finer level of alignment."""
        return self.lr_stride * self.align_level

    @property
    def multiple_of(self) -> int:
        """LR width and height must be multiples of this (the coarser level of alignment)."""
        return 2 * self.align_stride

    @property
    def reach(self) -> int:
        """How many cells away the classical upscaler looks: its three lobes must fit."""
        return 4 // self.lr_stride

    @property
    def lr_parts(self) -> tuple[int, int, int]:
        """Channels of y, u and v of one LR frame after space-to-depth."""
        return _parts(self.lr_stride)

    @property
    def hr_parts(self) -> tuple[int, int, int]:
        """Channels of y, u and v of one HR frame before depth-to-space."""
        return _parts(self.lr_stride * self.scale)

    @property
    def lr_channels(self) -> int:
        """Channels of one LR frame after space-to-depth: y, then u, then v."""
        return sum(self.lr_parts)

    @property
    def hr_channels(self) -> int:
        """Channels of one HR frame before depth-to-space."""
        return sum(self.hr_parts)

    @property
    def reference(self) -> int:
        """Index of the reference in the window, oldest first."""
        return self.window - 1 - self.lookahead


def _parts(stride: int) -> tuple[int, int, int]:
    return stride**2, (stride // 2) ** 2, (stride // 2) ** 2
