"""Pages of the receiver in a real browser: opened, watched for errors, and read pixel by pixel."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from playwright.async_api import Browser, Locator, Page

PATIENCE_MS = 40_000
"""For a browser on two cores that others use too."""

_DRAWN = """(player) => {
  const halves = [100, 0].map((cut) => {
    player.move(cut);  // draws the newest pair again
    const { width, height } = player.canvas;
    const pixels = player.context.getImageData(0, 0, width, height).data;
    let text = "";
    for (let start = 0; start < pixels.length; start += 32768) {
      text += String.fromCharCode(...pixels.subarray(start, start + 32768));
    }
    return btoa(text);
  });
  return [player.canvas.width, player.canvas.height, player.pairs.last, ...halves];
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Luma of the newest pair of pictures of one moment, both at the size they are shown in."""

    received: NDArray[np.uint8]
    restored: NDArray[np.uint8]
    timestamp: int


@asynccontextmanager
async def opened(browser: Browser, url: str, **settings: object) -> AsyncIterator[Page]:
    """A page in a context of its own; leaving it fails if anything went wrong in it."""
    context = await browser.new_context(**settings)  # type: ignore[arg-type] # any setting
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    try:
        await page.goto(url)
        yield page
        assert not wrong, wrong
    finally:
        await context.close()


async def player_that_plays(page: Page) -> Locator:
    """The player, once pictures move in it."""
    await page.wait_for_selector('compare-player[data-state="playing"]')
    return page.locator("compare-player")


async def drawn(player: Locator) -> Pair:
    """The newest pair, each half drawn over the whole width."""
    width, height, timestamp, *halves = await player.evaluate(_DRAWN)
    received, restored = (
        _luma(np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4))
        for text in halves
    )
    return Pair(received=received, restored=restored, timestamp=timestamp)


def _luma(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Limited-range luma (ITU-R BT.601; what browsers take small pictures without tags for)."""
    red, green, blue = (rgba[..., index].astype(np.float64) for index in range(3))
    full = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.round(16 + full * 219 / 255).astype(np.uint8)
