"""What a sender and its trainer say to each other."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import EdvrError
from stream.frame import Size
from stream.trainer_messages import (
    MAX_MESSAGE_BYTES,
    DeltaReport,
    MessageKind,
    ModelNeeds,
    TrainerReport,
    TrainingWindow,
    decode_epoch,
    decode_needs,
    decode_proposal,
    decode_report,
    decode_window,
    encode_epoch,
    encode_fields,
    encode_proposal,
    encode_window,
    read_message,
    write_message,
)
from tests.live_media import picture


def window() -> TrainingWindow:
    lr = [picture(index, size=Size(width=48, height=32)) for index in range(3)]
    lr[0] = replace(lr[0], quantiser=31.5)
    original = picture(1, size=Size(width=96, height=64))
    return TrainingWindow(lr=tuple(lr), index=1, original=original)


def test_windows_come_out_as_they_went_in() -> None:
    given_window = window()
    found = decode_window(encode_window(given_window))
    assert found.index == 1
    assert [each.quantiser for each in found.lr] == [31.5, None, None]
    pairs = zip((*found.lr, found.original), (*given_window.lr, given_window.original), strict=True)
    for a, b in pairs:
        for plane in ("y", "u", "v"):
            assert np.array_equal(getattr(a, plane), getattr(b, plane))


@given(st.binary(max_size=200), st.integers(0, 20_000))
def test_what_is_no_window_is_refused(junk: bytes, length: int) -> None:
    whole = encode_window(window())
    for content in (junk, whole[:length], whole + b"x"):
        if content != whole:
            with pytest.raises(EdvrError, match="not a window"):
                decode_window(content)


def test_messages_are_told_apart_and_an_end_is_an_end() -> None:
    file = io.BytesIO()
    report = TrainerReport(windows=3, steps=40, cpu_s=1.5, psnr_y_db=30.1)
    delta = DeltaReport(gain_db=0.3, over_model_db=0.5, price_db=0.1, is_state=True, epoch=2)
    needs = ModelNeeds(scale=4, window=3, lookahead=1)
    write_message(file, MessageKind.READY, encode_fields(needs))
    write_message(file, MessageKind.REPORT, encode_fields(report))
    write_message(file, MessageKind.DELTA, encode_proposal(delta, b"coded"))
    write_message(file, MessageKind.RESTART, encode_epoch(7))
    file.seek(0)
    found = dict(message for _ in range(4) if (message := read_message(file)) is not None)
    assert decode_needs(found[MessageKind.READY]) == needs
    assert decode_report(found[MessageKind.REPORT]) == report
    assert decode_proposal(found[MessageKind.DELTA]) == (delta, b"coded")
    assert decode_epoch(found[MessageKind.RESTART]) == 7
    assert read_message(file) is None
    assert read_message(io.BytesIO(file.getvalue()[:9])) is None


@pytest.mark.parametrize(
    "head", [b"\x00\x00\x00\x00\x63", (MAX_MESSAGE_BYTES + 1).to_bytes(4, "little") + b"\x01"]
)
def test_what_is_no_message_is_refused(head: bytes) -> None:
    with pytest.raises(EdvrError, match="not a message"):
        read_message(io.BytesIO(head + b"x"))
