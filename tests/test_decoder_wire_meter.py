from decoder.wire_meter import WireMeter
from stream.peer import PeerStats


def _peer(
    wire_bytes: int, *, packets_lost: int = 0, frames_lost: int = 0, peer_errors: int = 0
) -> PeerStats:
    return PeerStats(
        wire_bytes_received=wire_bytes,
        packets_lost=packets_lost,
        frames_lost=frames_lost,
        peer_errors=peer_errors,
    )


def test_the_rate_is_of_the_time_since_the_last_update() -> None:
    meter = WireMeter(now_ms=0)
    assert meter.update(_peer(20_000), now_ms=1000).rate_bps == 160_000
    assert meter.update(_peer(30_000), now_ms=2000).rate_bps == 80_000
    assert meter.update(_peer(30_000), now_ms=3000).rate_bps == 0


def test_an_update_soon_after_the_last_keeps_its_rate_and_loses_no_bytes() -> None:
    meter = WireMeter(now_ms=0)
    meter.update(_peer(20_000), now_ms=1000)
    soon = meter.update(_peer(20_100), now_ms=1010)
    assert (soon.rate_bps, soon.wire_bytes) == (160_000, 20_100)
    assert meter.update(_peer(40_000), now_ms=2000).rate_bps == 160_000


def test_counts_add_up_over_publishers() -> None:
    meter = WireMeter(now_ms=0)
    meter.update(_peer(1000, packets_lost=1, frames_lost=2, peer_errors=3), now_ms=1000)
    meter.end_session(_peer(1500, packets_lost=2, frames_lost=2, peer_errors=3))
    totals = meter.update(_peer(200, packets_lost=1, frames_lost=1), now_ms=2000)
    assert (totals.wire_bytes, totals.packets_lost) == (1700, 3)
    assert (totals.frames_lost, totals.peer_errors) == (3, 3)


def test_the_mean_is_over_the_time_in_which_something_came() -> None:
    meter = WireMeter(now_ms=0)
    for second in range(1, 11):
        meter.update(_peer(10_000 * min(second, 4)), now_ms=1000 * second)
    assert meter.totals.mean_bps == 80_000
    assert meter.totals.active_ms == 4000


def test_there_is_no_mean_of_less_than_a_second() -> None:
    meter = WireMeter(now_ms=0)
    assert meter.update(_peer(10_000), now_ms=900).mean_bps is None
