"""Deltas of a publisher, from its channel into the stream that is being restored."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from decoder import weight_intake
from decoder.adapted_artefact import AdaptedWeights, ShownScene, own_weights
from decoder.artefact import Artefact
from decoder.receiver import Receiver
from decoder.weight_intake import NotForUs, WeightIntake
from decoder.weight_mailbox import MAX_WAITING, WeightMailbox
from stream.buffer import LatestBuffer
from stream.errors import DeltaRefused, EdvrError
from stream.frame import Frame
from stream.peer import NetworkScope, SendingPeer
from stream.scene_signature import MAX_SCENES, SIGNATURE_BYTES, Scene, Signature
from stream.tracks import SendingVideo
from stream.weight_channel import SendingWeights
from stream.weight_messages import LIVE_LIMITS
from stream.whip_client import WhipClient
from tests.live_media import X264
from tests.live_peers import until
from tests.marked_pictures import marked
from tests.profiles import delta_for, profile_for
from tests.receiver_rig import LR, receiver_config, running
from tests.tiny_artefact import LIFT, write_tiny_artefact
from tests.weight_deltas import damaged

LIMIT_S = 60


@pytest.fixture
def tiny(tmp_path: Path) -> Artefact:
    return write_tiny_artefact(tmp_path / "tiny-x2")


def digest_of(delta: bytes) -> str:
    return delta[-32:].hex()


def test_states_and_steps_become_weights(tiny: Artefact) -> None:
    intake = WeightIntake(lambda: {tiny.sha256: tiny})
    state = delta_for(tiny, valid_from_pts=4711)
    weights = intake.take(state)
    assert (weights.base_sha256, weights.digest) == (tiny.sha256, digest_of(state))
    assert weights.valid_from_pts == 4711
    assert intake.adapted == tiny.sha256
    following = delta_for(tiny, scale=0.0625, sequence=1, parent=digest_of(state))
    assert np.array_equal(intake.take(following).changes[LIFT], [np.float32(0.09375)])
    assert weights.changes[LIFT] == np.float32(0.03125)


def test_a_late_joiner_takes_nothing_before_a_state(tiny: Artefact) -> None:
    intake = WeightIntake(lambda: {tiny.sha256: tiny})
    with pytest.raises(DeltaRefused, match="did not arrive"):
        intake.take(delta_for(tiny, sequence=4, parent="ab" * 32))
    assert intake.adapted is None
    assert intake.take(delta_for(tiny, sequence=5)).label == "the sender's weights 5"


def test_weights_for_models_that_are_not_here_are_refused(tiny: Artefact, tmp_path: Path) -> None:
    other = write_tiny_artefact(tmp_path / "other-x2", scale=4)
    intake = WeightIntake(lambda: {tiny.sha256: tiny})
    with pytest.raises(DeltaRefused, match="not here"):
        intake.take(delta_for(other))
    with pytest.raises(DeltaRefused, match="larger than"):
        intake.take(bytes(LIVE_LIMITS.max_bytes + 1))
    both = WeightIntake(lambda: {tiny.sha256: tiny, other.sha256: other})
    both.take(delta_for(tiny, sequence=3))
    both.take(delta_for(other, sequence=1))  # the sender went over to another model
    assert both.adapted == other.sha256
    with pytest.raises(DeltaRefused, match="old"):
        both.take(delta_for(other, sequence=1))


def scene(number: int, *looks: int) -> Scene:
    """A scene with made-up signatures."""
    signatures = (np.random.default_rng(look).bytes(SIGNATURE_BYTES) for look in looks)
    return Scene(number=number, signatures=tuple(map(Signature, signatures)))


def test_each_scene_has_a_chain_of_its_own(tiny: Artefact) -> None:
    intake = WeightIntake(lambda: {tiny.sha256: tiny})
    states = [delta_for(tiny, sequence=number, scene=scene(number, number)) for number in (0, 1)]
    taken = [intake.take(state) for state in states]
    assert [each.label for each in taken] == [
        "the sender's weights 0 for scene 0",
        "the sender's weights 1 for scene 1",
    ]
    assert taken[0].scene is not None
    assert taken[1].scene is not None
    assert taken[0].scene.key != taken[1].scene.key
    assert taken[0].scene.signatures == scene(0, 0).signatures
    follower = delta_for(tiny, sequence=2, parent=digest_of(states[0]), scene=scene(0))
    followed = intake.take(follower)
    assert followed.scene == taken[0].scene  # what it looks like was told before
    for name, change in followed.changes.items():
        assert np.array_equal(change, 2 * taken[0].changes[name])
    for stranger in (scene(1), None):
        with pytest.raises(DeltaRefused, match="did not arrive"):
            intake.take(delta_for(tiny, sequence=9, parent=digest_of(follower), scene=stranger))
    with pytest.raises(DeltaRefused, match="what their scene looks like"):
        intake.take(delta_for(tiny, sequence=10, scene=scene(7)))
    assert intake.take(delta_for(tiny, sequence=0)).scene is None


def test_few_chains_are_kept_and_none_can_be_played_again(tiny: Artefact) -> None:
    intake = WeightIntake(lambda: {tiny.sha256: tiny})
    first = delta_for(tiny, sequence=5, scene=scene(0, 0))
    intake.take(first)
    for number in range(1, MAX_SCENES + 2):
        intake.take(delta_for(tiny, sequence=number, scene=scene(number, number)))
    assert len(intake._lines) == MAX_SCENES + 1
    with pytest.raises(DeltaRefused, match="did not arrive"):
        intake.take(delta_for(tiny, sequence=6, parent=digest_of(first), scene=scene(0, 0)))
    with pytest.raises(DeltaRefused, match="old"):
        intake.take(first)
    intake.take(delta_for(tiny, sequence=7, scene=scene(0, 0)))


def test_weights_that_will_never_fit_are_told_from_those_that_may_yet(
    tiny: Artefact, tmp_path: Path
) -> None:
    intake = WeightIntake(lambda: {tiny.sha256: tiny})
    other = delta_for(write_tiny_artefact(tmp_path / "other-x2", scale=4))
    with pytest.raises(NotForUs) as refusal:
        intake.take(other)
    assert refusal.value.digest == digest_of(other)
    for data in (other[:-1], b"", delta_for(tiny, sequence=4, parent="ab" * 32)):
        with pytest.raises(DeltaRefused) as other_refusal:
            intake.take(data)
        assert not isinstance(other_refusal.value, NotForUs)


def test_what_waits_for_the_restorer_is_the_latest_of_each_scene(tiny: Artefact) -> None:
    def weights(label: str, key: str | None = None, *, anew: bool = False) -> AdaptedWeights:
        shown = None if key is None else ShownScene(key=key, signatures=scene(0, 1).signatures)
        own = own_weights(tiny.sha256)
        return dataclasses.replace(own, label=label, scene=shown, starts_anew=anew)

    box = WeightMailbox()
    assert box.take() == []
    box.put(weights("a", "one"), weights("usual"), weights("b", "two"), weights("c", "one"))
    assert [each.label for each in box.take()] == ["c", "usual", "b"]
    assert box.take() == []
    box.put(weights("a", "one"), weights("own", anew=True), weights("d", "one"), weights("new"))
    taken = box.take()
    assert [(each.label, each.starts_anew) for each in taken] == [("new", True), ("d", False)]
    box.put(weights("own", anew=True))
    for number in range(2 * MAX_WAITING):
        box.put(weights(str(number), str(number)))
    taken = box.take()
    assert len(taken) == MAX_WAITING
    assert (taken[0].label, taken[-1].label) == ("own", str(2 * MAX_WAITING - 1))


def test_deltas_damaged_on_the_way_change_nothing(tiny: Artefact) -> None:
    intake = WeightIntake(lambda: {tiny.sha256: tiny})
    state = delta_for(tiny)
    intake.take(state)
    follower = delta_for(tiny, sequence=1, parent=digest_of(state))
    unsealed = [
        data
        for data in damaged(follower, count=300, seed=4)
        if hashlib.sha256(data[:-32]).digest() != data[-32:]
    ]
    assert len(unsealed) > 90
    for data in (*unsealed, state, state):
        with pytest.raises(DeltaRefused):
            intake.take(data)
    assert intake.take(follower).digest == digest_of(follower)


@dataclasses.dataclass(frozen=True)
class Publishing:
    """A publisher whose pictures and weights come from the test."""

    pictures: LatestBuffer[Frame]
    weights: SendingWeights

    def send(self, delta: bytes) -> None:
        for piece in self.weights.pieces(delta):
            self.weights.send(piece)


@asynccontextmanager
async def publishing(url: str, token: str | None = None) -> AsyncIterator[Publishing]:
    pictures: LatestBuffer[Frame] = LatestBuffer(50)
    video = SendingVideo(source=pictures, encoder=X264())
    peer = SendingPeer(video, None, NetworkScope.LOOPBACK, with_weights=True)
    weights = peer.weights
    assert weights is not None
    try:
        async with WhipClient(url, token) as client:
            await peer.set_answer(await client.publish(await peer.create_offer()))
            await peer.wait_connected()
            await until(lambda: weights.is_open or weights.is_refused)
            yield Publishing(pictures, weights)
    finally:
        await peer.close()


class Played:
    """Sends pictures, one after another, until the receiver says what is waited for."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.number = 0

    def record(self) -> dict[str, object]:
        return dict(self.receiver._reporter.records.get("live", {}))

    async def until(self, publisher: Publishing, **wanted: object) -> None:
        async with asyncio.timeout(LIMIT_S):
            while any(self.record().get(name) != value for name, value in wanted.items()):
                publisher.pictures.put(marked(self.number % 200, size=LR, pts=self.number * 3600))
                self.number += 1
                await asyncio.sleep(0.04)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_intake, "MIN_INTERVAL_S", 0.05)
    monkeypatch.setattr(weight_intake, "ASK_INTERVAL_S", 0.05)
    monkeypatch.setattr(weight_intake, "TELL_INTERVAL_S", 0.05)
    monkeypatch.setattr("decoder.receiver.REPORT_INTERVAL_S", 0.1)


