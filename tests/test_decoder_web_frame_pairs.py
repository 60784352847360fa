"""The page's search for two pictures of one moment, run by a JavaScript engine."""

from __future__ import annotations

from pathlib import Path

import pytest

import decoder
from tests.chromium import chromium

SOURCE = Path(decoder.__file__).parent / "web" / "frame-pairs.js"

_CHECKS = """() => {
  const closed = [];
  const picture = (name) => ({ name, close: () => closed.push(name) });
  const pairs = new FramePairs();
  const put = (kind, timestamp) => {
    const pair = pairs.put(kind, timestamp, picture(`${kind[2]}${timestamp}`));
    return pair && [pair.timestamp, pair.received.name, pair.restored.name];
  };
  const said = {};
  said.waits = [put("received", 100), put("received", 200)];
  said.pair = put("restored", 200);
  said.old = put("restored", 100);
  said.closed = [...closed];
  put("received", 300);
  put("restored", 350);
  const near = pairs.nearest();
  said.nearest = [near.timestamp, near.received.name];
  said.afterJump = [put("received", 4e9), put("restored", 4e9)];
  put("received", 2 ** 32 - 10);
  said.beforeWrap = put("restored", 2 ** 32 - 10);
  put("received", 5);
  said.afterWrap = put("restored", 5);
  for (let timestamp = 10; timestamp < 110; timestamp += 1) put("received", timestamp);
  said.held = pairs.held.received.size;
  pairs.clear();
  said.left = pairs.held.received.size + pairs.held.restored.size;
  return said;
}"""


@pytest.mark.real_peer
async def test_pictures_are_paired_by_their_timestamps_and_the_rest_is_let_go() -> None:
    script = SOURCE.read_text().replace("export class FramePairs", "window.FramePairs = class")
    async with chromium() as browser:
        page = await browser.new_page()
        await page.add_script_tag(content=script)
        said = await page.evaluate(_CHECKS)
    assert said["waits"] == [None, None]
    assert said["pair"] == [200, "c200", "s200"]
    assert said["old"] is None
    assert said["closed"] == ["c100", "s100"]
    assert said["nearest"] == [350, "c300"]
    assert said["afterJump"] == [None, [4e9, "c4000000000", "s4000000000"]]
    assert said["beforeWrap"] is not None
    assert said["afterWrap"] == [5, "c5", "s5"]
    assert said["held"] == 40
    assert said["left"] == 0
