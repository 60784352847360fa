"""Decoded pictures of any kind become `Frame`s: 8-bit 4:2:0, progressive, limited range, upright.

A picture that already is all that is copied. Any other goes through a small FFmpeg filter graph,
in this order:

1. interlaced pictures: bwdif, one frame for one frame (a stream that was ever flagged interlaced
   stays in the filter, which leaves its progressive pictures alone);
2. odd sizes: the last row or column is cut off, so that chroma stays aligned with luma;
3. one swscale pass (Lanczos, accurate rounding, full chroma input) to 8 bit, 4:2:0 and limited
   range, which also makes samples square: the short side is enlarged, nothing is shrunk;
4. the display matrix: right angles and mirrors.

Colour tags are carried. RGB has no YUV matrix: it is converted with BT.709 from 1280x720 up and
with BT.601 below (what players assume for untagged video of that size), and tagged so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.filter import Graph
from av.sidedata.sidedata import SideData, SideDataContainer
from av.video.reformatter import ColorRange

from stream.errors import CodecError
from stream.frame import CLOCK_HZ, Colour, Frame, Size
from stream.frame_av import TIME_BASE, frame_from_av
from stream.orientation import orient, read_display_matrix

MAX_SAMPLE_ASPECT = 4
"""Sample aspect ratios beyond 4:1 and 1:4 are damaged headers; such samples count as square."""

MIN_DEINTERLACED_SIDE = 4
"""bwdif refuses smaller pictures."""

BT709 = 1
BT601 = 6
"""ITU-T H.273 matrix code points (6 is SMPTE 170M, the same coefficients as BT.601)."""

_FFMPEG_MATRIX_NAMES = {BT709: "bt709", BT601: "smpte170m"}


@dataclass(frozen=True, slots=True)
class _Shape:
    """Everything a filter graph is built for."""

    width: int
    height: int
    pixel_format: str
    is_rgb: bool
    range: ColorRange
    colour: Colour
    sample_aspect: Fraction
    deinterlaces: bool


class PictureNormaliser:
    """Turns decoded pictures into frames, in order. Not thread-safe."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._shape: _Shape | None = None
        self._saw_interlaced = False

    def push(
        self, picture: av.VideoFrame, *, pts: int, sample_aspect: Fraction | None = None
    ) -> list[Frame]:
        """Add a decoded picture at `pts` (1/90000 s); deinterlacing delays by one frame.

        sample_aspect: width by height of a sample; None or nonsense counts as square.
        Raises CodecError when FFmpeg cannot convert the pixel format, FrameError below 2x2.
        """
        self._saw_interlaced = self._saw_interlaced or picture.interlaced_frame
        shape = _shape_of(picture, sample_aspect, deinterlaces=self._saw_interlaced)
        frames: list[Frame] = []
        if shape != self._shape:
            frames += self.flush()
            self._shape = shape
            self._graph = _build_graph(shape)
        if self._graph is None:
            return [*frames, _frame(picture, pts, shape.colour)]
        picture.pts = pts
        picture.time_base = TIME_BASE
        picture.color_range = int(shape.range)  # a picture without the tag must match its graph
        try:
            self._graph.vpush(picture)
        except av.FFmpegError as error:
            raise CodecError(f"cannot convert a {shape.pixel_format} picture: {error}") from error
        return frames + self._pull(shape)

    def flush(self) -> list[Frame]:
        """Hand out what deinterlacing still holds; the next push starts anew."""
        if self._graph is None or self._shape is None:
            return []
        graph, shape = self._graph, self._shape
        graph.vpush(None)
        frames = self._pull(shape)
        self._graph = self._shape = None
        return frames

    def _pull(self, shape: _Shape) -> list[Frame]:
        assert self._graph is not None  # both callers have checked
        frames: list[Frame] = []
        while True:
            try:
                picture = self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return frames
            except av.FFmpegError as error:
                message = f"cannot convert a {shape.pixel_format} picture: {error}"
                raise CodecError(message) from error
            assert picture.pts is not None  # set by push, as is its time base
            assert picture.time_base is not None
            pts = round(picture.pts * picture.time_base * CLOCK_HZ)
            picture.color_range = int(ColorRange.MPEG)  # the graph converted it
            frames.append(_frame(picture, pts, _output_colour(shape)))


