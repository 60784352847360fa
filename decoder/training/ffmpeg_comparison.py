"""Pictures compared with a clip's, each with its own, by the ffmpeg of the package imageio-ffmpeg.

Two traps, both closed here. ffmpeg pairs pictures by *timestamp*, so both inputs get the same rate
and the pictures are counted. And where colour tags differ it converts one side unasked, so both
sides get the same tags.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from stream.errors import CodecError, ConfigError
from stream.frame import Frame, Size

VMAF_MODELS = r"version=vmaf_v0.6.1\:name=vmaf|version=vmaf_v0.6.1neg\:name=vmaf_neg"
"""For the filter libvmaf; NEG ("no enhancement gain") does not reward sharpening, VMAF does."""

_TAGS = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"


@cache
def find_ffmpeg(*filters: str) -> str:
    """Path of an ffmpeg that has `filters`. Raises ConfigError that says how to get one."""
    how = "install it with: pip install 'edvr-live[bench]'"
    try:
        import imageio_ffmpeg

        program = str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise ConfigError(f"measuring quality needs imageio-ffmpeg; {how}") from error
    try:
        listed = subprocess.run(
            [program, "-hide_banner", "-filters"], capture_output=True, text=True, check=False
        ).stdout
    except OSError as error:
        raise ConfigError(f"ffmpeg cannot be run: {program}: {error.strerror}") from error
    have = {words[1] for line in listed.splitlines() if len(words := line.split()) > 2}
    missing = [name for name in filters if name not in have]
    if missing:
        raise ConfigError(
            f"{program} has no {', '.join(missing)}, which measuring quality needs: unset "
            "IMAGEIO_FFMPEG_EXE, or let it name an ffmpeg built with libvmaf"
        )
    return program


@cache
def judge_version() -> str:
    """What judges: the first line of `ffmpeg -version`, and the models of VMAF."""
    said = subprocess.run(
        [find_ffmpeg("libvmaf"), "-version"], capture_output=True, text=True, check=False
    ).stdout
    return f"{said.splitlines()[0].partition(' Copyright')[0]}; {VMAF_MODELS}"


class FfmpegComparison:
    """Compares pictures, pushed one by one, with those of a YUV4MPEG2 file.

    Use as a context manager: leaving it early ends the program that compares.
    """

    def __init__(
        self,
        original: Path,
        *,
        size: Size,
        frame_rate: Fraction,
        count: int,
        filters: Mapping[str, str],
    ) -> None:
        """filters: by name, how each is called; they write files into their own folder.

        Raises ConfigError when there is no ffmpeg that has them.
        """
        self._size, self._count, self._pushed = size, count, 0
        program = find_ffmpeg(*filters)
        self._temporary = TemporaryDirectory(prefix="edvr-compare-")
        self.folder = Path(self._temporary.name)
        sides = range(len(filters))
        graph = [
            f"[{index}:v]{_TAGS},split={len(filters)}{''.join(f'[{side}{n}]' for n in sides)}"
            for index, side in enumerate(("seen", "meant"))
        ]
        command = [program, "-nostdin", "-hide_banner", "-loglevel", "error"]
        command += ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", str(size)]
        command += ["-r", str(frame_rate), "-i", "pipe:0"]
        command += ["-r", str(frame_rate), "-i", str(original.resolve())]
        outputs: list[str] = []
        for n, (name, options) in enumerate(filters.items()):
            graph.append(f"[seen{n}][meant{n}]{name}={options}[out{n}]")
            outputs += ["-map", f"[out{n}]", "-f", "null", "-"]
        with (self.folder / "said").open("wb") as said:
            self._process = subprocess.Popen(
                [*command, "-filter_complex", ";".join(graph), *outputs],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )

    def __enter__(self) -> FfmpegComparison:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hang_up()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._temporary.cleanup()

    def push(self, frame: Frame) -> None:
        """Compare a picture. Raises CodecError when its size is wrong or the program has failed."""
        if frame.size != self._size:
            raise CodecError(f"a picture of {frame.size} came back for {self._size}")
        assert self._process.stdin is not None
        try:
            for plane in (frame.y, frame.u, frame.v):
                self._process.stdin.write(plane.data)
        except BrokenPipeError as error:
            # One too many of them: it has compared all that there are and gone.
            if self._process.wait():
                raise CodecError(f"ffmpeg cannot compare: {self._said()}") from error
        self._pushed += 1

    def finish(self) -> Path:
        """After the last picture: the folder of what the filters wrote, until this is left.

        Raises CodecError unless each picture of the clip has had its own.
        """
        self._hang_up()
        if self._process.wait():
            raise CodecError(f"ffmpeg cannot compare: {self._said()}")
        if self._pushed != self._count:
            raise CodecError(f"{self._pushed} of {self._count} pictures of a clip came back")
        return self.folder

    def _hang_up(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # its exit status says more
            self._process.stdin.close()

    def _said(self) -> str:
        lines = (self.folder / "said").read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"
