from __future__ import annotations

from types import SimpleNamespace

from aiortc.rtp import RtcpSrPacket

from stream.sender_reports import ReportClock, report_media_time


def milliseconds(ntp: int) -> int:
    return round(ntp / 2**32 * 1000)


def test_all_tracks_of_a_peer_report_the_same_ntp_time_for_the_same_moment() -> None:
    clock = ReportClock(lambda: 1000 << 32)
    assert clock.ntp(90_000, clock_hz=90_000) == 1000 << 32
    assert clock.ntp(96_000, clock_hz=48_000) == 1001 << 32
    assert clock.ntp(0, clock_hz=48_000) == 999 << 32


async def test_a_report_holds_the_time_of_the_last_frame_and_one_goes_out_with_the_first() -> None:
    class Sender:
        """As much of RTCRtpSender as sends frames of 40 ms."""

        def __init__(self) -> None:
            self.pts = 0
            self._ssrc = 7
            self.reports: list[int] = []
            vars(self).update(
                _RTCRtpSender__ntp_timestamp=0,
                _RTCRtpSender__rtp_timestamp=0,
                _RTCRtpSender__packet_count=0,
                _RTCRtpSender__octet_count=0,
            )

        async def _send_rtcp(self, packets: list[RtcpSrPacket]) -> None:
            self.reports += [milliseconds(packet.sender_info.ntp_timestamp) for packet in packets]

        async def _next_encoded_frame(self, codec: object) -> SimpleNamespace | None:
            self.pts += 3600
            return None if self.pts == 7200 else SimpleNamespace(timestamp=self.pts)

    sender = Sender()
    clock = ReportClock(lambda: 5 << 32)
    report_media_time(sender, clock_hz=90_000, clock=clock)  # type: ignore[arg-type] # a stand-in
    told = []
    for _ in range(4):
        await sender._next_encoded_frame(None)
        told.append((milliseconds(vars(sender)["_RTCRtpSender__ntp_timestamp"]), sender.reports[:]))
    # The second frame was not sent, so the third call still tells of the first one.
    assert told == [(0, []), (5000, [5000]), (5000, [5000]), (5080, [5000])]
