"""A profile: weights for one programme, venue or camera, and what they gain. Pure.

    magic "EDVP", version            4 + 1 bytes
    description                      u32, and so many bytes of JSON: the fields of `ProfileInfo`
    weights                          one delta, a state (`stream.weight_delta`)
    checksum                         SHA-256 of everything before

Profiles come from other people, so all of it is data from outside: see `stream.weight_delta`.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from stream.errors import DeltaRefused
from stream.weight_delta import DeltaHeader, DeltaLimits, read_header

MAGIC = b"EDVP"
VERSION = 1

MAX_TEXT = 500
MAX_GAINS = 32
MAX_DESCRIPTION_BYTES = 1 << 16
LIMITS = DeltaLimits()
MAX_PROFILE_BYTES = LIMITS.max_bytes + MAX_DESCRIPTION_BYTES + 64
_DIGEST_BYTES = 32
_HEAD = struct.Struct("<4sBI")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileInfo:
    """What a profile says of itself.

    name: of the programme, venue or camera. base_model, base_version: what it was made from.
    trained_on: the footage, in words. licence: of the weights.
    gains: measured over the base model on footage that was not trained on; the unit ends the name,
    for example {"psnr_y_db": 0.31, "vmaf_neg": 1.8}.

    Raises ValueError for what is too long or not a number.
    """

    name: str
    base_model: str
    base_version: str
    trained_on: str
    licence: str
    gains: Mapping[str, float]

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str) and len(value) > MAX_TEXT:
                raise ValueError(f"{field.name} has more than {MAX_TEXT} characters")
        if len(self.gains) > MAX_GAINS or any(len(name) > MAX_TEXT for name in self.gains):
            raise ValueError(f"more than {MAX_GAINS} gains, or too long a name of one")
        if not all(math.isfinite(gain) for gain in self.gains.values()):
            raise ValueError("a gain is not a number")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profile:
    """A profile that was found whole. delta: its container; sha256: of the whole file."""

    info: ProfileInfo
    header: DeltaHeader
    delta: bytes
    sha256: str


def encode_profile(info: ProfileInfo, delta: bytes) -> bytes:
    """The file of a profile. Raises ValueError when `delta` is not a state, or all is too large."""
    if not read_header(delta).is_state:
        raise ValueError("a profile holds a state, not a step")
    description = json.dumps(asdict(info), ensure_ascii=False).encode()
    if len(description) > MAX_DESCRIPTION_BYTES:
        raise ValueError("the description is too long")
    body = _HEAD.pack(MAGIC, VERSION, len(description)) + description + delta
    return body + hashlib.sha256(body).digest()


def decode_profile(data: bytes) -> Profile:
    """Read the file of a profile. Raises DeltaRefused for what `encode_profile` did not write."""
    if len(data) > MAX_PROFILE_BYTES:
        raise DeltaRefused(f"larger than {MAX_PROFILE_BYTES} bytes")
    if len(data) < _HEAD.size + _DIGEST_BYTES or data[:4] != MAGIC:
        raise DeltaRefused("not a profile")
    _, version, length = _HEAD.unpack_from(data)
    if version != VERSION:
        raise DeltaRefused(f"a profile of version {version}, this program reads {VERSION}")
    body = data[:-_DIGEST_BYTES]
    if hashlib.sha256(body).digest() != data[-_DIGEST_BYTES:]:
        raise DeltaRefused("damaged: its checksum is wrong")
    if length > MAX_DESCRIPTION_BYTES:
        raise DeltaRefused("its description is too long")
    info = _info_from(body[_HEAD.size : _HEAD.size + length])
    delta = body[_HEAD.size + length :]
    header = read_header(delta, limits=LIMITS)
    if not header.is_state:
        raise DeltaRefused("its weights do not stand alone")
    return Profile(info=info, header=header, delta=delta, sha256=hashlib.sha256(data).hexdigest())


def _info_from(description: bytes) -> ProfileInfo:
    try:
        values = json.loads(description)
    except (ValueError, RecursionError) as error:
        raise DeltaRefused(f"its description is not readable: {error}") from error
    wanted = {field.name for field in fields(ProfileInfo)}
    if not isinstance(values, dict) or not wanted <= values.keys():
        raise DeltaRefused("its description is incomplete")
    gains = values["gains"]
    if not all(isinstance(values[name], str) for name in wanted - {"gains"}) or not (
        isinstance(gains, dict) and all(type(gain) in (int, float) for gain in gains.values())
    ):
        raise DeltaRefused("its description has values of a wrong type")
    try:
        known = {name: values[name] for name in wanted - {"gains"}}
        return ProfileInfo(**known, gains={name: float(gain) for name, gain in gains.items()})
    except (ValueError, OverflowError) as error:
        raise DeltaRefused(f"its description cannot be used: {error}") from error
