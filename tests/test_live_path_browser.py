"""A browser watches what ffmpeg publishes, and publishes from its camera."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Page

from stream.frame import Plane, Size
from tests.browser_pages import drawn, opened, player_that_plays
from tests.chromium import chromium
from tests.live_processes import Receiver, wait_until
from tests.marked_pictures import marked, number_in, write_marked
from tests.sink_media import FFMPEG

LR, HR = Size(width=320, height=180), Size(width=640, height=360)
COUNT = 200
SETTINGS = ("--model", "lanczos", "--size", str(HR), "--output", "null:", "--direct-ratio", "2.5")


@contextmanager
def _published_by_ffmpeg(clip: Path, url: str, *more: str) -> Iterator[None]:
    """The clip, again and again, by a WHIP client that nobody here wrote."""
    command = [FFMPEG, "-v", "error", "-re", "-stream_loop", "-1", "-i", str(clip), "-an"]
    command += ["-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast"]
    command += ["-tune", "zerolatency", "-b:v", "900k", "-g", "50", "-f", "whip", *more, url]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as publisher:
        try:
            yield
        finally:
            publisher.kill()


def _psnr(luma: Plane, number: int) -> float:
    """Against what was sent, at its size."""
    shrunk = luma.reshape(LR.height, 2, LR.width, 2).mean(axis=(1, 3))
    error = shrunk - marked(number, size=LR).y
    return float(10 * np.log10(255**2 / np.mean(error**2)))


async def _figures(page: Page) -> dict[str, str]:
    """All tiles at one moment."""
    tiles: dict[str, str] = await page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('[data-figure]')]"
        ".map(({ dataset }) => [dataset.figure, dataset.value]))"
    )
    return tiles


async def _check_pictures(page: Page) -> None:
    """Both halves show the same picture of the clip, and it looks as it was sent."""
    player = await player_that_plays(page)
    offsets = set()
    for _ in range(4):
        pair = await drawn(player)
        number = number_in(pair.received)
        assert number_in(pair.restored) == number
        for luma in (pair.received, pair.restored):
            assert luma.shape == (HR.height, HR.width)
            assert _psnr(luma, number) > 25, number
        offsets.add((number - round(pair.timestamp / 3600)) % COUNT)
        await page.wait_for_timeout(150)
    assert len(offsets) == 1  # pictures move on as time does


async def _check_divider(page: Page) -> None:
    """It is dragged by a pointer and moved by keys, and the page says where it is."""
    divider = page.get_by_role("slider")
    box = await page.locator("compare-player").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    await divider.focus()
    await page.keyboard.press("Home")
    for _ in range(5):
        await page.keyboard.press("PageUp")
    assert await divider.get_attribute("aria-valuenow") == "50"
    await page.mouse.move(box["x"] + box["width"] / 2, middle)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] / 4, middle, steps=3)
    await page.mouse.up()
    assert await divider.get_attribute("aria-valuenow") == "25"
    for key, position in (("ArrowRight", "27"), ("Home", "0"), ("PageUp", "10"), ("End", "100")):
        await page.keyboard.press(key)
        assert await divider.get_attribute("aria-valuenow") == position


async def _check_figures(page: Page, receiver: Receiver) -> None:
    """What stands on the page is what the receiver wrote at one moment."""

    def is_told() -> bool:
        return any(
            str(line["wire_bps"]) == shown["wire_bps"]
            and str(line["frames_restored"]) == shown["frames_restored"]
            and str(line["direct_bps"]) == shown["direct_bps"]
            and line["model"] == shown["model"]
            and line["size"] == shown["size"] == str(HR)
            for line in receiver.stats()
        )

    shown = await _figures(page)
    assert int(shown["wire_bps"]) > 50_000
    wait_until(is_told, f"{shown} in the statistics")
    assert shown["saving"] == "60 %"


async def _publish_and_watch(url: str, watching: Page, publishing: Page, name: str) -> None:
    await publishing.fill("#stream", name)
    await publishing.select_option("#height", "180")
    await publishing.click("#start")
    await publishing.get_by_text(f"Publishing as {name}").wait_for()
    await watching.locator(f'[data-stream="{name}"].live').click()
    # The fake camera's field is Y = U = V = 0: green, how bright depends on the matrix signalled.
    await watching.wait_for_function(
        """() => {
          const player = document.querySelector("compare-player");
          if (player.stream !== "camera" || !player.pairs.last) return false;
          const { width, height } = player.canvas;
          const field = player.context.getImageData(width / 8, height / 2, 2, 2).data;
          return field[1] > 50 && field[0] < 20 && field[2] < 20;
        }"""
    )
    await publishing.click("#stop")
    await publishing.get_by_text("Not publishing").wait_for()
    await watching.locator(f'[data-stream="{name}"]:not(.live)').wait_for()


@pytest.mark.real_peer
async def test_a_browser_watches_compares_and_publishes(tmp_path: Path) -> None:
    clip = write_marked(tmp_path / "clip.mkv", sizes=[LR] * COUNT)
    with Receiver(tmp_path, *SETTINGS) as receiver:
        url = receiver.url.removesuffix("/whip")
        with _published_by_ffmpeg(clip, receiver.url):
            receiver.wait_for_frames(30)
            async with chromium() as browser, opened(browser, url) as watching:
                await _check_pictures(watching)
                await _check_divider(watching)
                await _check_figures(watching, receiver)
                async with opened(browser, f"{url}/publish") as publishing:
                    await _publish_and_watch(url, watching, publishing, "camera")
        assert receiver.end() == 0
        assert "Traceback" not in receiver.log


@pytest.mark.real_peer
async def test_a_browser_on_a_phone_shows_the_token_form_and_then_the_stream(
    tmp_path: Path,
) -> None:
    clip = write_marked(tmp_path / "clip.mkv", sizes=[Size(width=160, height=96)] * 100)
    tokens = ("--token", "publish", "--view-token", "view")
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with Receiver(tmp_path, *SETTINGS[:2], "--size", "320x192", *tokens) as receiver:
        url = receiver.url.removesuffix("/whip")
        with _published_by_ffmpeg(clip, receiver.url, "-authorization", "publish"):
            receiver.wait_for_frames(10)
            async with chromium() as browser:
                context = await browser.new_context(**phone)  # type: ignore[arg-type] # any
                page = await context.new_page()
                await page.goto(url)
                await page.get_by_text("Watching takes a token").wait_for()
                await page.fill("#token", "wrong")
                await page.click("#access button")
                await page.get_by_text("That token is not the right one").wait_for()
                await page.fill("#token", "view")
                await page.click("#access button")
                await player_that_plays(page)
                width = await page.evaluate("document.documentElement.scrollWidth")
                assert width == 390
        assert receiver.end() == 0
