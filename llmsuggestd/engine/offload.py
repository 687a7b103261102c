"""The number of layers to offload: all if they fit with a margin, otherwise as many as fit.

llama.cpp's own fitting (`common/fit.h`) is not part of its library, so this is ours.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

MARGIN = 2**30
"""Bytes of GPU memory left free, for the desktop and llama.cpp's compute buffers."""


class Size(NamedTuple):
    """A model's size."""

    weights: int
    layers: int
    """Number of layers, including the output layer, as llama.cpp counts them for offloading."""
    cache_per_layer: int
    """Keys and values of one layer, for all of the context."""


def layers_to_offload(setting: Literal["auto", "off"] | int, free: list[int], size: Size) -> int:
    """The number of layers to put on GPUs; `free` has their free bytes.

    A number as setting is kept. Without a GPU the result is 0.
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
    """The number of layers to try after `layers` did not fit: two thirds, finally none."""
    return layers * 2 // 3 if layers > 3 else 0
