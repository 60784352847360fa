"""Entropy coding of quantised weight deltas: small integers, most of them zero. Pure.

An adaptive model drives interleaved range coders of the asymmetric-numeral-systems kind (Duda,
"Asymmetric numeral systems", arXiv 1311.2540; interleaving: Giesen, arXiv 1402.3392). The values
are cut into equal stretches, one a lane, and all lanes take a step at a time, so that a step is a
few array operations; 200,000 weights decode in a fraction of a second. No tables travel: both
sides count what they have coded, apart for each context, in integers alone, so that the same bytes
mean the same on every machine. A context is how large the two values before were, and how large
they have been lately: deltas come in rows that matter and rows that do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stream.errors import DeltaRefused

LARGEST_VALUE = 32767
"""Values are 16-bit integers, but for -32768."""

_Numbers = NDArray[np.int64]

_SYMBOLS = 32
"""0, -1, 1, -2, 2, … -7, 7 and one for all that is larger, which follows apart in 16 bits."""
_ESCAPE = _SYMBOLS - 1

_PRECISION = 12
_TOTAL = 1 << _PRECISION
_WORD = 16
_LOWEST = 1 << 16
"""States are in [2^16, 2^32), and give and take 16 bits at a time."""

_LANES = 32
_LANE_VALUES = 4096
"""A lane costs four bytes, so there is one for each this many values, up to `_LANES`."""

_LEVELS_BEFORE = np.array([0, 1, 2, 2, 3], np.int64)
"""Class of the sum of the two magnitudes before; 4 and more count as 4."""
_LEVELS_LATELY = np.array([6, 20, 50, 120, 300, 800], np.int64)
"""Bounds of the running mean magnitude, in 1/256."""
_CONTEXTS = 4 * (_LEVELS_LATELY.size + 1)

_STEP = 24
_LARGEST_COUNT = 1 << 14
_HEAD = 4
"""Bytes before the words: how many values are escaped."""


def encode_integers(values: NDArray[np.integer]) -> bytes:
    """Any number of integers within ±LARGEST_VALUE, in their order.

    Raises ValueError for a larger one.
    """
    flat = values.astype(np.int64).ravel()
    if flat.size and int(np.abs(flat).max()) > LARGEST_VALUE:
        raise ValueError(f"a value is beyond ±{LARGEST_VALUE}")
    lanes, steps = _layout(flat.size)
    padded = np.zeros(lanes * steps, np.int64)
    padded[: flat.size] = flat
    by_step = padded.reshape(lanes, steps).T.copy()
    symbols = np.minimum(2 * np.abs(by_step) - (by_step < 0), _ESCAPE)
    frequencies, starts = np.empty_like(symbols), np.empty_like(symbols)
    contexts, model = _Contexts(lanes), _Model()
    for first, last in _stretches(steps):
        met = np.empty((last - first, lanes), np.int64)
        for step in range(first, last):
            met[step - first] = contexts.index()
            contexts.note(np.abs(by_step[step]))
        cells = met * _SYMBOLS + symbols[first:last]
        frequencies[first:last] = model.frequencies[cells]
        starts[first:last] = model.starts[cells]
        model.learn(cells)
    states = np.full(lanes, _LOWEST, np.int64)
    words: list[NDArray[np.uint16]] = []
    for frequency, start in zip(frequencies[::-1], starts[::-1], strict=True):
        is_full = states >= frequency << (2 * _WORD - _PRECISION)
        if is_full.any():
            words.append((states[is_full] & 0xFFFF).astype("<u2"))
            states[is_full] >>= _WORD
        whole, rest = np.divmod(states, frequency)
        states = (whole << _PRECISION) + rest + start
    escaped = flat[symbols.T.ravel()[: flat.size] == _ESCAPE]
    parts = [
        escaped.size.to_bytes(_HEAD, "little"),
        states.astype("<u4").tobytes(),
        *(each.tobytes() for each in reversed(words)),
        escaped.astype("<i2").tobytes(),
    ]
    return b"".join(parts)


def decode_integers(data: bytes, count: int) -> NDArray[np.int16]:
    """The `count` integers that `encode_integers` was given.

    Memory and time depend on `count` alone, which the caller bounds. Raises DeltaRefused when the
    data was not made from exactly that many.
    """
    lanes, steps = _layout(count)
    head = _HEAD + 4 * lanes
    if len(data) < head:
        raise DeltaRefused("the coded weights are cut off")
    escapes = int.from_bytes(data[:_HEAD], "little")
    words_end = len(data) - 2 * escapes
    if escapes > count or words_end < head or (words_end - head) % 2:
        raise DeltaRefused("the coded weights are cut off")
    states = np.frombuffer(data[_HEAD:head], "<u4").astype(np.int64)
    words = np.frombuffer(data[head:words_end], "<u2").astype(np.int64)
    escaped = np.frombuffer(data[words_end:], "<i2")
    symbols = _decode_symbols(states, words, steps)
    flat = symbols.T.ravel()[:count].astype(np.int16)
    values: NDArray[np.int16] = np.where(flat & 1, -(flat + 1) // 2, flat // 2).astype(np.int16)
    is_escape = flat == _ESCAPE
    if int(is_escape.sum()) != escapes or (symbols.T.ravel()[count:] != 0).any():
        raise DeltaRefused("the coded weights do not add up")
    if (np.abs(escaped.astype(np.int64)) < (_ESCAPE + 1) // 2).any():
        raise DeltaRefused("a small weight is coded as a large one")
    values[is_escape] = escaped
    if (values == -LARGEST_VALUE - 1).any():
        raise DeltaRefused("a coded weight is out of range")
    return values


def _decode_symbols(states: _Numbers, words: _Numbers, steps: int) -> NDArray[np.uint8]:
    """Symbols (steps, lanes)."""
    lanes = states.size
    symbols = np.empty((steps, lanes), np.uint8)
    contexts, model = _Contexts(lanes), _Model()
    position = 0
    if (states < _LOWEST).any():
        raise DeltaRefused("the coded weights do not add up")
    for first, last in _stretches(steps):
        met = np.empty((last - first, lanes), np.int64)
        for step in range(first, last):
            context = contexts.index()
            slot = states & (_TOTAL - 1)
            symbol = model.symbols(context, slot)
            cell = context * _SYMBOLS + symbol
            states = model.frequencies[cell] * (states >> _PRECISION) + slot - model.starts[cell]
            is_empty = states < _LOWEST
            wanted = int(np.count_nonzero(is_empty))
            if wanted:
                taken = words[position : position + wanted]
                if taken.size < wanted:
                    raise DeltaRefused("the coded weights are cut off")
                states[is_empty] = (states[is_empty] << _WORD) + taken
                position += wanted
            symbols[step], met[step - first] = symbol, cell
            contexts.note((symbol + 1) >> 1)
        model.learn(met)
    if position != words.size or (states != _LOWEST).any():
        raise DeltaRefused("the coded weights do not add up")
    return symbols


def _layout(count: int) -> tuple[int, int]:
    """Lanes and steps for so many values."""
    lanes = min(max(count // _LANE_VALUES, 1), _LANES)
    return lanes, -(-count // lanes)


def _stretches(steps: int) -> Iterator[tuple[int, int]]:
    """Steps between two updates of the model: short ones first, while little is known."""
    bounds = [*range(min(steps, 16)), *range(16, min(steps, 128), 8), *range(128, steps, 32)]
    return pairwise([*bounds, steps])


class _Contexts:
    """What each lane has met lately."""

    def __init__(self, lanes: int) -> None:
        self._last = np.zeros(lanes, np.int64)
        self._before = np.zeros(lanes, np.int64)
        self._lately = np.zeros(lanes, np.int64)

    def index(self) -> _Numbers:
        """Context of the next value of each lane, below `_CONTEXTS`."""
        before = _LEVELS_BEFORE[np.minimum(self._last + self._before, 4)]
        context: _Numbers = 4 * _LEVELS_LATELY.searchsorted(self._lately, side="right") + before
        return context

    def note(self, magnitudes: _Numbers) -> None:
        """The magnitude of that value; all that are escaped count alike."""
        self._before, self._last = self._last, np.minimum(magnitudes, (_ESCAPE + 1) // 2)
        self._lately = self._lately + (((self._last << 8) - self._lately) >> 5)


class _Model:
    """How often each symbol came in each context; tables are flat, context by context."""

    frequencies: _Numbers
    starts: _Numbers

    def __init__(self) -> None:
        falling = np.maximum(256 >> np.arange(_SYMBOLS, dtype=np.int64), 1)
        self._counts = np.tile(falling, (_CONTEXTS, 1))
        self._update()

    def learn(self, cells: _Numbers) -> None:
        """Symbols that were coded: context * `_SYMBOLS` + symbol."""
        new = np.bincount(cells.ravel(), minlength=_CONTEXTS * _SYMBOLS)
        self._counts += _STEP * new.reshape(_CONTEXTS, _SYMBOLS)
        while (is_large := self._counts.sum(axis=1) > _LARGEST_COUNT).any():
            self._counts[is_large] = (self._counts[is_large] + 1) >> 1
        self._update()

    def symbols(self, contexts: _Numbers, slots: _Numbers) -> _Numbers:
        """The symbol whose share of `_TOTAL` a slot lies in."""
        starts = self.starts.reshape(_CONTEXTS, _SYMBOLS)[contexts]
        symbols: _Numbers = np.count_nonzero(starts <= slots[:, None], axis=1) - 1
        return symbols

    def _update(self) -> None:
        """Frequencies of at least 1 that add up to `_TOTAL` in each context."""
        totals = self._counts.sum(axis=1, keepdims=True)
        shares = 1 + self._counts * (_TOTAL - _SYMBOLS) // totals
        rows = np.arange(_CONTEXTS)
        shares[rows, shares.argmax(axis=1)] += _TOTAL - shares.sum(axis=1)
        starts = np.cumsum(shares, axis=1) - shares
        self.frequencies, self.starts = shares.ravel(), starts.ravel()
