"""Sound that stops, is muted, is on one side alone or comes from somebody else stays in step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream.audio import SAMPLE_RATE_HZ, AudioChunk
from stream.frame import CLOCK_HZ
from tests.live_peers import until
from tests.live_publisher import Publishing, live_publisher
from tests.live_viewers import viewing
from tests.marked_pictures import STEP, marked, number_in, numbers_in
from tests.receiver_rig import LR, receiver_config, running
from tests.sink_media import read_with_pyav

CHUNK = 1920
"""Samples for one picture."""
BEEP_CHUNKS = 3
LOUD = 0.1
LIPS_S = 0.040
SPREAD_S = 0.1
"""Codecs ring a little before and after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beep:
    """Begins with a picture; left, right: on which sides."""

    number: int
    left: bool
    right: bool


BEEPS = (
    _Beep(number=50, left=True, right=False),
    _Beep(number=85, left=False, right=True),
    _Beep(number=160, left=True, right=True),
)
"""From 2 s on: by then the publisher's first report says how sound and pictures belong together."""
WITHOUT_SOUND = range(58, 75)
"""Pictures that no sound comes with; before and after, there is silence."""
FIRST, SECOND = range(95), range(110, 175)
"""What the first publisher sends, and the one that takes over."""


def _chunk(number: int, pts: int) -> AudioChunk:
    wave = 12_000 * np.sin(2 * np.pi * 1000 * np.arange(CHUNK) / SAMPLE_RATE_HZ)
    samples = np.zeros((CHUNK, 2), np.int16)
    for beep in BEEPS:
        if 0 <= number - beep.number < BEEP_CHUNKS:
            samples[:] = wave[:, None] * (beep.left, beep.right)
    return AudioChunk(samples=samples, pts=pts)


async def _perform(publisher: Publishing, numbers: range) -> None:
    start_s = time.monotonic()
    for index, number in enumerate(numbers):
        publisher.frames.put(marked(number, size=LR, pts=index * STEP))
        if number not in WITHOUT_SOUND:
            publisher.sound.put(_chunk(number, index * CHUNK))
        await asyncio.sleep(max(0.0, start_s + (index + 1) / 25 - time.monotonic()))


def _beep_s(beep: _Beep, pictures: Iterable[tuple[int, float]]) -> float:
    """When it should sound, by the picture that is nearest of those that came."""
    number, at_s = min(pictures, key=lambda each: abs(each[0] - beep.number))
    assert abs(number - beep.number) < 10
    return at_s + (beep.number - number) / 25


def _check(loud_s: NDArray[np.float64], beeps_s: list[float]) -> None:
    """Each is heard when it should be, and nothing else is."""
    for beep_s in beeps_s:
        near_s = loud_s[np.abs(loud_s - beep_s) < 0.3]
        assert near_s.size
        print(f"beep {1000 * (near_s.min() - beep_s):+.0f} ms from its picture")
        assert abs(near_s.min() - beep_s) <= LIPS_S
        lasts_s = BEEP_CHUNKS * CHUNK / SAMPLE_RATE_HZ
        loud_s = loud_s[(loud_s < beep_s - SPREAD_S) | (loud_s > beep_s + lasts_s + SPREAD_S)]
    assert loud_s.size == 0


async def test_sound_stays_in_step_and_on_its_side_through_gaps_silence_and_a_new_publisher(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.mp4"
    async with running(receiver_config(str(path))) as receiver:
        url = receiver.url or ""
        async with live_publisher(url, with_sound=True) as publisher:
            performing = asyncio.create_task(_perform(publisher, FIRST))
            await until(lambda: receiver._views_of("live") is not None)
            async with viewing(url.replace("/whip", "/whep/live")) as viewer:
                await performing
                async with live_publisher(url, with_sound=True) as another:
                    await _perform(another, SECOND)
                    await until(lambda: number_in(viewer.frames[-1].y) >= SECOND[-1] - 5)
                    await until(
                        lambda: viewer.sound[-1].pts > _last_beep_pts(viewer.frames[-1].pts)
                    )
    pictures = [(number_in(frame.y), frame.pts / CLOCK_HZ) for frame in viewer.frames]
    samples = np.concatenate([chunk.samples for chunk in viewer.sound]) / 32_768
    times_s = np.concatenate(
        [(chunk.pts + np.arange(len(chunk.samples))) / SAMPLE_RATE_HZ for chunk in viewer.sound]
    )
    left_s, right_s = (times_s[np.abs(samples[:, side]) > LOUD] for side in (0, 1))
    _check(left_s, [_beep_s(beep, pictures) for beep in BEEPS if beep.left])
    _check(right_s, [_beep_s(beep, pictures) for beep in BEEPS if beep.right])
    recording = read_with_pyav(path)
    assert recording.audio_start is not None
    written = list(zip(numbers_in(path), map(float, recording.frame_times), strict=True))
    loud = np.flatnonzero(np.abs(recording.samples) > LOUD)  # of the left side
    loud_s = float(recording.audio_start) + loud / SAMPLE_RATE_HZ
    _check(loud_s, [_beep_s(beep, written) for beep in BEEPS if beep.left])


def _last_beep_pts(last_frame_pts: int) -> int:
    """Sound that ends some pictures before the newest one (1/48000 s)."""
    behind = SECOND[-1] - BEEPS[-1].number - BEEP_CHUNKS - 2
    return last_frame_pts * SAMPLE_RATE_HZ // CLOCK_HZ - behind * CHUNK
