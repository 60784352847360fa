"""An RGB network on planar 4:2:0, with the colour conversion inside the graph.

The live path carries no RGB. The matrix is that of BT.709 (ITU-T H.273 code point 1), limited
range, whatever tags a stream carries: the same matrix leads in and out, so a stream of another
one keeps its colours and only shows the network a slightly different RGB.

Chroma samples are taken to lie in the middle of their four luma samples, in and out alike. The
sender shrinks each plane by area averaging on its own, so where chroma truly lies only moves the
whole plane by the same amount before and after; treating input or output as sited to the left
would add a shift instead of removing it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decoder.edvr.alignment import Pyramid
from decoder.edvr.blocks import enlarge
from decoder.edvr.network import Edvr
from stream.errors import ConfigError

Planes = tuple[Tensor, Tensor, Tensor]
"""y (B, 1, H, W), u and v (B, 1, H/2, W/2), float: (sample - 128) / 128 of limited range."""

# BT.709 luma weights of red and blue; all else follows (ITU-T H.273 equations 38 to 40).
_RED, _BLUE = 0.2126, 0.0722
_GREEN = 1 - _RED - _BLUE

# Limited range of 8 bit (ITU-T H.273 equations 20 to 22) in the planes' unit.
_LUMA_ZERO, _LUMA_SPAN = (16 - 128) / 128, 219 / 128
_CHROMA_SPAN = 224 / 128

# What chroma of a full span adds to luma to give red and blue.
_RED_SPAN = 2 * (1 - _RED)
_BLUE_SPAN = 2 * (1 - _BLUE)


def planes_to_rgb(y: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Planes -> float RGB (B, 3, H, W).

    Nominal range [0, 1]; colours that limited range can say and RGB cannot fall outside it.
    """
    luma = (y - _LUMA_ZERO) / _LUMA_SPAN
    cb, cr = (enlarge(torch.cat((u, v), dim=1), 2) / _CHROMA_SPAN).chunk(2, dim=1)
    red = luma + _RED_SPAN * cr
    blue = luma + _BLUE_SPAN * cb
    green = (luma - _RED * red - _BLUE * blue) / _GREEN
    return torch.cat((red, green, blue), dim=1)


def rgb_to_planes(rgb: Tensor, *, clip: bool = True) -> Planes:
    """Float RGB (B, 3, H, W), clipped to [0, 1] -> planes within limited range.

    clip: as pictures need it; what is clipped has no gradient, so training leaves it.
    """
    red, green, blue = (rgb.clamp(0, 1) if clip else rgb).chunk(3, dim=1)
    luma = _RED * red + _GREEN * green + _BLUE * blue
    chroma = torch.cat(((blue - luma) / _BLUE_SPAN, (red - luma) / _RED_SPAN), dim=1)
    # The mean of four is bilinear sampling in their middle.
    u, v = (F.avg_pool2d(chroma, 2) * _CHROMA_SPAN).chunk(2, dim=1)
    return luma * _LUMA_SPAN + _LUMA_ZERO, u, v


class EdvrExtract(nn.Module):
    """First half of the streaming pair: planes of a frame to its features."""

    def __init__(self, network: Edvr) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, y: Tensor, u: Tensor, v: Tensor, quantiser: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Planes of one frame, H and W multiples of `config.multiple_of`.

        quantiser: (B,), not looked at: the published networks do not know it, but all live
        networks take the same inputs. Returns the pyramid, and the frame as RGB for the skip.
        """
        del quantiser
        rgb = planes_to_rgb(y, u, v)
        pyramid = self.network.extract(rgb)
        return pyramid.l1, pyramid.l2, pyramid.l3, rgb


def _unchanged(plane: Tensor) -> Tensor:
    return plane


class EdvrFuse(nn.Module):
    """Second half of the streaming pair: features of a window to planes of the reference."""

    def __init__(self, network: Edvr) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        features: Sequence[Sequence[Tensor]],
        finish: Callable[[Tensor], Tensor] = _unchanged,
    ) -> Planes:
        """features: for each frame of the window, oldest first, what `EdvrExtract` gave.

        Of the frames themselves only that of the reference is read. finish: elementwise, applied
        to each plane at the end.
        """
        pyramids = [Pyramid(l1, l2, l3) for l1, l2, l3, _ in features]
        reference_frame = features[self.network.config.reference_index][3]
        y, u, v = rgb_to_planes(self.network.fuse(pyramids, reference_frame))
        return finish(y), finish(u), finish(v)


class EdvrPlanes(nn.Module):
    """An RGB `Edvr` as the live path and the exporter want a network: in two halves, on planes.

    Both halves share the network's parameters. Raises ConfigError when it is not for RGB.
    """

    def __init__(self, network: Edvr) -> None:
        super().__init__()
        if network.config.num_in_ch != 3:
            raise ConfigError(
                f"planes need an RGB network, this one has {network.config.num_in_ch} channels"
            )
        self.config = network.config
        self.extract = EdvrExtract(network)
        self.fuse = EdvrFuse(network)

    def forward(self, y: Tensor, u: Tensor, v: Tensor, quantiser: Tensor) -> Planes:
        """The plain window network, with which the pair must agree.

        y: (B, N, H, W); u, v: (B, N, H/2, W/2); quantiser: (B, N); frames oldest first.
        Returns planes of the reference at the output's size.
        """
        del quantiser
        frames = zip(*(plane.chunk(y.shape[1], dim=1) for plane in (y, u, v)), strict=True)
        window = torch.stack([planes_to_rgb(*frame) for frame in frames], dim=1)
        restored: Tensor = self.extract.network(window)
        return rgb_to_planes(restored, clip=not self.training)
