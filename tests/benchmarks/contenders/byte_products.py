"""Prints this machine's limit of arithmetic: multiply-adds of bytes per second, all cores.

It is measured with oneDNN's product of two large matrices. Quantised weights are multiplied as
bytes by all fast contenders.
"""

from __future__ import annotations

import os
import time

SIZE = 2048


def measure() -> float:
    """Multiply-adds per second, of the fastest of some products."""
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    left, right = (torch.randint(-100, 100, (SIZE, SIZE), dtype=torch.int8) for _ in range(2))
    times = []
    for _ in range(10):
        began = time.perf_counter()
        torch._int_mm(left, right)
        times.append(time.perf_counter() - began)
    return SIZE**3 / min(times)


if __name__ == "__main__":
    print(measure())
