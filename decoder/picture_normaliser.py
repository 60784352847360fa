"""Decoded pictures of any kind become `Frame`s: 8-bit 4:2:0, progressive, limited range, upright.

Pictures that already are all that are copied; any other goes through one small FFmpeg filter graph:
deinterlace (bwdif, one frame for one frame), convert and make samples square (swscale, Lanczos),
turn upright.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
from av.filter import Graph
from av.video.reformatter import ColorRange

from stream.errors import CodecError
from stream.frame import CLOCK_HZ, Frame, Size
from stream.frame_av import TIME_BASE, frame_from_av

_PLAIN_FORMATS = ("yuv420p", "yuvj420p")

_TURNS = {90: "transpose=cclock", 180: "hflip,vflip", 270: "transpose=clock"}
"""Filters by the counterclockwise rotation that a display matrix asks for, in degrees."""

_MAX_SAMPLE_ASPECT = 4
"""Sample aspect ratios beyond 4:1 and 1:4 are damaged headers; such samples count as square."""

_MIN_DEINTERLACED_SIDE = 4
"""bwdif refuses smaller pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """Everything a filter graph is built for."""

    size: Size
    pixel_format: str
    is_full_range: bool
    matrix: int
    rotation: int
    sample_aspect: Fraction
    is_deinterlaced: bool

    @property
    def is_plain(self) -> bool:
        """Whether copying does."""
        is_square = self.sample_aspect == 1
        is_upright = self.rotation not in _TURNS
        return (
            self.pixel_format in _PLAIN_FORMATS
            and is_square
            and is_upright
            and not self.is_deinterlaced
        )


class PictureNormaliser:
    """Turns decoded pictures into frames, one for one, in order. Not thread-safe."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._shape: _Shape | None = None
        self._saw_interlaced = False

    def push(
        self, picture: av.VideoFrame, *, pts: int, sample_aspect: Fraction | None = None
    ) -> list[Frame]:
        """Add a decoded picture at `pts` (1/90000 s); deinterlacing delays by one frame.

        sample_aspect: width by height of a sample; None counts as square.
        Raises CodecError when FFmpeg cannot convert the picture, FrameError below 2x2.
        """
        self._saw_interlaced = self._saw_interlaced or picture.interlaced_frame
        shape = _shape_of(picture, sample_aspect, saw_interlaced=self._saw_interlaced)
        done: list[Frame] = []
        if shape != self._shape:
            done = self.flush()
            self._shape = shape
            self._graph = None if shape.is_plain else _build_graph(shape)
        if self._graph is None:
            return [*done, frame_from_av(picture, pts=pts, is_damaged=picture.is_corrupt)]
        picture.pts = pts
        picture.time_base = TIME_BASE
        try:
            self._graph.vpush(picture)
        except av.FFmpegError as error:
            raise CodecError(f"cannot convert a {shape.pixel_format} picture: {error}") from error
        return done + self._pull(self._graph)

    def flush(self) -> list[Frame]:
        """Hand out what deinterlacing still holds; the next push starts anew."""
        graph, self._graph, self._shape = self._graph, None, None
        if graph is None:
            return []
        graph.vpush(None)
        return self._pull(graph)

    def _pull(self, graph: Graph) -> list[Frame]:
        frames: list[Frame] = []
        while True:
            try:
                picture = graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return frames
            except av.FFmpegError as error:
                raise CodecError(f"cannot convert a picture: {error}") from error
            if picture.pts is None or picture.time_base is None:
                raise CodecError("FFmpeg lost the time of a picture")
            pts = round(picture.pts * picture.time_base * CLOCK_HZ)
            picture.color_range = int(ColorRange.MPEG)  # the graph has made it so
            frames.append(frame_from_av(picture, pts=pts, is_damaged=picture.is_corrupt))


def _shape_of(
    picture: av.VideoFrame, sample_aspect: Fraction | None, *, saw_interlaced: bool
) -> _Shape:
    name = picture.format.name
    aspect = sample_aspect or Fraction(1)
    if not Fraction(1, _MAX_SAMPLE_ASPECT) <= aspect <= _MAX_SAMPLE_ASPECT:
        aspect = Fraction(1)
    return _Shape(
        size=Size(width=picture.width, height=picture.height),
        pixel_format=name,
        is_full_range=picture.format.is_rgb
        or name.startswith("yuvj")
        or int(picture.color_range) == int(ColorRange.JPEG),
        matrix=int(picture.colorspace),
        rotation=int(picture.rotation) % 360,
        sample_aspect=aspect,
        is_deinterlaced=saw_interlaced
        and min(picture.width, picture.height) >= _MIN_DEINTERLACED_SIDE,
    )


def _build_graph(shape: _Shape) -> Graph:
    width, height = shape.size.width & ~1, shape.size.height & ~1
    square = _square_size(width, height, shape.sample_aspect)
    steps = [
        "bwdif=mode=send_frame:deint=interlaced" if shape.is_deinterlaced else "",
        # Exactly the even part, so that chroma stays where it is.
        f"crop=w={width}:h={height}:x=0:y=0:exact=1",
        f"scale=w={square.width}:h={square.height}:out_range=tv"
        ":flags=lanczos+accurate_rnd+full_chroma_inp",
        "format=pix_fmts=yuv420p",
        *_TURNS.get(shape.rotation, "").split(","),
    ]
    graph = Graph()
    graph.threads = 1
    source = graph.add(
        "buffer",
        video_size=f"{shape.size.width}x{shape.size.height}",
        pix_fmt=shape.pixel_format,
        time_base=str(TIME_BASE),
        pixel_aspect="1/1",
        colorspace=str(shape.matrix),
        range="pc" if shape.is_full_range else "tv",
    )
    nodes = [source]
    for step in filter(None, steps):
        name, _, options = step.partition("=")
        nodes.append(graph.add(name, options or None))
    nodes.append(graph.add("buffersink"))
    graph.link_nodes(*nodes)
    try:
        graph.configure()
    except av.FFmpegError as error:
        raise CodecError(f"cannot convert {shape.pixel_format} pictures: {error}") from error
    return graph


def _square_size(width: int, height: int, sample_aspect: Fraction) -> Size:
    """The even size with square samples; the short side is enlarged, nothing is shrunk."""
    if sample_aspect > 1:
        return Size(width=2 * round(width * sample_aspect / 2), height=height)
    return Size(width=width, height=2 * round(height / sample_aspect / 2))