@pytest.mark.usefixtures("quick")
async def test_a_live_stream_goes_over_to_its_publishers_weights_without_losing_a_frame(
    tiny: Artefact,
) -> None:
    config = receiver_config("null:", model=str(tiny.folder), backend="onnxruntime", threads=1)
    async with running(config) as receiver:
        assert receiver.url is not None
        played = Played(receiver)
        async with publishing(receiver.url) as publisher:
            await played.until(publisher, model="tiny-x2", weights=None)
            await until(lambda: publisher.weights.model == tiny.sha256)  # told which it is
            state = delta_for(tiny)
            publisher.send(state)
            await played.until(publisher, weights="the sender's weights 0")
            publisher.send(delta_for(tiny, scale=0.0078125, sequence=1, parent=digest_of(state)))
            await played.until(publisher, weights="the sender's weights 1")
            assert not publisher.weights.is_state_wanted
            publisher.send(delta_for(tiny, sequence=9, parent="ab" * 32))  # its parent was lost
            await until(lambda: publisher.weights.is_state_wanted)
            await played.until(publisher, weights="the sender's weights 1")  # whole, as before
            publisher.send(delta_for(tiny, scale=0.015625, sequence=10))
            await played.until(publisher, weights="the sender's weights 10")
        record = played.record()
        assert record["frames_dropped"] == 0
        assert record["frames_by_tier"] == {"tiny-x2": record["frames_restored"]}
        weight_bytes, wire_bytes = record["weight_bytes"], record["wire_bytes"]
        assert isinstance(weight_bytes, int)
        assert isinstance(wire_bytes, int)
        assert 400 < weight_bytes < wire_bytes
        async with publishing(receiver.url) as publisher:  # another one, whose weights are not
            await played.until(publisher, weights=None)


