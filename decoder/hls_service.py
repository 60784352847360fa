"""Serves low-latency HLS at /hls/NAME/index.m3u8 (draft-pantos-hls-rfc8216bis section 6.2.5).

A request with `_HLS_msn` and `_HLS_part` is held until the playlist has that part: so a player
learns of it at once, without asking again and again. A request without them is held while
there is too little to begin with. The part that the playlist hints at may be
asked for before it is complete, too.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from urllib.parse import parse_qs

from decoder.hls_playlist import part_uri
from decoder.hls_shelf import HlsShelf, StreamShelf
from stream.access import AccessRules, Right
from stream.signalling import HttpRequest, HttpResponse, denied, error

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
MEDIA_TYPE = "video/mp4"

WAIT_TARGETS = 3
"""A request is held for as many target durations, then it gets 503 (section 6.2.5.2)."""

FURTHEST_AHEAD = 2
"""More than so many segments ahead of the newest is a request that makes no sense: 400."""

_PATH = re.compile(r"/hls/(?P<stream>[A-Za-z0-9_-]{1,64})/(?P<file>[A-Za-z0-9_.-]{1,80})")
_WHOLE = re.compile(r"\d{1,18}", re.ASCII)


class HlsService:
    """An `HttpService` over the shelves of one receiver."""

    def __init__(self, access: AccessRules, shelf: HlsShelf) -> None:
        self._access, self._shelf = access, shelf

    async def respond(self, request: HttpRequest) -> HttpResponse | None:
        """See `HttpService.respond`."""
        found = _PATH.fullmatch(request.path)
        if found is None:
            return None
        if request.method == "OPTIONS":
            return HttpResponse(
                status=204,
                headers=(
                    ("Allow", "GET, HEAD, OPTIONS"),
                    ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
                    ("Access-Control-Allow-Headers", "Authorization"),
                ),
            )
        refusal = denied(self._access, request, Right.VIEW, stream=found["stream"])
        if refusal is not None:
            return refusal
        if request.method not in ("GET", "HEAD"):
            return error(405, "this takes GET only", ("Allow", "GET, HEAD"))
        stream = self._shelf.get(found["stream"])
        if stream is None:
            return error(404, f"no low-latency stream {found['stream']}")
        if found["file"] == "index.m3u8":
            return await _playlist(stream, request.query)
        return await _media(stream, found["file"])


async def _playlist(stream: StreamShelf, query: str) -> HttpResponse:
    wanted = _wanted_position(query)
    if isinstance(wanted, HttpResponse):
        return wanted
    if wanted is not None:
        if wanted[0] > stream.next_position[0] + FURTHEST_AHEAD and not stream.has_ended:
            return error(400, "_HLS_msn is too far ahead")
        if not await _until(stream, lambda: stream.next_position > wanted):
            return error(503, "that part did not come in time", ("Retry-After", "1"))
    else:
        await _until(stream, lambda: stream.can_start)
    text = stream.text
    if not text:
        return error(404, "nothing has been written yet", ("Retry-After", "1"))
    headers = (("Content-Type", PLAYLIST_TYPE), ("Cache-Control", "no-cache"))
    return HttpResponse(status=200, headers=headers, body=text)


async def _media(stream: StreamShelf, name: str) -> HttpResponse:
    data = stream.file(name)
    if data is None and name == part_uri(*stream.next_position):
        await _until(stream, lambda: stream.file(name) is not None)
        data = stream.file(name)
    if data is None:
        return error(404, "no such file: it was too old, or never was")
    lifetime_s = 60  # it never changes, and players go back no further
    headers = (("Content-Type", MEDIA_TYPE), ("Cache-Control", f"max-age={lifetime_s}"))
    return HttpResponse(status=200, headers=headers, body=data)


def _wanted_position(query: str) -> tuple[int, int] | HttpResponse | None:
    """Media sequence number and part that a request asks to wait for; None without."""
    values = parse_qs(query, keep_blank_values=True)
    sequence, part = values.get("_HLS_msn"), values.get("_HLS_part")
    if sequence is None:
        return None if part is None else error(400, "_HLS_part needs _HLS_msn")
    numbers = [*sequence, *(part or [])]
    if len(sequence) > 1 or (part and len(part) > 1) or not all(map(_WHOLE.fullmatch, numbers)):
        return error(400, "_HLS_msn and _HLS_part are whole numbers")
    # Without a part, the whole segment is meant: the position after its last part.
    return int(sequence[0]), int(part[0]) if part else 1_000_000


async def _until(stream: StreamShelf, holds: Callable[[], bool]) -> bool:
    """Wait until something holds; whether it did in time, or the stream has ended."""
    deadline_s = time.monotonic() + WAIT_TARGETS * stream.target_s
    while not holds() and not stream.has_ended:
        try:
            async with asyncio.timeout(deadline_s - time.monotonic()):
                await stream.next_change()
        except TimeoutError:
            return False
    return True
