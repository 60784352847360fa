"""The link between real namespaces; where the system allows it (root and a TUN device)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path as FilePath

import pytest

import benchmarks.link.emulated_link as emulated_link
from benchmarks.link import EmulatedLink, LinkConfig, PathConfig, constant_rate, why_no_link
from stream.errors import ConfigError
from tests.live_processes import PATIENCE_S, wait_until

needs_link = pytest.mark.skipif(why_no_link() is not None, reason=str(why_no_link()))

RECEIVE = """
import socket, sys, time
receiving = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiving.bind(("{address}", 5000))
receiving.settimeout({patience_s})
print("ready", flush=True)
while True:
    packet = receiving.recv(2000)
    if packet == b"end":
        break
    print(packet[:4].decode(), time.monotonic() * 1000, flush=True)
"""
SEND = """
import socket
sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range({count}):
    sending.sendto(b"%04d" % number + bytes({size} - 4), ("{address}", 5000))
"""
END = 'import socket; socket.socket(2, 2).sendto(b"end", ("{address}", 5000))'


def received(link: EmulatedLink, *, count: int, size: int) -> list[tuple[int, float]]:
    """(number, arrival in ms) of those of `count` datagrams that came through."""
    address = link.far.address
    program = [sys.executable, "-c", RECEIVE.format(address=address, patience_s=PATIENCE_S)]
    with subprocess.Popen(link.far.command(program), stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        assert receiver.stdout.readline() == "ready\n"
        send = SEND.format(count=count, size=size, address=address)
        subprocess.run(link.near.command([sys.executable, "-c", send]), check=True)
        link.configure(LinkConfig())  # those under way keep their loss and time
        end = END.format(address=address)
        subprocess.run(link.near.command([sys.executable, "-c", end]), check=True)
        lines = receiver.stdout.read().splitlines()
    return [(int(line.split()[0]), float(line.split()[1])) for line in lines]


@needs_link
def test_datagrams_pass_between_the_ends_at_the_rate_of_the_link() -> None:
    path = PathConfig(rate=constant_rate(1_000_000), queue_ms=2000)
    with EmulatedLink(LinkConfig(forward=path)) as link:
        arrived = received(link, count=50, size=1222)  # 1250 with IP and UDP headers: 10 ms each
        record = link.record()
    assert [number for number, _ in arrived] == list(range(50))
    assert arrived[-1][1] - arrived[0][1] >= 400  # 490, but the first may be noticed late
    assert sum(interval.sent_bytes for interval in record.forward) == 50 * 1250 + 31
    assert record.backward == ()
    assert record.streams == ()  # what they carried was no RTP


@needs_link
def test_losses_of_a_link_repeat_with_their_seed() -> None:
    lossy = LinkConfig(forward=PathConfig(loss_ratio=0.3, seed=5))
    with EmulatedLink(lossy) as link:
        first = [number for number, _ in received(link, count=60, size=100)]
        link.configure(lossy)
        again = [number for number, _ in received(link, count=60, size=100)]
    assert first == again
    assert 25 <= len(first) <= 55


@needs_link
def test_nothing_of_a_link_is_left_and_nothing_else_is_reached_from_it() -> None:
    before = os.readlink("/proc/self/ns/net")
    with EmulatedLink() as link:
        namespaces = [FilePath(end.namespace) for end in (link.near, link.far)]
        seen = [
            subprocess.run(
                end.command(["readlink", "/proc/self/ns/net"]),
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            for end in (link.near, link.far)
        ]
        entered = subprocess.run(
            ["readlink", "/proc/self/ns/net"],
            preexec_fn=link.near.enter,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        routes = subprocess.run(
            link.near.command(["cat", "/proc/net/route"]),
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
    assert entered == seen[0]
    assert len({before, *seen}) == 3
    assert len(routes) == 2  # a header and the link itself
    wait_until(lambda: not any(path.exists() for path in namespaces), "the namespaces are gone")
    assert os.readlink("/proc/self/ns/net") == before


@needs_link
def test_a_link_ends_with_the_program_that_made_it() -> None:
    program = (
        "from benchmarks.link import EmulatedLink\n"
        "import os, signal\n"
        "link = EmulatedLink().__enter__()\n"
        "print(link.near.namespace, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S
    )
    namespace = FilePath(finished.stdout.strip())
    assert namespace.name.isdigit(), finished.stderr
    wait_until(lambda: not namespace.exists(), "the forwarder is gone")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("os.geteuid", lambda: 1000, "needs root"),
        ("os.access", lambda *_: False, "/dev/net/tun"),
        ("shutil.which", lambda _: None, "util-linux"),
    ],
)
def test_what_a_link_lacks_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, words: str
) -> None:
    for allowed, as_if in (
        ("os.geteuid", lambda: 0),
        ("os.access", lambda *_: True),
        ("shutil.which", lambda _: "/usr/bin/nsenter"),
    ):
        monkeypatch.setattr(f"{emulated_link.__name__}.{allowed}", as_if)
    monkeypatch.setattr(f"{emulated_link.__name__}.{name}", value)
    with pytest.raises(ConfigError) as raised, EmulatedLink():
        pass
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
