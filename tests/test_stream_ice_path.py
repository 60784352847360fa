from __future__ import annotations

import asyncio
from unittest.mock import patch

import aioice
import pytest

from stream.errors import CodecError
from stream.ice_path import IcePath, NetworkScope, check_aioice


async def gathered(scope: NetworkScope, host_addresses: list[str]) -> list[str]:
    connection = aioice.Connection(ice_controlling=True)
    IcePath(scope, clock_ms=lambda: 0.0).adopt(connection)
    with patch("aioice.ice.get_host_addresses", return_value=host_addresses):
        await connection.gather_candidates()
    hosts = [candidate.host for candidate in connection.local_candidates]
    await connection.close()
    return hosts


@pytest.mark.parametrize(
    ("scope", "host_addresses", "expected"),
    [
        (NetworkScope.LOOPBACK, ["127.0.0.2"], ["127.0.0.1"]),
        (NetworkScope.ALL, ["127.0.0.2", "127.0.0.3"], ["127.0.0.2", "127.0.0.3"]),
        (NetworkScope.ALL, [], ["127.0.0.1"]),
    ],
)
async def test_the_scope_decides_which_addresses_are_told(
    scope: NetworkScope, host_addresses: list[str], expected: list[str]
) -> None:
    assert await gathered(scope, host_addresses) == expected


async def test_other_users_of_the_library_are_left_alone() -> None:
    connection = aioice.Connection(ice_controlling=True)
    IcePath(NetworkScope.LOOPBACK, clock_ms=lambda: 0.0).adopt(connection)
    assert "get_component_candidates" in vars(connection)
    assert "get_component_candidates" not in vars(aioice.Connection(ice_controlling=True))


async def connected_pair() -> tuple[list[aioice.Connection], list[IcePath]]:
    ends = [aioice.Connection(ice_controlling=first) for first in (True, False)]
    paths = [IcePath(NetworkScope.LOOPBACK, clock_ms=lambda: 0.0) for _ in ends]
    for end, path in zip(ends, paths, strict=True):
        path.adopt(end)
        path.adopt(end)  # again does nothing
        await end.gather_candidates()
    for end, other in zip(ends, reversed(ends), strict=True):
        end.remote_username, end.remote_password = other.local_username, other.local_password
        for candidate in other.local_candidates:
            await end.add_remote_candidate(candidate)
        await end.add_remote_candidate(None)
    await asyncio.gather(*(end.connect() for end in ends))
    return ends, paths


async def test_every_datagram_is_counted_once_at_each_end() -> None:
    (first, second), (here, there) = await connected_pair()
    stun_bytes = here.bytes_sent
    assert stun_bytes > 0
    await first.send(bytes(1000))
    assert await second.recv() == bytes(1000)
    assert here.bytes_sent == stun_bytes + 1000
    assert there.bytes_received == here.bytes_sent
    assert here.bytes_received == there.bytes_sent
    await first.close()
    await second.close()


def test_this_version_of_the_library_is_known() -> None:
    check_aioice()


def test_a_library_that_has_changed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def query_consent(self: object, interval: int) -> None:
        """A signature of the future."""

    monkeypatch.setattr(aioice.Connection, "query_consent", query_consent)
    with pytest.raises(CodecError, match=rf"aioice {aioice.__version__}.*query_consent"):
        check_aioice()
