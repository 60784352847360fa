"""A strict reader of HLS media playlists: every rule of draft-pantos-hls-rfc8216bis that concerns
what is written here. Section numbers are the draft's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

SINGLE = {
    "EXTM3U",
    "EXT-X-VERSION",
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-INDEPENDENT-SEGMENTS",
    "EXT-X-PART-INF",
    "EXT-X-SERVER-CONTROL",
    "EXT-X-PRELOAD-HINT",
    "EXT-X-ENDLIST",
}
REPEATED = {
    "EXTINF",
    "EXT-X-MAP",
    "EXT-X-PART",
    "EXT-X-DISCONTINUITY",
    "EXT-X-PROGRAM-DATE-TIME",
}
LEAST_SHARE_OF_PART = 0.85
ROUNDING_S = 0.001


@dataclass(frozen=True, kw_only=True)
class Part:
    duration_s: float
    uri: str
    is_independent: bool


@dataclass(kw_only=True)
class Segment:
    sequence: int
    discontinuity_sequence: int
    map_uri: str
    when: datetime | None
    parts: list[Part] = field(default_factory=list)
    duration_s: float = 0.0
    uri: str = ""


@dataclass(kw_only=True)
class Playlist:
    target_s: int
    part_target_s: float | None
    segments: list[Segment]
    hint: str | None
    has_ended: bool

    @property
    def complete(self) -> list[Segment]:
        return [segment for segment in self.segments if segment.uri]


def attributes(text: str) -> dict[str, str]:
    """An attribute list (section 4.2); no name twice."""
    pattern = r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]+)'
    assert re.fullmatch(rf"{pattern}(,{pattern})*", text), text
    found = re.findall(pattern, text)
    assert len({name for name, _ in found}) == len(found), text
    return {name: value.strip('"') for name, value in found}


def read_playlist(text: str) -> Playlist:
    """Parse and check one playlist; AssertionError for every rule it breaks."""
    assert text.startswith("#EXTM3U\n")
    assert text.endswith("\n")
    assert all(character == "\n" or character.isprintable() for character in text)
    seen: dict[str, str] = {}
    segments: list[Segment] = []
    growing: Segment | None = None
    map_uri, when, extinf_s = "", None, None
    discontinuities = 0

    def current() -> Segment:
        assert map_uri, "4.4.4.5: fragmented mp4 needs EXT-X-MAP before it"
        return Segment(
            sequence=int(seen["EXT-X-MEDIA-SEQUENCE"]) + len(segments),
            discontinuity_sequence=int(seen["EXT-X-DISCONTINUITY-SEQUENCE"]) + discontinuities,
            map_uri=map_uri,
            when=when,
        )

    for line in text.splitlines():
        assert line, "no empty lines are written"
        assert "EXT-X-ENDLIST" not in seen, "nothing follows the end"
        if not line.startswith("#"):
            assert extinf_s is not None, "4.4.4.1: each segment has EXTINF"
            growing = growing or current()
            growing.duration_s, growing.uri, extinf_s = extinf_s, line, None
            segments.append(growing)
            growing, when = None, None
            continue
        tag, _, value = line[1:].partition(":")
        assert tag in SINGLE | REPEATED, tag
        if tag in SINGLE:
            assert tag not in seen, f"{tag} twice"
            seen[tag] = value
        assert "EXT-X-PRELOAD-HINT" not in seen or tag == "EXT-X-PRELOAD-HINT"
        if tag in ("EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE"):
            assert not segments
            assert growing is None
            assert not discontinuities
            assert re.fullmatch(r"\d{1,20}", value)
        elif tag == "EXT-X-DISCONTINUITY":
            assert growing is None, "4.4.4.3: not inside a segment"
            discontinuities += 1
            map_uri = ""
        elif tag == "EXT-X-MAP":
            assert growing is None
            map_uri = attributes(value)["URI"]
        elif tag == "EXT-X-PROGRAM-DATE-TIME":
            when = datetime.fromisoformat(value)
            assert when.tzinfo is not None, "4.4.4.6: with a time zone"
        elif tag == "EXTINF":
            assert re.fullmatch(r"\d+\.\d+,", value)
            extinf_s = float(value[:-1])
        elif tag == "EXT-X-PART":
            assert extinf_s is None
            found = attributes(value)
            growing = growing or current()
            growing.parts.append(
                Part(
                    duration_s=float(found["DURATION"]),
                    uri=found["URI"],
                    is_independent=found.get("INDEPENDENT") == "YES",
                )
            )
    assert extinf_s is None
    if growing is not None:
        segments.append(growing)
    hint = attributes(seen["EXT-X-PRELOAD-HINT"]) if "EXT-X-PRELOAD-HINT" in seen else None
    assert hint is None or hint["TYPE"] == "PART"
    part_inf = attributes(seen["EXT-X-PART-INF"]) if "EXT-X-PART-INF" in seen else None
    playlist = Playlist(
        target_s=int(seen["EXT-X-TARGETDURATION"]),
        part_target_s=None if part_inf is None else float(part_inf["PART-TARGET"]),
        segments=segments,
        hint=None if hint is None else hint["URI"],
        has_ended="EXT-X-ENDLIST" in seen,
    )
    assert int(seen["EXT-X-VERSION"]) >= 6, "section 8: EXT-X-MAP"
    assert "EXT-X-INDEPENDENT-SEGMENTS" in seen
    _check_durations(playlist)
    if playlist.part_target_s is not None:
        _check_low_latency(playlist, attributes(seen["EXT-X-SERVER-CONTROL"]))
    else:
        assert not any(segment.parts for segment in segments), "4.4.4.9: parts need EXT-X-PART-INF"
        assert playlist.hint is None
    return playlist


def _check_durations(playlist: Playlist) -> None:
    uris = [segment.uri for segment in playlist.complete]
    uris += [part.uri for segment in playlist.segments for part in segment.parts]
    assert len(set(uris)) == len(uris)
    for segment in playlist.complete:
        assert segment.duration_s > 0
        assert int(segment.duration_s + 0.5) <= playlist.target_s, "4.4.3.1"
        if segment.parts:
            total_s = sum(part.duration_s for part in segment.parts)
            assert abs(total_s - segment.duration_s) < ROUNDING_S


def _check_low_latency(playlist: Playlist, control: dict[str, str]) -> None:
    """Sections 4.4.3.7, 4.4.3.8, 4.4.4.9 and appendix B.1."""
    part_target_s = playlist.part_target_s
    assert part_target_s is not None
    assert control["CAN-BLOCK-RELOAD"] == "YES"
    assert float(control["PART-HOLD-BACK"]) >= 3 * part_target_s - ROUNDING_S
    assert playlist.has_ended or not playlist.segments or playlist.hint is not None
    for segment in playlist.segments:
        assert segment.when is not None
        for number, part in enumerate(segment.parts):
            assert part.duration_s <= part_target_s + ROUNDING_S, part
            is_last = bool(segment.uri) and number == len(segment.parts) - 1
            if not is_last:
                assert part.duration_s >= LEAST_SHARE_OF_PART * part_target_s, part
        if segment.parts:
            assert segment.parts[0].is_independent, "4.4.2.1: segments are independent"
    behind_s = 0.0
    for segment in reversed(playlist.segments):
        if segment.parts:
            assert behind_s <= 3 * playlist.target_s, "4.4.4.9: parts near the end alone"
        behind_s += segment.duration_s or sum(part.duration_s for part in segment.parts)


def check_history(texts: Sequence[str]) -> list[Playlist]:
    """Check every playlist, and that each may follow the one before (section 6.2)."""
    playlists = [read_playlist(text) for text in texts]
    for before, after in pairwise(playlists):
        assert (before.target_s, before.part_target_s) == (after.target_s, after.part_target_s)
        assert not before.has_ended or before == after, "6.2.1: nothing changes after the end"
        _check_succession(before, after)
    return playlists


def _check_succession(before: Playlist, after: Playlist) -> None:
    old = {segment.sequence: segment for segment in before.segments}
    new = {segment.sequence: segment for segment in after.segments}
    if not old:
        return
    assert min(new) >= min(old), "6.2.2: the media sequence number never decreases"
    assert max(new) >= max(old)
    kept = sorted(set(old) & set(new))
    assert kept or not before.complete, "6.2.2: players cannot follow"
    for sequence in kept:
        ours, theirs = old[sequence], new[sequence]
        assert ours.discontinuity_sequence == theirs.discontinuity_sequence, "6.2.2"
        assert ours.map_uri == theirs.map_uri
        if ours.uri:
            assert (ours.uri, ours.duration_s) == (theirs.uri, theirs.duration_s)
        assert theirs.parts[: len(ours.parts)] == ours.parts or not theirs.parts
    if set(old) - set(new):
        total_s = sum(segment.duration_s for segment in after.complete)
        assert total_s >= 3 * after.target_s, "6.2.2: at least 3 target durations stay"
    if before.hint is not None and before.segments:
        named = {part.uri for segment in after.segments for part in segment.parts}
        assert before.hint in named | {after.hint} or after.has_ended, "6.2.2: a hint is kept"
