"""Network namespaces and TUN devices of this process, by system calls alone (Linux, root).

A namespace without a name lives as long as a process or an open file holds it: nothing is left
behind, whatever happens to this one.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from dataclasses import dataclass

NEAR_ADDRESS, FAR_ADDRESS = "198.18.0.1", "198.18.0.2"
"""From the range for measuring networks (RFC 2544 appendix C.2.2), which nothing else uses."""

MTU_BYTES = 1500

_NETMASK = "255.255.255.252"

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C  # linux/sockios.h
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_INTERFACE = "16s"

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceEnd:
    """An open namespace and the TUN device in it, both as file descriptors."""

    namespace_fd: int
    tun_fd: int


def create_namespace(*, address: str) -> NamespaceEnd:
    """Move the calling thread into a new namespace with loopback and one TUN device, both up.

    Raises OSError when the system refuses.
    """
    if _libc.unshare(_CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    tun_fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    name = b"thin0"
    fcntl.ioctl(tun_fd, _TUNSETIFF, struct.pack(f"{_INTERFACE}H", name, _IFF_TUN | _IFF_NO_PI))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, _NETMASK)):
            packed = struct.pack(
                f"{_INTERFACE}HH4s8x", name, socket.AF_INET, 0, socket.inet_aton(value)
            )
            fcntl.ioctl(any_socket, request, packed)
        for device in (b"lo", name):
            flags = struct.pack(f"{_INTERFACE}H", device, _IFF_UP | _IFF_RUNNING)
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, flags)
    return NamespaceEnd(namespace_fd=os.open("/proc/self/ns/net", os.O_RDONLY), tun_fd=tun_fd)


def enter_namespace(path: str) -> None:
    """Move the calling thread into the namespace that this file stands for; OSError if refused."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)
