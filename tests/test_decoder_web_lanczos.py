"""The page enlarges what was received as the receiver itself would without a network."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

import decoder
from decoder.lanczos import LanczosScaler
from stream.frame import Size
from tests.chromium import chromium
from tests.marked_pictures import marked

SOURCE = Path(decoder.__file__).parent / "web" / "lanczos.js"
SMALL, LARGE = Size(width=64, height=48), Size(width=128, height=96)
CUT = 100
"""Only so many pixels from the left are drawn."""

_ENLARGE = """([grey, small, large, cut]) => {
  const picture = new ImageData(small[0], small[1]);
  atob(grey).split("").forEach((char, index) => {
    picture.data.set([char.charCodeAt(0), char.charCodeAt(0), char.charCodeAt(0), 255], 4 * index);
  });
  const lanczos = Lanczos.create({ onSlowMachines: true });
  const drawn = lanczos.enlarge(picture, large[0], large[1], cut);
  const canvas = new OffscreenCanvas(large[0], large[1]);
  const context = canvas.getContext("2d");
  context.drawImage(drawn, 0, 0);
  const { data } = context.getImageData(0, 0, large[0], large[1]);
  return Array.from({ length: data.length / 4 }, (_, index) => data[4 * index]);
}"""


@pytest.mark.real_peer
async def test_the_browser_enlarges_as_the_receiver_does() -> None:
    picture = marked(5, size=SMALL)
    wanted = LanczosScaler(LARGE).scale(picture).y[:, :CUT].astype(int)
    script = SOURCE.read_text().replace("export class Lanczos", "window.Lanczos = class Lanczos")
    async with chromium("--enable-unsafe-swiftshader") as browser:
        page = await browser.new_page()
        await page.add_script_tag(content=script)
        grey = base64.b64encode(picture.y.tobytes()).decode()
        sizes = [[size.width, size.height] for size in (SMALL, LARGE)]
        pixels = await page.evaluate(_ENLARGE, [grey, *sizes, CUT])
    drawn = np.array(pixels).reshape(LARGE.height, LARGE.width)[:, :CUT]
    inside = (slice(6, -6), slice(6, None))  # at the edge, libraries differ in what lies beyond
    difference = np.abs(drawn - wanted)[inside]
    assert difference.mean() < 1
    assert difference.max() <= 6
