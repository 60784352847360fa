"""How long the paper's network takes as its users run it: eager torch, the whole window a frame."""

from __future__ import annotations

import time

import torch

from decoder.edvr.cost import count_cost
from decoder.edvr.network import EDVR_M, Edvr, EdvrConfig
from stream.frame import Size


def time_eager(
    lr_size: Size, *, frames: int, threads: int, config: EdvrConfig = EDVR_M
) -> tuple[list[float], int]:
    """Milliseconds of each of `frames` frames after one to warm up; multiply-accumulates of one.

    Random weights and input: neither changes the time. Raises FrameError for a size that does not
    fit the network.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        network = Edvr(config).eval()
        shape = (1, config.num_frame, config.num_in_ch, lr_size.height, lr_size.width)
        window = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        took_ms = []
        with torch.inference_mode():
            for _ in range(frames + 1):
                started_s = time.perf_counter()
                network(window)
                took_ms.append(1000 * (time.perf_counter() - started_s))
    finally:
        torch.set_num_threads(before)
    cost = count_cost(config, width=lr_size.width, height=lr_size.height)
    return took_ms[1:], cost.window_macs
