"""How much of a model goes to the GPU: all of it if it fits with a margin, else what does.

llama.cpp's own fitting (`common/fit.h`) is not part of its library, so this is ours.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

MARGIN = 2**30
"""Bytes of GPU memory left free for the desktop and for what llama.cpp computes in."""


class Size(NamedTuple):
    """What a model needs, in bytes."""

    weights: int
    layers: int
    """Layers with the output layer counted, as llama.cpp counts what it offloads."""
    cache_per_layer: int
    """Keys and values of one layer, for all of the context."""


def layers_to_offload(setting: Literal["auto", "off"] | int, free: list[int], size: Size) -> int:
    """The number of layers to put on GPUs with so many bytes free.

    A number as setting is taken as it is; where there is no GPU the answer is 0.
    """
    if setting == "off" or not free:
        return 0
    if setting != "auto":
        return min(setting, size.layers)
    # llama.cpp splits a model over several GPUs by layers, so each needs its own margin
    per_layer = size.weights / size.layers + size.cache_per_layer
    fitting = sum(int(max(0, memory - MARGIN) / per_layer) for memory in free)
    return min(fitting, size.layers)


def fewer(layers: int) -> int:
    """What to try when so many layers turn out not to fit: two thirds, and at last none."""
    return layers * 2 // 3 if layers > 3 else 0
