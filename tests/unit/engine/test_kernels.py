"""The kernels' arithmetic, held to that of the gguf package and numpy."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

from llmsuggestd.engine import kernels
from tests.support import programs

BLOCK = 256
BLOCK_BYTES = {"Q4_K": 144, "Q5_K": 176, "Q6_K": 210}
HALVES = {"Q4_K": slice(0, 4), "Q5_K": slice(0, 4), "Q6_K": slice(208, 210)}
"""Where a block has float16 numbers, for which not all bytes will do."""

needs_kernels = pytest.mark.skipif(bool(kernels.why_not()), reason=kernels.why_not())


def test_they_are_there_where_the_processor_can_run_them() -> None:
    """Or all the tests below would be skipped, and nobody would know why it is slow."""
    cpu = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not cpu.exists() or "avx512_vnni" not in cpu.read_text():
        pytest.skip("this processor has no AVX-512 VNNI")
    programs.need("g++")
    assert kernels.why_not() == ""


@pytest.mark.parametrize(
    ("patch", "value", "reason"),
    [
        ("platform.machine", lambda: "aarch64", "need x86-64"),
        ("importlib.util.find_spec", lambda _: None, "were not compiled"),
        ("ctypes.CDLL", lambda _: object(), "install it again"),
        ("ctypes.CDLL", lambda _: Mock(ggml_backend_score=lambda: 0), "has no AVX-512"),
    ],
)
def test_why_they_are_not_used(
    patch: str, value: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: Mock(origin="there"))
    monkeypatch.setattr(patch, value)
    with pytest.raises(kernels.KernelsUnavailable, match=reason):
        kernels.library.__wrapped__()


def random_weights(rows: int, blocks: int, name: str) -> np.ndarray[Any, Any]:
    """Bytes of any kind, shape (rows, blocks * bytes of a block)."""
    random = np.random.default_rng(rows)
    weights = random.integers(0, 256, (rows, blocks, BLOCK_BYTES[name]), np.uint8)
    half = HALVES[name]
    numbers = random.uniform(-0.01, 0.01, (rows, blocks, (half.stop - half.start) // 2))
    weights[:, :, half] = numbers.astype(np.float16).view(np.uint8)
    return weights.reshape(rows, -1)


def multiply(name: str, weights: Any, x: Any, threads: int) -> np.ndarray[Any, Any]:
    tokens, row = x.shape
    out = np.full((tokens, len(weights)), np.nan, np.float32)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (weights, x, out)]
    type_ = int(GGMLQuantizationType[name])
    failed = kernels.library().llmsuggest_multiply(
        type_, pointers[0], len(weights), row, pointers[1], tokens, pointers[2], threads
    )
    assert not failed
    return out


@needs_kernels
@pytest.mark.parametrize("name", sorted(BLOCK_BYTES))
@pytest.mark.parametrize(
    ("rows", "blocks", "tokens", "threads"),
    [(7, 1, 1, 1), (16, 2, 3, 1), (33, 10, 8, 2), (50, 40, 9, 3), (48, 7, 55, 2), (1, 97, 1, 4)],
)
def test_products_are_those_of_the_dequantised_weights(
    name: str, rows: int, blocks: int, tokens: int, threads: int
) -> None:
    weights = random_weights(rows, blocks, name)
    random = np.random.default_rng(tokens)
    x = random.standard_normal((tokens, blocks * BLOCK)).astype(np.float32)
    x *= random.choice([0.01, 1, 30], (tokens, 1)).astype(np.float32)
    # activations are rounded to 8 bits in blocks, as ggml does
    in_blocks = x.reshape(tokens, blocks, BLOCK)
    scale = np.abs(in_blocks).max(axis=-1, keepdims=True) / np.float32(127)
    rounded = (np.rint(in_blocks / scale) * scale).reshape(x.shape).astype(np.float64)

    dequantised = quants.dequantize(weights, GGMLQuantizationType[name]).astype(np.float64)
    out = multiply(name, weights, x, threads)
    expected = rounded @ dequantised.T
    # one weight in millions is rounded the other way, where it lies in the middle
    assert np.abs(out - expected).max() < 1e-4 * np.abs(expected).max()
    assert np.median(np.abs(out - expected)) < 1e-6 * np.abs(expected).max()


@needs_kernels
@pytest.mark.parametrize("name", sorted(BLOCK_BYTES))
def test_activations_of_nothing_give_nothing(name: str) -> None:
    weights = random_weights(20, 3, name)
    x = np.zeros((2, 3 * BLOCK), np.float32)
    x[1] = 1e-42  # too small for its inverse to be a number
    out = multiply(name, weights, x, 2)
    np.testing.assert_allclose(out, 0, atol=1e-30)


@needs_kernels
@pytest.mark.parametrize("dimensions", [32, 64, 80, 96, 128])
@pytest.mark.parametrize("cells", [1, 16, 23, 256])
@pytest.mark.parametrize("size", [0.3, 8], ids=["all cells count", "one cell counts"])
def test_attention_is_the_softmax_of_the_scores_times_the_values(
    dimensions: int, cells: int, size: float
) -> None:
    random = np.random.default_rng(cells)
    query = (random.standard_normal(dimensions) * size).astype(np.float32)
    keys, values = random.standard_normal((2, cells, dimensions)).astype(np.float16)
    # a bias, and cells of other candidates: some here and there, and sixteen in a row
    mask = random.choice([0, -0.5, -np.inf], cells).astype(np.float16)
    mask[32:48] = -np.inf
    mask[-1] = 0
    scale = dimensions**-0.5
    scores = keys.astype(np.float64) @ query * scale + mask
    weights = np.exp(scores - scores.max())
    expected = weights / weights.sum() @ values.astype(np.float64)

    out = np.full(dimensions, np.nan, np.float32)
    arrays = [a.ctypes.data_as(ctypes.c_void_p) for a in (query, keys, values, mask, out)]
    failed = kernels.library().llmsuggest_attend(
        dimensions, *arrays[:3], cells, arrays[3], ctypes.c_float(scale), arrays[4]
    )
    assert not failed
    np.testing.assert_allclose(out, expected, atol=1e-5)


@needs_kernels
def test_what_they_do_not_know_is_refused() -> None:
    x = np.zeros((1, BLOCK), np.float32).ctypes.data_as(ctypes.c_void_p)
    assert kernels.library().llmsuggest_multiply(2, x, 1, BLOCK, x, 1, x, 1) == -1
    assert kernels.library().llmsuggest_attend(72, x, x, x, 1, x, ctypes.c_float(1), x) == -1
