"""The number of layers that go to the GPU."""

from __future__ import annotations

from llmsuggestd.engine.offload import MARGIN, Size, fewer, layers_to_offload

GIB = 2**30
MODEL = Size(weights=2 * GIB, layers=33, cache_per_layer=20 * 2**20)


def test_the_setting_limits_the_layers_on_the_gpu() -> None:
    plenty = [80 * GIB]
    assert layers_to_offload("off", plenty, MODEL) == 0
    assert layers_to_offload("auto", plenty, MODEL) == 33
    assert layers_to_offload(7, plenty, MODEL) == 7
    assert layers_to_offload(99, plenty, MODEL) == 33
    assert layers_to_offload("auto", [], MODEL) == 0
    assert layers_to_offload(7, [], MODEL) == 0


def test_layers_that_do_not_fit_stay_on_the_cpu() -> None:
    for gigabytes in range(6):
        layers = layers_to_offload("auto", [gigabytes * GIB], MODEL)
        needed = layers * (MODEL.weights / MODEL.layers + MODEL.cache_per_layer)
        assert 0 <= layers <= 33
        assert layers == 0 or needed + MARGIN <= gigabytes * GIB
    one = layers_to_offload("auto", [2 * GIB], MODEL)
    assert 0 < one < 33
    assert layers_to_offload("auto", [2 * GIB, 2 * GIB], MODEL) == min(33, 2 * one)


def test_retries_with_fewer_layers_end_on_the_cpu() -> None:
    layers, tries = 33, 0
    while layers:
        assert fewer(layers) < layers
        layers, tries = fewer(layers), tries + 1
    assert tries < 10