def _frame(picture: av.VideoFrame, pts: int, colour: Colour) -> Frame:
    frame = replace(frame_from_av(picture, pts=pts, is_damaged=picture.is_corrupt), colour=colour)
    # Not `picture.side_data`: the two would refer to each other, and every picture that was decoded
    # would wait for the garbage collector, which counts objects, not their megabytes.
    matrix = SideDataContainer(picture).get(  # type: ignore[call-arg] # the stub forgets it
        "DISPLAYMATRIX"
    )
    if not isinstance(matrix, SideData):
        return frame
    return orient(frame, read_display_matrix(bytes(matrix)))


def _shape_of(
    picture: av.VideoFrame, sample_aspect: Fraction | None, *, deinterlaces: bool
) -> _Shape:
    name = picture.format.name
    if not sample_aspect or not 1 <= sample_aspect * MAX_SAMPLE_ASPECT <= MAX_SAMPLE_ASPECT**2:
        sample_aspect = Fraction(1)
    is_rgb = picture.format.is_rgb or name == "pal8"
    is_full_range = is_rgb or name.startswith("yuvj") or picture.color_range == int(ColorRange.JPEG)
    return _Shape(
        width=picture.width,
        height=picture.height,
        pixel_format=name,
        is_rgb=is_rgb,
        range=ColorRange.JPEG if is_full_range else ColorRange.MPEG,
        colour=Colour(
            primaries=int(picture.color_primaries),
            transfer=int(picture.color_trc),
            matrix=int(picture.colorspace),
        ),
        sample_aspect=sample_aspect,
        deinterlaces=deinterlaces and min(picture.width, picture.height) >= MIN_DEINTERLACED_SIDE,
    )


def _output_colour(shape: _Shape) -> Colour:
    if not shape.is_rgb:
        return shape.colour
    return replace(shape.colour, matrix=_rgb_matrix(shape))


def _rgb_matrix(shape: _Shape) -> int:
    return BT709 if shape.width >= 1280 or shape.height >= 720 else BT601


def _build_graph(shape: _Shape) -> Graph | None:
    """A configured graph, or None when a plain copy does."""
    has_square_samples = shape.sample_aspect == 1
    is_planar = shape.pixel_format in ("yuv420p", "yuvj420p")
    if is_planar and has_square_samples and not shape.deinterlaces:
        return None
    graph = Graph()
    graph.threads = 1
    nodes = [
        graph.add(
            "buffer",
            video_size=f"{shape.width}x{shape.height}",
            pix_fmt=shape.pixel_format,
            time_base=str(TIME_BASE),
            pixel_aspect="1/1",
            colorspace=str(shape.colour.matrix),
            range=str(int(shape.range)),
        )
    ]
    if shape.deinterlaces:
        nodes.append(graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced"))
    width, height = shape.width & ~1, shape.height & ~1
    nodes.append(graph.add("crop", f"w={width}:h={height}:x=0:y=0:exact=1"))
    square = _square_size(width, height, shape.sample_aspect)
    matrix = f":out_color_matrix={_FFMPEG_MATRIX_NAMES[_rgb_matrix(shape)]}" if shape.is_rgb else ""
    nodes.append(
        graph.add(
            "scale",
            f"w={square.width}:h={square.height}:out_range=tv{matrix}"
            ":flags=lanczos+accurate_rnd+full_chroma_inp",
        )
    )
    nodes.append(graph.add("format", "pix_fmts=yuv420p"))
    nodes.append(graph.add("buffersink"))
    graph.link_nodes(*nodes)
    try:
        graph.configure()
    except av.FFmpegError as error:
        raise CodecError(f"cannot convert {shape.pixel_format} pictures: {error}") from error
    return graph


def _square_size(width: int, height: int, sample_aspect: Fraction) -> Size:
    if sample_aspect > 1:
        return Size(width=2 * round(width * sample_aspect / 2), height=height)
    return Size(width=width, height=2 * round(height / sample_aspect / 2))
