"""Profiles that a sender gives to its receivers: read once, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stream.command_line import one_line
from stream.errors import ConfigError, DeltaRefused
from stream.profile_file import MAX_PROFILE_BYTES, decode_profile
from stream.scene_signature import Scene
from stream.weight_delta_head import readdressed
from stream.weight_messages import LIVE_LIMITS


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedProfile:
    """state: its weights, a container (`stream.weight_delta`); scene: that they are for.

    label: for people.
    """

    label: str
    state: bytes
    scene: Scene | None

    def numbered(self, sequence: int) -> bytes:
        """The state as a stream's delta of this number."""
        return readdressed(
            self.state, sequence=sequence, scene=self.scene, max_bytes=LIVE_LIMITS.max_bytes
        )


def read_profiles(paths: Sequence[Path]) -> tuple[AnnouncedProfile, ...]:
    """The profiles in their order; a single one is for all scenes, and so is one of several that
    does not tell its own.

    Raises ConfigError for a file that cannot be read or sent, and when two do not tell.
    """
    found: list[AnnouncedProfile] = []
    for number, path in enumerate(paths):
        try:
            with path.open("rb") as file:
                profile = decode_profile(file.read(MAX_PROFILE_BYTES + 1))
        except OSError as error:
            raise ConfigError(f"cannot read profile {path}: {error.strerror}") from error
        except DeltaRefused as error:
            raise ConfigError(f"profile {path}: {error}") from error
        own = profile.header.scene
        scene = None
        if len(paths) > 1 and own is not None and own.signatures:
            scene = Scene(number=number, signatures=own.signatures)
        if scene is None and any(each.scene is None for each in found):
            raise ConfigError(f"profile {path} does not tell its scenes, and neither does another")
        announced = AnnouncedProfile(
            label=f"profile {one_line(profile.info.name)}", state=profile.delta, scene=scene
        )
        try:
            announced.numbered(0)
        except DeltaRefused as error:
            raise ConfigError(f"profile {path} cannot be sent: {error}") from error
        found.append(announced)
    return tuple(found)
