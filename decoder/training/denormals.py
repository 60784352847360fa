"""Vanishing numbers, of gradients say, become denormal, which slows a CPU down several times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """While active, this thread takes denormal numbers for zero; others rely on them."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