@pytest.mark.usefixtures("quick")
async def test_a_publisher_that_leaves_takes_its_weights_with_it_and_the_profile_is_back(
    tiny: Artefact, tmp_path: Path
) -> None:
    (tmp_path / "show.profile").write_bytes(profile_for(tiny))
    config = receiver_config(
        *("null:",),
        model=str(tiny.folder),
        backend="onnxruntime",
        threads=1,
        profiles=(str(tmp_path / "show.profile"),),
    )
    async with running(config) as receiver:
        assert receiver.url is not None
        played = Played(receiver)
        async with publishing(receiver.url) as publisher:
            await played.until(publisher, weights="profile a test")
            publisher.send(delta_for(tiny, scale=0.015625))
            await played.until(publisher, weights="the sender's weights 0")
        async with publishing(receiver.url) as publisher:
            await played.until(publisher, weights="profile a test")


@pytest.mark.usefixtures("quick")
async def test_weights_are_not_taken_where_they_are_not_wanted(tiny: Artefact) -> None:
    config = receiver_config(
        *("null:",), model=str(tiny.folder), backend="onnxruntime", threads=1, adapt=False
    )
    async with running(config) as receiver:
        assert receiver.url is not None
        played = Played(receiver)
        async with publishing(receiver.url) as publisher:
            await until(lambda: publisher.weights.is_refused)  # which saves the publisher's bits
            publisher.send(delta_for(tiny))
            await played.until(publisher, model="tiny-x2", weight_bytes=0)
            for _ in range(10):
                await played.until(publisher, weights=None)
                await asyncio.sleep(0.02)
            assert publisher.weights.model is None


@pytest.mark.usefixtures("quick")
async def test_who_may_not_publish_may_not_send_weights(tiny: Artefact) -> None:
    config = receiver_config("null:", model=str(tiny.folder), token="secret")
    async with running(config) as receiver:
        assert receiver.url is not None
        with pytest.raises(EdvrError, match="token"):
            async with publishing(receiver.url, "guess"):
                pass
        async with publishing(receiver.url, "secret"):
            pass
