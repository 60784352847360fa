"""Sends weights beside the pictures, no faster than their budget of bits allows."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from encoder.announced_profiles import AnnouncedProfile
from stream.weight_delta_head import DIGEST_BYTES

_log = logging.getLogger(__name__)

MAX_WAITING = 16
"""Deltas that wait to be sent."""

OVERHEAD_BYTES = 100
"""Of a piece on the wire: SCTP 28, DTLS 29 and its padding, UDP 8, IP 20 to 40."""

BURST_BYTES = 2400
"""Two pieces: what may leave at once after a pause."""

MAX_UNSENT_BYTES = 4800
"""Handed over and still not sent: then the path is full, and pictures come first."""

OPEN_WITHIN_MS = 10_000.0
"""After that, a receiver that has not opened the channel knows of none."""

REPEATS = 3
"""Announced profiles are sent again so often in a session, when the receiver asks."""


class WeightChannel(Protocol):
    """What is used of `stream.weight_channel.SendingWeights`."""

    is_state_wanted: bool
    useless: set[str]

    @property
    def is_open(self) -> bool:
        """Whether the other end takes weights."""

    @property
    def is_refused(self) -> bool:
        """Whether the other end has closed the channel."""

    @property
    def waiting_bytes(self) -> int:
        """What was handed over and is not sent yet."""

    def pieces(self, delta: bytes) -> list[bytes]:
        """The messages that carry a delta."""

    def send(self, piece: bytes) -> None:
        """Send one of them."""


class WeightPublisher:
    """One sender's, for all its sessions. `put` may be called from any thread, the rest by one."""

    def __init__(self, profiles: Sequence[AnnouncedProfile] = (), *, budget_bps: int) -> None:
        """profiles: sent at the start of each session, and again when they are asked for.

        budget_bps: bits a second on the wire while anything is sent.
        """
        self._profiles, self._budget_bps = tuple(profiles), budget_bps
        self._channel: WeightChannel | None = None
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._pieces: deque[bytes] = deque()
        self._sent: dict[str, AnnouncedProfile] = {}  # by digest, in this session
        self._useless: list[AnnouncedProfile] = []
        self._sequence = self._repeats = 0
        self._began_ms = self._allowed_ms = 0.0
        self._allowed_bytes = 0.0
        self._is_told = self._is_wanted = self._is_repeat_due = False
        self.bytes_sent = 0
        """On the wire, of all sessions."""

    @property
    def sending_bps(self) -> int:
        """Bits a second that the pictures have less at the moment."""
        is_sending = bool(self._pieces or self._waiting) and self.is_open
        return self._budget_bps if is_sending else 0

    @property
    def is_open(self) -> bool:
        """Whether there is somebody who takes weights."""
        return self._channel is not None and self._channel.is_open

    def next_sequence(self) -> int:
        """The number of the next delta: all of a sender's are counted together."""
        with self._lock:
            self._sequence += 1
            return self._sequence - 1

    def put(self, delta: bytes) -> bool:
        """Have a delta sent after those that wait; False when too many do, and it is not."""
        with self._lock:
            if len(self._waiting) >= MAX_WAITING:
                return False
            self._waiting.append(delta)
            return True

    def take_state_wanted(self) -> bool:
        """Whether the receiver has asked for a state since the last call.

        For whoever sends deltas of his own; profiles are sent again without it.
        """
        is_wanted, self._is_wanted = self._is_wanted, False
        return is_wanted

    def begin_session(self, channel: WeightChannel | None, *, now_ms: float) -> None:
        """Send over this channel from now on, to a receiver that has no weights yet.

        What still waited for the last one is dropped.
        """
        self._channel, self._began_ms, self._allowed_ms = channel, now_ms, now_ms
        self._pieces.clear()
        self._sent.clear()
        self._useless.clear()
        self._repeats, self._is_wanted, self._is_repeat_due = 0, False, False
        with self._lock:
            self._waiting.clear()
        self._announce()

    def poll(self, *, now_ms: float) -> None:
        """Send what is due; to be called several times a second."""
        channel = self._channel
        if channel is None:
            return
        if channel.is_refused or not channel.is_open:
            self._tell_closed(channel, now_ms)
            return
        earned = (now_ms - self._allowed_ms) * self._budget_bps / 8000
        self._allowed_bytes = min(self._allowed_bytes + earned, BURST_BYTES)
        self._allowed_ms = now_ms
        self._listen(channel)
        while self._allowed_bytes > 0 and channel.waiting_bytes < MAX_UNSENT_BYTES:
            if not self._pieces and not self._take_next(channel):
                break
            piece = self._pieces.popleft()
            channel.send(piece)
            self._allowed_bytes -= len(piece) + OVERHEAD_BYTES
            self.bytes_sent += len(piece) + OVERHEAD_BYTES

    def _take_next(self, channel: WeightChannel) -> bool:
        with self._lock:
            if not self._waiting:
                return False
            delta = self._waiting.popleft()
        self._pieces.extend(channel.pieces(delta))
        _log.debug("sending %.1f kB of weights", len(delta) / 1000)
        return True

    def _announce(self) -> None:
        for profile in self._profiles:
            if profile not in self._useless:
                state = profile.numbered(self.next_sequence())
                self._sent[state[-DIGEST_BYTES:].hex()] = profile
                self.put(state)

    def _listen(self, channel: WeightChannel) -> None:
        """Take what the receiver has said."""
        if channel.is_state_wanted:
            channel.is_state_wanted = False
            self._is_wanted = self._is_repeat_due = True
        for digest in channel.useless & self._sent.keys():
            profile = self._sent.pop(digest)
            if profile not in self._useless:
                self._useless.append(profile)
                _log.warning("%s is for a model that the receiver does not have", profile.label)
        if self._is_repeat_due and not self.sending_bps:
            self._is_repeat_due = False
            if self._repeats < REPEATS:
                self._repeats += 1
                self._announce()

    def _tell_closed(self, channel: WeightChannel, now_ms: float) -> None:
        is_late = now_ms - self._began_ms >= OPEN_WITHIN_MS
        if (channel.is_refused or is_late) and not self._is_told:
            self._is_told = True
            _log.warning("the receiver takes no weights; it restores with those that it has")
