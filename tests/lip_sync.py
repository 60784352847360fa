"""How far sound is from its picture in a real Chromium, by flashes and beeps.

By hand: `python -m tests.lip_sync --seconds 30`. A flash counts when the browser expects to display
it, a beep when the browser's audio thread gets it, by its own clock, so that a busy main thread of
the page does not move either. What a page hears that way and what goes to the loudspeaker have
about the same way from there.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from playwright.async_api import Page

from stream.frame import Size
from tests.browser_pages import opened, player_that_plays
from tests.chromium import chromium
from tests.live_processes import Receiver, Sender
from tests.marked_pictures import write_marked

LR, HR = Size(width=160, height=96), "320x192"
EVENT_DISTANCE_S = 1.2
EVENTS_S = tuple(0.8 + EVENT_DISTANCE_S * index for index in range(6))
CLIP_S = 8
"""A loop of it keeps flashes and beeps apart by 1.2 s or, at its seam, 2 s."""

_WORKLET = """
registerProcessor("onsets", class extends AudioWorkletProcessor {
  quiet = 0;
  process([[samples]]) {
    samples?.forEach((sample, index) => {
      if (Math.abs(sample) <= 0.05) {
        this.quiet += 1;
      } else {
        if (this.quiet > sampleRate / 5) {
          this.port.postMessage((currentFrame + index) / sampleRate);
        }
        this.quiet = 0;
      }
    });
    return true;
  }
});
"""

_LISTEN = """async (worklet) => {
  const video = document.querySelector("compare-player").restored;
  const events = window.lipEvents = { flashes: [], beeps: [] };
  const context = new AudioContext({ latencyHint: "interactive" });
  const url = URL.createObjectURL(new Blob([worklet], { type: "text/javascript" }));
  await context.audioWorklet.addModule(url);
  await context.resume();
  const onsets = new AudioWorkletNode(context, "onsets");
  onsets.port.onmessage = ({ data: heardAt }) => {
    const { contextTime, performanceTime } = context.getOutputTimestamp();
    const taken = heardAt - context.outputLatency;
    events.beeps.push(performanceTime + 1000 * (taken - contextTime));
  };
  context.createMediaStreamSource(new MediaStream(video.srcObject.getAudioTracks()))
    .connect(onsets).connect(context.destination);
  const pixels = new OffscreenCanvas(16, 16).getContext("2d", { willReadFrequently: true });
  let wasBright = true;
  const look = (now, { expectedDisplayTime }) => {
    video.requestVideoFrameCallback(look);
    pixels.drawImage(video, 0, 0, 16, 16);
    const { data } = pixels.getImageData(0, 0, 16, 16);
    let green = 0;
    for (let index = 1; index < data.length; index += 4) {
      green += data[index] / 256;
    }
    if (green > 200 && !wasBright) {
      events.flashes.push(expectedDisplayTime);
    }
    wasBright = green > 200;
  };
  video.requestVideoFrameCallback(look);
}"""


_CONCEALED = """async () => {
  const [session] = document.querySelector("compare-player").sessions;
  const stats = [...(await session.connection.getStats()).values()];
  const sound = stats.find(({ type, kind }) => type === "inbound-rtp" && kind === "audio");
  return sound.concealedSamples / Math.max(1, sound.totalSamplesReceived);
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LipSync:
    """beep_after_flash_ms: of each event, in the order of time.

    concealed_ratio: of the sound, how much the browser had to make up since it came too late.
    """

    beep_after_flash_ms: tuple[float, ...]
    concealed_ratio: float

    def newest_median_ms(self, count: int) -> float | None:
        """Of the newest events; None while there are not so many."""
        newest = self.beep_after_flash_ms[-count:]
        return median(newest) if len(newest) == count else None


@asynccontextmanager
async def listening(folder: Path) -> AsyncIterator[Page]:
    """The page that watches flashes and beeps, from `edvr-send` through `edvr-receive`."""
    clip = write_marked(
        folder / "flashes.mkv", sizes=[LR] * (25 * CLIP_S), beeps_at=EVENTS_S, flashes_at=EVENTS_S
    )
    with Receiver(folder, "--model", "lanczos", "--size", HR) as receiver:
        url = await asyncio.to_thread(lambda: receiver.url)
        with Sender(folder, str(clip), url, "--loop", "--bitrate", "300k"):
            await asyncio.to_thread(receiver.wait_for, f"receiving {LR}")
            async with (
                chromium() as browser,
                # The page's policy would let no script of ours in.
                opened(browser, url.removesuffix("/whip"), bypass_csp=True) as page,
            ):
                await player_that_plays(page)
                await page.click("#sound")
                await page.evaluate(_LISTEN, _WORKLET)
                yield page


async def measured(page: Page) -> LipSync:
    """Everything since the page listens. Flashes without a beep nearby are left out."""
    events = await page.evaluate("window.lipEvents")
    nearest = (
        min((beep - flash for beep in events["beeps"]), key=abs, default=float("inf"))
        for flash in events["flashes"]
    )
    near_ms = 1000 * EVENT_DISTANCE_S / 2
    return LipSync(
        beep_after_flash_ms=tuple(each for each in nearest if abs(each) < near_ms),
        concealed_ratio=await page.evaluate(_CONCEALED),
    )


async def _main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with listening(Path(folder)) as page:
            await asyncio.sleep(seconds)
            sync = await measured(page)
    told = " ".join(f"{each:+.0f}" for each in sync.beep_after_flash_ms)
    print(f"beep after flash, ms: {told}")
    if sync.beep_after_flash_ms:
        print(f"median {median(sync.beep_after_flash_ms):+.0f} ms")
    print(f"{100 * sync.concealed_ratio:.1f} % of the sound was late")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    asyncio.run(_main(parser.parse_args().seconds))
