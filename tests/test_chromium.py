"""The browser that other tests use can do what they need."""

import pytest

from tests.chromium import chromium


@pytest.mark.real_peer
async def test_chromium_speaks_webrtc_and_has_a_camera() -> None:
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto("chrome://version")
        codecs = await page.evaluate(
            "RTCRtpSender.getCapabilities('video').codecs.map(codec => codec.mimeType)"
        )
    assert {"video/H264", "video/AV1", "video/VP8"} <= set(codecs)
