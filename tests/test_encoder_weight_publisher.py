"""Weights from a sender: within their budget, again when asked for, never in vain for ever."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from encoder.announced_profiles import AnnouncedProfile, read_profiles
from encoder.weight_publisher import (
    MAX_WAITING,
    OPEN_WITHIN_MS,
    OVERHEAD_BYTES,
    REPEATS,
    WeightPublisher,
)
from stream.errors import ConfigError
from stream.scene_signature import SIGNATURE_BYTES, Scene, Signature
from stream.weight_delta import DeltaHeader, DeltaLimits, encode_delta, read_header
from stream.weight_messages import DeltaAssembler, pieces_of
from tests.weight_deltas import BASE, SHAPES, profile_of, quantised, state, step

BUDGET = 10_000


@dataclass
class Channel:
    """The sending end, and what comes out at the other."""

    is_state_wanted: bool = False
    useless: set[str] = field(default_factory=set)
    is_open: bool = True
    is_refused: bool = False
    waiting_bytes: int = 0
    sent: int = 0
    arrived: list[bytes] = field(default_factory=list)
    assembler: DeltaAssembler = field(default_factory=DeltaAssembler)
    number: int = 0

    def pieces(self, delta: bytes) -> list[bytes]:
        self.number += 1
        return pieces_of(delta, self.number)

    def send(self, piece: bytes) -> None:
        self.sent += len(piece)
        delta = self.assembler.push(piece)
        if delta is not None:
            self.arrived.append(delta)


def scene(number: int) -> Scene:
    data = np.random.default_rng(number).bytes(SIGNATURE_BYTES)
    return Scene(number=number, signatures=(Signature(data),))


def write_profile(path: Path, *, own: Scene | None = None, seed: int = 0) -> Path:
    header = DeltaHeader(base_sha256=BASE, scene=own)
    delta = encode_delta(header, quantised(seed=seed), expected_shapes=SHAPES)
    path.write_bytes(profile_of(delta))
    return path


def announced(*, label: str = "profile Evening news", seed: int = 0) -> AnnouncedProfile:
    return AnnouncedProfile(label=label, state=state(seed=seed), scene=None)


def play(publisher: WeightPublisher, *, from_ms: float, seconds: float) -> float:
    """Poll as the sender does; the time at the end."""
    now_ms = from_ms
    for _ in range(round(10 * seconds)):
        now_ms += 100
        publisher.poll(now_ms=now_ms)
    return now_ms


def test_deltas_leave_in_order_and_never_faster_than_their_budget() -> None:
    channel, publisher = Channel(), WeightPublisher(budget_bps=BUDGET)
    publisher.begin_session(channel, now_ms=0)
    deltas = [np.random.default_rng(seed).bytes(4000) for seed in range(3)]
    for delta in deltas:
        assert publisher.put(delta)
    assert publisher.sending_bps == BUDGET
    now_ms = 0.0
    while len(channel.arrived) < 3:
        now_ms = play(publisher, from_ms=now_ms, seconds=0.1)
        assert 8 * publisher.bytes_sent <= BUDGET * now_ms / 1000 + 8 * (1110 + OVERHEAD_BYTES)
        assert now_ms < 15_000
    assert channel.arrived == deltas
    assert publisher.bytes_sent == channel.sent + channel.number * 4 * OVERHEAD_BYTES
    assert now_ms > 8 * publisher.bytes_sent / BUDGET * 1000 - 1500
    assert publisher.sending_bps == 0
    publisher.put(deltas[0])
    before = publisher.bytes_sent
    publisher.poll(now_ms=now_ms + 600_000)  # nothing is saved up in ten quiet minutes
    assert publisher.bytes_sent - before < 3700


def test_pictures_come_first_on_a_full_path() -> None:
    channel, publisher = Channel(waiting_bytes=10_000), WeightPublisher(budget_bps=BUDGET)
    publisher.begin_session(channel, now_ms=0)
    publisher.put(bytes(100))
    now_ms = play(publisher, from_ms=0, seconds=2)
    assert channel.sent == 0
    channel.waiting_bytes = 0
    play(publisher, from_ms=now_ms, seconds=1)
    assert channel.arrived == [bytes(100)]


def test_too_many_deltas_are_refused_and_a_new_session_drops_those_of_the_old() -> None:
    publisher = WeightPublisher(budget_bps=BUDGET)
    assert publisher.sending_bps == 0
    publisher.poll(now_ms=0)  # before any session
    taken = [publisher.put(bytes([number])) for number in range(MAX_WAITING + 2)]
    assert taken == [True] * MAX_WAITING + [False] * 2
    channel = Channel()
    publisher.begin_session(channel, now_ms=0)
    play(publisher, from_ms=0, seconds=5)
    assert channel.arrived == []


def test_profiles_are_sent_in_every_session_with_numbers_that_only_rise() -> None:
    publisher = WeightPublisher([announced(), announced(label="b", seed=1)], budget_bps=100_000)
    sequences = []
    for session in range(2):
        channel = Channel()
        publisher.begin_session(channel, now_ms=60_000 * session)
        play(publisher, from_ms=60_000 * session, seconds=5)
        headers = [read_header(delta) for delta in channel.arrived]
        assert [header.is_state for header in headers] == [True, True]
        sequences += [header.sequence for header in headers]
    assert sequences == [0, 1, 2, 3]
    assert publisher.next_sequence() == 4


def test_a_session_that_breaks_off_in_the_middle_leaves_nothing_half_sent() -> None:
    profile = AnnouncedProfile(
        label="large",
        state=encode_delta(
            DeltaHeader(base_sha256=BASE),
            quantised(SHAPES | {"fuse.more.weight": (9000,)}, bits=8),
            expected_shapes=SHAPES | {"fuse.more.weight": (9000,)},
        ),
        scene=None,
    )
    publisher = WeightPublisher([profile], budget_bps=BUDGET)
    publisher.begin_session(Channel(), now_ms=0)
    play(publisher, from_ms=0, seconds=1)
    channel = Channel()
    publisher.begin_session(channel, now_ms=5000)
    play(publisher, from_ms=5000, seconds=20)
    assert [read_header(delta).sequence for delta in channel.arrived] == [1]


def test_profiles_are_repeated_when_a_state_is_asked_for_but_not_for_ever() -> None:
    channel, publisher = Channel(), WeightPublisher([announced()], budget_bps=100_000)
    publisher.begin_session(channel, now_ms=0)
    now_ms = play(publisher, from_ms=0, seconds=2)
    for _ in range(REPEATS + 5):
        channel.is_state_wanted = True
        now_ms = play(publisher, from_ms=now_ms, seconds=2)
        assert not channel.is_state_wanted
        assert publisher.take_state_wanted()
        assert not publisher.take_state_wanted()
    assert len(channel.arrived) == 1 + REPEATS


def test_what_the_receiver_has_no_model_for_is_not_repeated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    profiles = [announced(label="profile A"), announced(label="profile B", seed=2)]
    channel, publisher = Channel(), WeightPublisher(profiles, budget_bps=100_000)
    publisher.begin_session(channel, now_ms=0)
    now_ms = play(publisher, from_ms=0, seconds=3)
    channel.useless = {channel.arrived[0][-32:].hex(), "ab" * 32}
    now_ms = play(publisher, from_ms=now_ms, seconds=1)
    channel.is_state_wanted = True
    now_ms = play(publisher, from_ms=now_ms, seconds=3)
    assert len(channel.arrived) == 3
    assert caplog.text.count("profile A is for a model that the receiver does not have") == 1
    other = Channel()  # a receiver that may have it
    publisher.begin_session(other, now_ms=now_ms)
    play(publisher, from_ms=now_ms, seconds=3)
    assert len(other.arrived) == 2


@pytest.mark.parametrize("way", ["refused", "never opened"])
def test_a_receiver_without_the_channel_is_told_of_once(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = WeightPublisher([announced()], budget_bps=BUDGET)
    now_ms = 0.0
    for _ in range(3):
        channel = Channel(is_open=False, is_refused=way == "refused")
        publisher.begin_session(channel, now_ms=now_ms)
        now_ms = play(publisher, from_ms=now_ms, seconds=OPEN_WITHIN_MS / 1000 - 1)
        assert way == "refused" or now_ms > 15_000 or "takes no weights" not in caplog.text
        now_ms = play(publisher, from_ms=now_ms, seconds=3)
        assert caplog.text.count("the receiver takes no weights") == 1
        assert channel.sent == publisher.sending_bps == 0


def test_profiles_are_read_and_each_of_several_is_for_its_scenes(tmp_path: Path) -> None:
    own = scene(0)
    first = write_profile(tmp_path / "first.profile", own=own)
    second = write_profile(tmp_path / "second.profile", own=scene(9), seed=1)
    plain = write_profile(tmp_path / "plain.profile", seed=2)
    [alone] = read_profiles([first])
    assert alone.label == "profile Evening news"
    assert alone.scene is None
    header = read_header(alone.numbered(77))
    assert (header.sequence, header.scene, header.base_sha256) == (77, None, BASE)
    several = read_profiles([first, second, plain])
    assert [each.scene and each.scene.number for each in several] == [0, 1, None]
    assert read_header(several[0].numbered(5)).scene == own
    assert read_profiles([]) == ()


def test_profiles_that_cannot_be_sent_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "damaged.profile"
    damaged.write_bytes(write_profile(tmp_path / "p").read_bytes()[:-1])
    plain = write_profile(tmp_path / "plain.profile")
    for paths, message in (
        ([tmp_path / "none.profile"], r"cannot read profile .*none\.profile: No such file"),
        ([damaged], r"damaged\.profile: damaged: its checksum is wrong"),
        ([plain, plain], "does not tell its scenes, and neither does another"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_profiles(paths)
    monkeypatch.setattr("encoder.announced_profiles.LIVE_LIMITS", DeltaLimits(max_bytes=100))
    with pytest.raises(ConfigError, match=r"plain\.profile cannot be sent: .* 100 bytes"):
        read_profiles([plain])
    with pytest.raises(ValueError, match="a state, not a step"):
        profile_of(step(1, "ab" * 32))
