"""HLS of a running receiver in a player that nobody here wrote, and its end by SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.chromium import chromium
from tests.hls_rules import read_playlist
from tests.live_processes import Receiver, Sender
from tests.sink_media import frame_times_by_ffmpeg

PLAY = """async (url) => {
  const video = document.createElement('video');
  video.muted = video.autoplay = true;
  document.body.append(video);
  const started = performance.now();
  const errors = [];
  // Chromium 156 gives up where a live stream is so young that it has fetched all of it before it
  // begins to play, whatever the playlist says; then its user reloads.
  do {
    video.src = url;
    while (performance.now() - started < 90000 && !video.error && video.currentTime < 3)
      await new Promise((resolve) => setTimeout(resolve, 100));
    if (video.error) {
      errors.push(video.error.message);
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  } while (performance.now() - started < 90000 && video.currentTime < 3);
  return {
    errors,
    time: video.currentTime,
    size: [video.videoWidth, video.videoHeight],
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
  };
}"""


@pytest.mark.real_peer
@pytest.mark.timeout(240)  # nearly all of it for a player on busy cores
async def test_chromium_plays_it_and_sigterm_ends_it_properly(tmp_path: Path) -> None:
    outputs = ("--output", "llhls:live", f"hls:{tmp_path}/web")
    restoring = ("--model", "lanczos", "--size", "320x192")
    with Receiver(tmp_path, *restoring, *outputs) as receiver:
        url = await asyncio.to_thread(lambda: receiver.url)
        flags = ("--size", "160x90", "--codec", "h264")
        with Sender(tmp_path, "test:?size=320x180", url, *flags) as sender:
            await asyncio.to_thread(receiver.wait_for_frames, 5)
            async with chromium() as browser:
                page = await browser.new_page()
                await page.goto(url.replace("/whip", "/healthz"))
                played = await page.evaluate(PLAY, url.replace("/whip", "/hls/live/index.m3u8"))
            await asyncio.to_thread(sender.end)
        assert await asyncio.to_thread(receiver.end, signal.SIGTERM) == 0
    print("errors on the way:", played["errors"])
    assert played["time"] >= 3
    assert played["size"] == [320, 180]
    assert played["frames"] > 20
    playlist = read_playlist((tmp_path / "web" / "index.m3u8").read_text())
    assert playlist.has_ended
    frames = len(frame_times_by_ffmpeg(tmp_path / "web" / "index.m3u8"))
    written = receiver.stats()[-1]["outputs"][1]["frames_written"]
    assert frames == written
