"""Profiles: what is written comes back, and nothing else is read."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from decoder.weight_profile import describe_profile, profile_weights
from stream.errors import DeltaRefused
from stream.profile_file import MAX_PROFILE_BYTES, ProfileInfo, decode_profile, encode_profile
from tests.weight_deltas import BASE, SHAPES, quantised, sealed, state, step

INFO = ProfileInfo(
    name="Evening news",
    base_model="live-xs-x2",
    base_version="2",
    trained_on="40 min of last week's recordings",
    licence="CC-BY-4.0",
    gains={"psnr_y_db": 0.31, "vmaf_neg": 1.8},
)


def test_a_profile_comes_back_as_it_was_written() -> None:
    data = encode_profile(INFO, state(3))
    profile = decode_profile(data)
    assert profile.info == INFO
    assert profile.header.base_sha256 == BASE
    weights = profile_weights(profile, SHAPES)
    assert weights.base_sha256 == BASE
    assert weights.valid_from_pts is None
    assert weights.label == "profile Evening news"
    for name, tensor in quantised().items():
        assert np.array_equal(weights.changes[name], tensor.changes())


def test_a_profile_describes_itself_and_cannot_steer_a_terminal() -> None:
    info = dataclasses.replace(INFO, trained_on="films\n\x1b[2J and more")
    lines = describe_profile(decode_profile(encode_profile(info, state())), SHAPES)
    text = "\n".join(lines)
    assert "for model   live-xs-x2, version 2" in text
    assert "psnr_y_db +0.31, vmaf_neg +1.8" in text
    assert "335 weights in 5 of 5 tensors" in text
    assert "\x1b" not in text
    assert len(lines) == 8
    unknown = "\n".join(describe_profile(decode_profile(encode_profile(INFO, state())), None))
    assert "not installed" in unknown


def test_what_is_no_profile_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="not a step"):
        encode_profile(INFO, step(1, "ab" * 32))
    with pytest.raises(ValueError, match="not a number"):
        dataclasses.replace(INFO, gains={"psnr_y_db": float("nan")})
    with pytest.raises(ValueError, match="500 characters"):
        dataclasses.replace(INFO, trained_on="x" * 501)


def with_description(description: bytes, delta: bytes) -> bytes:
    head = b"EDVP\x01" + len(description).to_bytes(4, "little")
    return sealed(head + description + delta)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 3}, "wrong type"),
        ({"gains": [1]}, "wrong type"),
        ({"gains": {"a": "b"}}, "wrong type"),
        ({"gains": {"a": True}}, "wrong type"),
        ({"gains": {str(i): 1.0 for i in range(33)}}, "32 gains"),
        ({"gains": {"a": 10**400}}, "cannot be used"),
        ({"licence": "x" * 501}, "500 characters"),
    ],
)
def test_descriptions_with_other_values_are_refused(changes: dict[str, Any], message: str) -> None:
    description = json.dumps(dataclasses.asdict(INFO) | changes).encode()
    with pytest.raises(DeltaRefused, match=message):
        decode_profile(with_description(description, state()))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a profile"),
        (state(), "not a profile"),
        (encode_profile(INFO, state())[:-1], "checksum"),
        (b"EDVP\x02" + encode_profile(INFO, state())[5:], "version 2"),
        (sealed(b"EDVP\x01\xff\xff\xff\xff" + bytes(80)), "too long"),
        (with_description(b"{}", state()), "incomplete"),
        (with_description(b"[" * 50_000, state()), "not readable"),
        (with_description(b"\xff\xfe", state()), "not readable"),
        (with_description(json.dumps(dataclasses.asdict(INFO)).encode(), b"no"), "not a weight"),
        (
            with_description(json.dumps(dataclasses.asdict(INFO)).encode(), step(1, "ab" * 32)),
            "stand alone",
        ),
        (bytes(MAX_PROFILE_BYTES + 1), "larger than"),
    ],
    ids=range(11),
)
def test_damaged_and_foreign_files_are_refused_with_a_reason(data: bytes, message: str) -> None:
    with pytest.raises(DeltaRefused, match=message):
        decode_profile(data)


def test_every_single_bit_counts() -> None:
    data = bytearray(encode_profile(INFO, state()))
    for place in range(0, len(data), 5):
        data[place] ^= 1
        with pytest.raises(DeltaRefused):
            decode_profile(bytes(data))
        data[place] ^= 1
