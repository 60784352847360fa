"""How well the sender's codecs keep their rate, and what they make of it, clip by clip.

`python -m benchmarks.rate_control CLIP... [--size 320x180 --size 640x360] [--json FILE]`

For each codec, size and bitrate: the mean rate and the busiest second as shares of the target,
over the access units that the sender's encoder makes of the first seconds of a clip, with keyframes
where the sender puts them; PSNR-Y and VMAF-NEG of what is decoded, at the size that travels;
processor time. Then BD-rates of AV1 against H.264.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import av
import bjontegaard
import numpy as np

from benchmarks.quality import mean_psnr_y
from benchmarks.result_file import write_result
from decoder.training.raw_clip import RawClip
from decoder.training.vmaf_judge import VmafJudge
from encoder.capture import open_source
from encoder.downscale import Downscaler
from encoder.encode_file import OfflineRung
from encoder.source import SourceConfig
from encoder.video_encoder import CodecName, EncodedFrame, open_video_encoder
from stream import av1_quantiser, h264_quantiser
from stream.config import parse_bitrate, parse_size
from stream.errors import EdvrError
from stream.frame import CLOCK_HZ, Frame, Size
from stream.frame_av import frame_from_av
from stream.scene_cut import SceneCutDetector

CODECS: tuple[CodecName, ...] = ("h264", "av1")
BITRATES = ("60k", "100k", "150k", "300k", "600k")
SECONDS = 5.0
METRICS = ("psnr_y_db", "vmaf_neg")
"""Fields of `Row` that BD-rates are of."""

MOST = 1.1
"""Of the target, that no second should take more than."""

ON_TARGET, FINE_QP = 0.95, 21.0
"""Both codecs stop at about QP 14 to 17, and AV1 codes three frames of four coarser than that."""

_DECODERS = {"h264": "h264", "av1": "libdav1d"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One clip at one rung. mean, busiest_second: shares of the target. cores: of one core.

    mean_qp: of the frames, on the scale of H.264. needs_no_more: whether bits were left unused
    since the picture is as fine as is of any use.
    """

    clip: str
    size: str
    codec: str
    target_bps: int
    mean: float
    busiest_second: float
    psnr_y_db: float
    vmaf_neg: float
    cores: float
    keyframes: int
    mean_qp: float
    needs_no_more: bool


def measure(clip: Path, frames: Sequence[Frame], rung: OfflineRung, frame_rate: float) -> Row:
    """Code and decode the frames, which have the size of the rung."""
    encoder = open_video_encoder(rung.settings(frame_rate))
    cuts = SceneCutDetector()
    coded: list[EncodedFrame] = []
    spent_s = 0.0
    for frame in frames:
        is_cut = cuts.push(frame)
        started_s = time.process_time()
        coded.append(encoder.encode(frame, force_keyframe=is_cut))
        spent_s += time.process_time() - started_s
    encoder.close()
    times = np.array([frame.pts for frame in frames])
    bits = np.array([8 * len(each.data) for each in coded])
    seconds = [bits[(times > end - CLOCK_HZ) & (times <= end)].sum() for end in times]
    duration_s = len(frames) / frame_rate
    shown = _decoded(rung.codec, coded)
    mean = float(bits.sum()) / duration_s / rung.bitrate_bps
    mean_qp = _mean_qp(rung.codec, coded)
    return Row(
        clip=clip.stem,
        size=str(rung.size),
        codec=rung.codec,
        target_bps=rung.bitrate_bps,
        mean=round(mean, 3),
        busiest_second=round(float(max(seconds)) / rung.bitrate_bps, 3),
        psnr_y_db=round(mean_psnr_y(shown, frames), 3),
        vmaf_neg=round(_vmaf_neg(shown, frames, frame_rate), 3),
        cores=round(spent_s / duration_s, 3),
        keyframes=sum(each.is_keyframe for each in coded),
        mean_qp=round(mean_qp, 1),
        needs_no_more=mean < ON_TARGET and mean_qp <= FINE_QP,
    )


def summary(rows: Sequence[Row]) -> str:
    """How well the rate was kept by one codec, in one line."""
    counted = [row for row in rows if not row.needs_no_more]
    near = sum(abs(row.mean - 1) <= 1 - ON_TARGET for row in counted)
    off = fmean(abs(row.mean - 1) for row in counted) if counted else 0.0
    busy = sum(row.busiest_second > MOST for row in rows)
    return (
        f"{rows[0].codec}: mean rate within 5 % in {near} of {len(counted)}, off by "
        f"{100 * off:.1f} % on average; {len(rows) - len(counted)} more need no more bits; "
        f"busiest second {max(row.busiest_second for row in rows):.3f}, above {MOST} in {busy}"
    )


