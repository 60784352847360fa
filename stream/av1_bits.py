"""Bits of AV1 headers (section 4.10)."""

from __future__ import annotations

_HEADER_BYTES = 512  # longest prefix of a header that is ever looked at


class Malformed(Exception):
    """A header that does not parse, or refers to what is not known."""


class Bits:
    """Big-endian bit reader (section 4.10)."""

    def __init__(self, payload: bytes) -> None:
        clipped = payload[:_HEADER_BYTES]
        self._value = int.from_bytes(clipped, "big")
        self._left = 8 * len(clipped)

    def take(self, count: int) -> int:
        """f(count)."""
        if count > self._left:
            raise Malformed
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def flag(self) -> bool:
        """f(1)."""
        return bool(self.take(1))

    def uvlc(self) -> int:
        """uvlc(): a number after as many zeros as it has digits."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise Malformed
        return (1 << zeros) - 1 + self.take(zeros)

    def ns(self, count: int) -> int:
        """ns(count): a number below `count`."""
        width = count.bit_length()
        short = (1 << width) - count
        value = self.take(width - 1)
        return value if value < short else (value << 1) - short + self.take(1)
