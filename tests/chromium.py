"""A real headless Chromium with a fake camera and microphone; a peer nobody here wrote."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

_FLAGS = (
    "--no-sandbox",  # tests run as root in containers
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    # Candidates with addresses instead of mDNS names, which nobody resolves on a test machine.
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--allow-loopback-in-peer-connection",
)


@asynccontextmanager
async def chromium(*more_flags: str) -> AsyncIterator[Browser]:
    """Run the installed Chromium; skips the test where there is none, but never under CI=true."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Chromium is missing: make system-packages installs it")
        pytest.skip("Chromium is not installed: make system-packages installs it")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, headless=True, args=[*_FLAGS, *more_flags]
        )
        try:
            yield browser
        finally:
            await browser.close()