def bd_rates(rows: Sequence[Row]) -> list[dict[str, Any]]:  # Any: values for JSON
    """AV1 against H.264 for each clip and size, in percent; negative: fewer bits."""
    found: list[dict[str, Any]] = []
    for clip, size in dict.fromkeys((row.clip, row.size) for row in rows):
        old, new = (
            [row for row in rows if (row.clip, row.size, row.codec) == (clip, size, codec)]
            for codec in CODECS
        )
        if min(len(old), len(new)) < 4:
            continue
        percents = {f"bd_rate_{metric}_percent": _bd_rate(old, new, metric) for metric in METRICS}
        found.append({"clip": clip, "size": size, **percents})
    return found


def _bd_rate(old: Sequence[Row], new: Sequence[Row], metric: str) -> float | None:
    """None where the curves have no quality in common, or fall where they should rise."""
    (rates, quality), (new_rates, new_quality) = (
        ([row.mean * row.target_bps for row in rows], [getattr(row, metric) for row in rows])
        for rows in (old, new)
    )
    if max(quality) <= min(new_quality) or max(new_quality) <= min(quality):
        return None
    try:
        percent = bjontegaard.bd_rate(
            rates,
            quality,
            new_rates,
            new_quality,
            method="akima",
            require_matching_points=False,
            min_overlap=0,  # the same rates: AV1's qualities lie higher
        )
    except ValueError:
        return None
    return round(float(percent), 1)


def _mean_qp(codec: CodecName, coded: Sequence[EncodedFrame]) -> float:
    quantisers = av1_quantiser if codec == "av1" else h264_quantiser
    reader = quantisers.QuantiserReader()
    return fmean(qp for each in coded if (qp := reader.read(each.data)) is not None)


def _decoded(codec: str, coded: Sequence[EncodedFrame]) -> list[Frame]:
    decoder = av.CodecContext.create(_DECODERS[codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    decoder.flags |= av.codec.context.Flags.low_delay
    shown = [picture for each in coded for picture in decoder.decode(av.Packet(each.data))]
    return [frame_from_av(picture, pts=index) for index, picture in enumerate(shown)]


def _vmaf_neg(shown: Sequence[Frame], frames: Sequence[Frame], frame_rate: float) -> float:
    with TemporaryDirectory(prefix="edvr-rate-control-") as folder:
        rate = Fraction(frame_rate).limit_denominator(1001)
        original = RawClip.write(Path(folder) / "original.y4m", frames, rate)
        with VmafJudge(original) as judge:
            for frame in shown:
                judge.push(frame)
            return judge.scores().vmaf_neg


def _read(clip: Path, sizes: Sequence[Size]) -> tuple[dict[Size, list[Frame]], float]:
    """The first seconds of a clip at each size, in the aspect ratio of the clip."""
    source, downscaler = open_source(SourceConfig(url=str(clip), audio=False)), Downscaler()
    small: dict[Size, list[Frame]] = {}
    limit = round(SECONDS * source.info.fps)
    count = 0
    while count < limit and (item := source.read()) is not None:
        if isinstance(item, Frame):
            for box in sizes:
                size = item.size.fit_inside(box)
                small.setdefault(size, []).append(downscaler.downscale(item, size=size))
            count += 1
    source.close()
    return small, source.info.fps


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="rate_control", description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--size", action="append")
    parser.add_argument("--bitrate", action="append")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    try:
        sizes = [parse_size(text) for text in options.size or ("320x180", "640x360")]
        bitrates = [parse_bitrate(text) for text in options.bitrate or BITRATES]
        for clip in options.clips:
            small, frame_rate = _read(clip, sizes)
            for size, frames in small.items():
                for codec in CODECS:
                    for bitrate_bps in bitrates:
                        rung = OfflineRung(size=size, bitrate_bps=bitrate_bps, codec=codec)
                        rows.append(measure(clip, frames, rung, frame_rate))
                        print(" ".join(str(value) for value in asdict(rows[-1]).values()))
        for codec in CODECS:
            print(summary([row for row in rows if row.codec == codec]))
        rates = bd_rates(rows)
        for each in rates:
            print(*each.values())
        if options.json is not None:
            result = {"rows": [asdict(row) for row in rows], "bd_rates": rates}
            write_result(options.json, "rate_control", result)
    except EdvrError as error:
        print(f"rate_control: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
