"""The EDVR network of the paper, split into what is done once a frame and once a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decoder.edvr.alignment import PcdAlignment, Pyramid
from decoder.edvr.blocks import conv1x1, conv3x3, enlarge, leaky, residual_blocks
from decoder.edvr.fusion import TsaFusion
from decoder.edvr.predeblur import Predeblur
from stream.errors import ConfigError, FrameError

TAIL_CHANNELS = 64
"""Width of the last layers in every published size, whatever `num_feat` is."""

FEATURE_SCALE = 4
"""The output grid is this many times the grid of the features, with or without HR-in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdvrConfig:
    """Shape of a network; the defaults are the paper's EDVR-M.

    num_in_ch: channels of a frame, in and out; 3 for RGB.
    num_feat: channels of the features.
    num_frame: frames of a window.
    deformable_groups: groups of channels that move together in the alignment.
    num_extract_block, num_reconstruct_block: residual blocks per frame, and per window.
    center_frame: index of the reference in the window, oldest first; None means the middle.
    hr_in: the input has the size of the output (deblurring); needs `with_predeblur`.
    with_predeblur: clean each frame before its features are taken.
    with_tsa: fuse by attention; otherwise by one pointwise convolution.

    Raises ConfigError for a combination that no network can have.
    """

    num_in_ch: int = 3
    num_feat: int = 64
    num_frame: int = 5
    deformable_groups: int = 8
    num_extract_block: int = 5
    num_reconstruct_block: int = 10
    center_frame: int | None = None
    hr_in: bool = False
    with_predeblur: bool = False
    with_tsa: bool = True

    def __post_init__(self) -> None:
        for name in ("num_in_ch", "num_feat", "num_frame", "deformable_groups"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("num_extract_block", "num_reconstruct_block"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.num_feat % self.deformable_groups:
            raise ConfigError(
                f"num_feat {self.num_feat} cannot be split into {self.deformable_groups} "
                "deformable groups"
            )
        if not 0 <= self.reference_index < self.num_frame:
            raise ConfigError(
                f"center_frame {self.center_frame} is outside a window of {self.num_frame} frames"
            )
        if self.hr_in and not self.with_predeblur:
            raise ConfigError("hr_in needs with_predeblur, whose strided layers take full size in")

    @property
    def reference_index(self) -> int:
        """Index of the reference in the window, oldest frame first."""
        return self.num_frame // 2 if self.center_frame is None else self.center_frame

    @property
    def window(self) -> int:
        """Frames of a window."""
        return self.num_frame

    @property
    def reference(self) -> int:
        """The same as `reference_index`."""
        return self.reference_index

    @property
    def lookahead(self) -> int:
        """How many frames of the window come after the reference."""
        return self.num_frame - 1 - self.reference_index

    @property
    def scale(self) -> int:
        """Output size over input size."""
        return 1 if self.hr_in else FEATURE_SCALE

    @property
    def multiple_of(self) -> int:
        """Input height and width must be multiples of this: three pyramid levels must halve."""
        return 4 * FEATURE_SCALE if self.hr_in else 4


EDVR_M = EdvrConfig()
"""EDVR-M of the paper: 3.30 M parameters."""

EDVR_L = EdvrConfig(num_feat=128, num_reconstruct_block=40)
"""EDVR-L of the paper: 20.63 M parameters."""


class Edvr(nn.Module):
    """EDVR on RGB in [0, 1]; parameters carry the names and shapes of the published checkpoints.

    `extract` runs once a frame and `fuse` once a window, so a stream never extracts a frame twice;
    `forward` is exactly the one after the other. No size is padded here: who feeds the network
    pads to `config.multiple_of` (repeating edges) and crops the output.
    """

    def __init__(self, config: EdvrConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.num_feat
        if config.with_predeblur:
            self.predeblur = Predeblur(config.num_in_ch, channels, hr_in=config.hr_in)
            self.conv_1x1 = conv1x1(channels, channels)
        else:
            self.conv_first = conv3x3(config.num_in_ch, channels)
        self.feature_extraction = residual_blocks(config.num_extract_block, channels)
        self.conv_l2_1 = conv3x3(channels, channels, stride=2)
        self.conv_l2_2 = conv3x3(channels, channels)
        self.conv_l3_1 = conv3x3(channels, channels, stride=2)
        self.conv_l3_2 = conv3x3(channels, channels)
        self.pcd_align = PcdAlignment(channels, config.deformable_groups)
        self.fusion: TsaFusion | nn.Conv2d
        if config.with_tsa:
            self.fusion = TsaFusion(channels, config.num_frame, config.reference_index)
        else:
            self.fusion = conv1x1(config.num_frame * channels, channels)
        self.reconstruction = residual_blocks(config.num_reconstruct_block, channels)
        self.upconv1 = conv3x3(channels, 4 * channels)
        self.upconv2 = conv3x3(channels, 4 * TAIL_CHANNELS)
        self.conv_hr = conv3x3(TAIL_CHANNELS, TAIL_CHANNELS)
        self.conv_last = conv3x3(TAIL_CHANNELS, config.num_in_ch)

    def extract(self, frame: Tensor) -> Pyramid:
        """frame: (B, num_in_ch, H, W) -> features on its grid, or a quarter of it with `hr_in`."""
        if self.config.with_predeblur:
            l1: Tensor = self.conv_1x1(self.predeblur(frame))
        else:
            l1 = leaky(self.conv_first(frame))
        l1 = self.feature_extraction(l1)
        l2 = leaky(self.conv_l2_2(leaky(self.conv_l2_1(l1))))
        l3 = leaky(self.conv_l3_2(leaky(self.conv_l3_1(l2))))
        return Pyramid(l1, l2, l3)

    def fuse(self, pyramids: Sequence[Pyramid], reference_frame: Tensor) -> Tensor:
        """Restore the reference from the features of a window.

        pyramids: what `extract` gave for each of the `num_frame` frames, oldest first;
        reference_frame: (B, num_in_ch, H, W), the frame at `reference_index`, for the skip.
        Returns (B, num_in_ch, scale*H, scale*W), not clipped to [0, 1].
        """
        reference = pyramids[self.config.reference_index]
        # One frame after the other: aligning all at once would hold N times the samples.
        aligned = [self.pcd_align(pyramid, reference) for pyramid in pyramids]
        if isinstance(self.fusion, TsaFusion):
            fused = self.fusion(aligned)
        else:
            fused = self.fusion(torch.cat(aligned, dim=1))
        detail = self._enlarge_features(self.reconstruction(fused))
        if self.config.hr_in:
            return reference_frame + detail
        return enlarge(reference_frame, FEATURE_SCALE) + detail

    def forward(self, window: Tensor) -> Tensor:
        """window: (B, num_frame, num_in_ch, H, W) -> (B, num_in_ch, scale*H, scale*W).

        Raises FrameError when the window does not have the shape that the configuration asks for.
        """
        config = self.config
        if window.ndim != 5 or window.shape[1:3] != (config.num_frame, config.num_in_ch):
            raise FrameError(
                f"window must be (B, {config.num_frame}, {config.num_in_ch}, H, W), "
                f"got {tuple(window.shape)}"
            )
        height, width = window.shape[3:]
        if height % config.multiple_of or width % config.multiple_of:
            raise FrameError(
                f"height and width must be multiples of {config.multiple_of}, got {height}x{width}"
            )
        frames = window.unbind(dim=1)
        return self.fuse([self.extract(frame) for frame in frames], frames[config.reference_index])

    def _enlarge_features(self, features: Tensor) -> Tensor:
        """(B, num_feat, h, w) -> the residual image (B, num_in_ch, 4*h, 4*w)."""
        tail = leaky(F.pixel_shuffle(self.upconv1(features), 2))
        tail = leaky(F.pixel_shuffle(self.upconv2(tail), 2))
        image: Tensor = self.conv_last(leaky(self.conv_hr(tail)))
        return image
