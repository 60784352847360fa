import pytest

from benchmarks.live.wire_record import Kind, PayloadTypes, WireRecord, kind_of, number_pictures

TYPES = PayloadTypes(audio=frozenset({96}), retransmission=frozenset({98}))


def _rtp(payload_type: int, timestamp: int, *, size: int = 100, marker: bool = False) -> bytes:
    head = bytes([0x80, payload_type | marker << 7, 0, 1]) + timestamp.to_bytes(4, "big")
    return head.ljust(size, b"\1")


@pytest.mark.parametrize(
    ("datagram", "kind"),
    [
        (_rtp(97, 5), Kind.VIDEO),
        (_rtp(97, 5, marker=True), Kind.VIDEO),
        (_rtp(98, 5), Kind.RETRANSMISSION),
        (_rtp(96, 5), Kind.AUDIO),
        (bytes([0x80, 200, 0, 6]) + bytes(24), Kind.RTCP),
        (bytes([0x81, 206, 0, 6]) + bytes(24), Kind.RTCP),
        (b"\x00\x01" + bytes(18), Kind.STUN),
        (b"\x16\xfe\xfd" + bytes(40), Kind.DTLS),
        (b"\x7f" * 30, Kind.OTHER),
        (b"\x80", Kind.OTHER),
        (b"", Kind.OTHER),
    ],
)
def test_what_shares_the_port_is_told_apart(datagram: bytes, kind: Kind) -> None:
    assert kind_of(datagram, TYPES) is kind


def test_payload_types_are_read_from_an_answer() -> None:
    answer = (
        "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 opus/48000/2\r\n"
        "m=video 9 UDP/TLS/RTP/SAVPF 97 98\r\na=rtpmap:97 H264/90000\r\na=rtpmap:98 rtx/90000\r\n"
    )
    assert PayloadTypes.of(answer) == TYPES


def test_rates_are_by_kind_and_headers_count_only_in_the_sum() -> None:
    record = WireRecord(types=TYPES)
    for index in range(10):
        record.sent(_rtp(97, index), direction="forward", now_ms=100.0 * index)
    record.sent(bytes([0x81, 201, 0, 7]) + bytes(46), direction="backward", now_ms=500)
    record.sent(_rtp(97, 99), direction="forward", now_ms=1000)  # outside
    rates = record.rates_bps(0, 1000)
    assert rates["video"] == 8 * 10 * 100
    assert rates["rtcp"] == 8 * 50
    assert rates["all_with_ip"] == 8 * 10 * 128


def test_the_peak_is_that_of_the_fullest_second() -> None:
    record = WireRecord(types=TYPES)
    for at_ms in (0, 900, 1100, 1200, 1300, 5000):
        record.sent(_rtp(97, at_ms), direction="forward", now_ms=at_ms)
    assert record.peak_bps(0, 6000) == 8 * 100 * 4


@pytest.mark.parametrize("start", [0, 123_456, 2**32 - 5 * 3600])
def test_pictures_are_numbered_whatever_the_timestamps_start_at(start: int) -> None:
    fed_ms = {number: 40.0 * number for number in range(60)}
    record = WireRecord(types=TYPES)
    sent = [number for number in range(17, 60) if number % 9]  # from 17 on, with gaps
    for number in sent:
        timestamp = (start + 3600 * (number - 17)) % 2**32
        delay_ms = 15 + number * 7 % 50
        record.sent(_rtp(97, timestamp), direction="forward", now_ms=fed_ms[number] + delay_ms)
    numbered = number_pictures(record, fed_ms, frame_rate=25)
    assert sorted(numbered) == sent
    assert all(numbered[number].first_ms - fed_ms[number] >= 15 for number in sent)


def test_a_run_without_pictures_has_no_numbers() -> None:
    assert number_pictures(WireRecord(), {0: 1.0}, frame_rate=25) == {}
