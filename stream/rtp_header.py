"""Header extensions of serialised RTP packets (RFC 8285): found and overwritten in place. Pure.

A packet is numbered and stamped when it leaves, long after its bytes were made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_ONE_BYTE, _TWO_BYTE = 0xBEDE, 0x1000
_PADDING, _STOP = 0, 15


def ssrc_of(packet: bytes) -> int:
    """Synchronisation source of an RTP packet; 0 when it is too short."""
    return int.from_bytes(packet[8:12], "big")


def sequence_number_of(packet: bytes) -> int:
    """16-bit sequence number; 0 when it is too short."""
    return int.from_bytes(packet[2:4], "big")


def timestamp_of(packet: bytes) -> int:
    """32-bit RTP timestamp; 0 when it is too short."""
    return int.from_bytes(packet[4:8], "big")


def extension_of(packet: bytes, extension_id: int) -> bytes | None:
    """The data of the first extension element with this id; None without one."""
    for found_id, start, end in _elements(packet):
        if found_id == extension_id:
            return packet[start:end]
    return None


def with_extensions(packet: bytes, data: Mapping[int, bytes]) -> bytes:
    """The packet with the data of these elements (by id) overwritten, where it has them.

    Elements of another length than their new data are left alone.
    """
    changed: bytearray | None = None
    for extension_id, start, end in _elements(packet):
        new = data.get(extension_id)
        if new is not None and len(new) == end - start:
            changed = bytearray(packet) if changed is None else changed
            changed[start:end] = new
    return packet if changed is None else bytes(changed)


def _elements(packet: bytes) -> Iterator[tuple[int, int, int]]:
    """(id, start, end) of each element's data; ends where the packet is broken."""
    if len(packet) < 12 or packet[0] & 0x10 == 0:
        return
    position = 12 + 4 * (packet[0] & 0x0F)
    profile = int.from_bytes(packet[position : position + 2], "big")
    length = 4 * int.from_bytes(packet[position + 2 : position + 4], "big")
    position += 4
    end = position + length
    if end > len(packet) or (profile != _ONE_BYTE and profile & 0xFFF0 != _TWO_BYTE):
        return
    head = 1 if profile == _ONE_BYTE else 2
    while position + head <= end:
        first = packet[position]
        if first == _PADDING:
            position += 1
            continue
        if head == 1:
            extension_id, size = first >> 4, (first & 0x0F) + 1
            if extension_id == _STOP:
                return
        else:
            extension_id, size = first, packet[position + 1]
        start = position + head
        position = start + size
        if position > end:
            return
        yield extension_id, start, position
