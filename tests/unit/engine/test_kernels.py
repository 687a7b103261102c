"""The kernels' arithmetic for each instruction set, compared with the gguf package and numpy."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
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
"""The bytes of a block that are float16 numbers. Random bytes there may be NaN or infinite."""

OLD_PROCESSOR = Mock(
    llmsuggest_version=lambda: kernels.VERSION, llmsuggest_instructions=Mock(return_value=b"")
)

needs_kernels = pytest.mark.skipif(bool(kernels.why_not()), reason=kernels.why_not())


def choose(instructions: str) -> str:
    """Choose the best instruction set up to a limit. Returns its name."""
    kernels.library().llmsuggest_choose(instructions.encode())
    return kernels.instructions()


@pytest.fixture(params=kernels.INSTRUCTION_SETS)
def instructions(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once with each instruction set."""
    before = kernels.instructions()
    if choose(request.param) != request.param:
        choose(before)
        pytest.skip(f"this processor has no {request.param}")
    yield request.param
    choose(before)


def processor() -> dict[str, str]:
    """What /proc/cpuinfo says of the first processor. Skips the test where there is none."""
    cpu = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not cpu.exists():
        pytest.skip("Linux on x86-64 has it")
    lines = cpu.read_text().split("\n\n")[0].splitlines()
    return {
        name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }


def test_the_kernels_are_available_on_processors_with_avx2() -> None:
    """Without this test, kernels that are missing by mistake would only skip the tests below."""
    if not {"avx2", "fma", "f16c"} <= set(processor()["flags"].split()):
        pytest.skip("this processor has no AVX2")
    programs.need("g++")
    assert kernels.why_not() == ""


@needs_kernels
def test_the_best_instruction_set_up_to_the_limit_is_chosen() -> None:
    cpu = processor()
    flags = cpu["flags"].split()
    before = kernels.instructions()
    best = "avx2"
    for name in kernels.INSTRUCTION_SETS:
        # processors with AVX-512 VNNI run a second encoding of AVX-VNNI's instruction
        if name.replace("-", "_") in flags or (name == "avx-vnni" and "avx512_vnni" in flags):
            best = name
        assert choose(name) == best
    # AMD's Zen 4 is faster with registers of 256 bits
    zen_4 = (cpu["vendor_id"], cpu["cpu family"]) == ("AuthenticAMD", "25")
    assert choose("") == ("avx-vnni" if zen_4 and best == "avx512-vnni" else best)
    choose(before)


def test_the_limit_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = Mock(llmsuggest_version=lambda: kernels.VERSION)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: Mock(origin="there"))
    monkeypatch.setattr("ctypes.CDLL", lambda _: loaded)
    for limit in ("", *kernels.INSTRUCTION_SETS):
        monkeypatch.setenv(kernels.LIMIT, limit)
        kernels.library.__wrapped__()
        loaded.llmsuggest_choose.assert_called_with(limit.encode())
    monkeypatch.setenv(kernels.LIMIT, "avx512")
    with pytest.raises(
        kernels.KernelsUnavailable, match=r"INSTRUCTIONS is 'avx512'; it can be one"
    ):
        kernels.library.__wrapped__()


@pytest.mark.parametrize(
    ("patch", "value", "reason"),
    [
        ("platform.machine", lambda: "aarch64", "need x86-64"),
        ("importlib.util.find_spec", lambda _: None, "were not compiled"),
        ("ctypes.CDLL", lambda _: object(), "install it again"),
        ("ctypes.CDLL", lambda _: Mock(llmsuggest_version=lambda: 1), "install it again"),
        ("ctypes.CDLL", lambda _: OLD_PROCESSOR, "has no AVX2"),
    ],
)
def test_the_reason_why_the_kernels_are_not_used(
    patch: str, value: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: Mock(origin="there"))
    monkeypatch.setattr(patch, value)
    with pytest.raises(kernels.KernelsUnavailable, match=reason):
        kernels.library.__wrapped__()


def random_weights(rows: int, blocks: int, name: str) -> np.ndarray[Any, Any]:
    """Quantised weights made of random bytes, shape (rows, blocks * bytes per block)."""
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
@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("name", sorted(BLOCK_BYTES))
@pytest.mark.parametrize(
    ("rows", "blocks", "tokens", "threads"),
    [
        (7, 1, 1, 1),
        (16, 2, 3, 1),
        (33, 10, 8, 2),
        (50, 40, 9, 3),
        (48, 7, 55, 2),
        (1, 97, 1, 4),
        (1, 1, 33, 1),
        (17, 2, 64, 2),
        (15, 3, 65, 1),
        (18, 2, 130, 2),
    ],
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
    # one activation in millions is half way between two integers, and is rounded the other way
    assert np.abs(out - expected).max() < 1e-4 * np.abs(expected).max()
    assert np.median(np.abs(out - expected)) < 1e-6 * np.abs(expected).max()


@needs_kernels
@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("name", sorted(BLOCK_BYTES))
def test_products_with_zero_activations_are_zero(name: str) -> None:
    weights = random_weights(20, 3, name)
    x = np.zeros((2, 3 * BLOCK), np.float32)
    x[1] = 1e-42  # so small that its inverse is infinite
    out = multiply(name, weights, x, 2)
    np.testing.assert_allclose(out, 0, atol=1e-30)


DIMENSIONS = [32, 48, 64, 80, 96, 112, 128, 160, 192, 256]


def attend(query: Any, keys: Any, values: Any, mask: Any) -> np.ndarray[Any, Any]:
    """The attention of one token. `keys` and `values` have shape (cells, dimensions)."""
    cells, dimensions = keys.shape
    out = np.full(dimensions, np.nan, np.float32)
    arrays = [np.ascontiguousarray(array) for array in (query, keys, values, mask)]
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (*arrays, out)]
    scale = ctypes.c_float(dimensions**-0.5)
    failed = kernels.library().llmsuggest_attend(
        dimensions, *pointers[:3], cells, pointers[3], scale, pointers[4]
    )
    assert not failed
    return out


@needs_kernels
@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("dimensions", DIMENSIONS)
@pytest.mark.parametrize("cells", [1, 16, 23, 256])
@pytest.mark.parametrize("size", [0.3, 8], ids=["all cells count", "one cell counts"])
def test_attention_is_the_softmax_of_the_scores_times_the_values(
    dimensions: int, cells: int, size: float
) -> None:
    random = np.random.default_rng(cells)
    query = (random.standard_normal(dimensions) * size).astype(np.float32)
    keys, values = random.standard_normal((2, cells, dimensions)).astype(np.float16)
    # a bias; cells of other candidates (-inf) lie scattered, and sixteen of them in a row
    mask = random.choice([0, -0.5, -np.inf], cells).astype(np.float16)
    mask[32:48] = -np.inf
    mask[-1] = 0
    scores = keys.astype(np.float64) @ query * dimensions**-0.5 + mask
    weights = np.exp(scores - scores.max())
    expected = weights / weights.sum() @ values.astype(np.float64)
    np.testing.assert_allclose(attend(query, keys, values, mask), expected, atol=1e-5)


@needs_kernels
@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("dimensions", DIMENSIONS)
@pytest.mark.parametrize("count", [2, 17, 300, 3000])
def test_attention_is_bit_identical_wherever_the_cells_lie(dimensions: int, count: int) -> None:
    """Neither the order of the cells nor the content of other cells changes the sum."""
    random = np.random.default_rng(count)
    query = random.standard_normal(dimensions).astype(np.float32)
    keys, values = random.standard_normal((2, count, dimensions)).astype(np.float16)
    values *= random.choice(np.array([0.001, 1, 100], np.float16), (count, 1))
    mask = np.zeros(count, np.float16)
    expected = attend(query, keys, values, mask)
    for cells in (count, 2 * count, 3 * count + 1):
        places = random.permutation(cells)[:count]
        all_keys, all_values = (
            (1000 * random.standard_normal((cells, dimensions))).astype(np.float16) for _ in "kv"
        )
        all_keys[places], all_values[places] = keys, values
        mask = np.full(cells, -np.inf, np.float16)
        mask[places] = 0
        np.testing.assert_array_equal(attend(query, all_keys, all_values, mask), expected)


@needs_kernels
@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("value", [0, 6e-8, 65504], ids=["none", "smallest", "largest"])
def test_attention_to_values_at_the_ends_of_their_range(value: float) -> None:
    random = np.random.default_rng(0)
    query = random.standard_normal(64).astype(np.float32)
    keys = random.standard_normal((600, 64)).astype(np.float16)
    values = np.full((600, 64), value, np.float16)
    mask = np.zeros(600, np.float16)
    expected = values[0].astype(float)
    np.testing.assert_allclose(attend(query, keys, values, mask), expected, rtol=2e-6)
    np.testing.assert_array_equal(attend(query, keys, values, mask - np.float16(np.inf)), 0)


@needs_kernels
@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("name", sorted(BLOCK_BYTES))
def test_a_product_is_bit_identical_beside_any_other_tokens(name: str) -> None:
    """Neither the number of tokens in the batch nor the number of threads changes a product."""
    weights = random_weights(40, 30, name)
    x = np.random.default_rng(1).standard_normal((70, 30 * BLOCK)).astype(np.float32)
    expected = multiply(name, weights, x, 1)
    for tokens in range(1, 18):
        for threads in (1, 3):
            out = multiply(name, weights, x[70 - tokens :], threads)
            np.testing.assert_array_equal(out, expected[70 - tokens :])


def extreme_weights(rows: int, name: str) -> np.ndarray[Any, Any]:
    """Blocks whose bytes are the ends of their ranges, shape (rows, bytes per block)."""
    random = np.random.default_rng(3)
    weights = random.choice(np.array([0, 255], np.uint8), (rows, BLOCK_BYTES[name]))
    weights[:2] = [[0], [255]]
    if name == "Q6_K":
        weights[:, 192:208] = random.choice(np.array([-128, 127], np.int8), (rows, 16)).view(
            np.uint8
        )
    weights[:, HALVES[name]] = np.full((1, 2), 0.01, np.float16).view(np.uint8)[
        :, : HALVES[name].stop - HALVES[name].start
    ]
    return weights


@needs_kernels
@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("name", sorted(BLOCK_BYTES))
def test_the_extremes_of_all_ranges_do_not_saturate(name: str) -> None:
    """Some blocks have the largest weights, scales and activations, all of one sign."""
    weights = extreme_weights(64, name)
    signs = np.random.default_rng(4).choice([-1, 1], (6, BLOCK))
    signs[:2] = [[-1], [1]]
    x = (signs * 127).astype(np.float32)  # rounding to 8 bits leaves these values unchanged
    expected = x.astype(np.float64) @ quants.dequantize(weights, GGMLQuantizationType[name]).T
    np.testing.assert_allclose(multiply(name, weights, x, 1), expected, rtol=1e-5, atol=2e-2)


@needs_kernels
@pytest.mark.parametrize("name", sorted(BLOCK_BYTES))
def test_all_instruction_sets_give_bit_identical_results(name: str) -> None:
    before = kernels.instructions()
    random = np.random.default_rng(5)
    weights = random_weights(37, 13, name)
    x = random.standard_normal((11, 13 * BLOCK)).astype(np.float32)
    query = random.standard_normal(80).astype(np.float32)
    keys, values = random.standard_normal((2, 300, 80)).astype(np.float16)
    mask = np.zeros(300, np.float16)
    found = []
    for limit in kernels.INSTRUCTION_SETS:
        choose(limit)
        found.append((multiply(name, weights, x, 2), attend(query, keys, values, mask)))
    choose(before)
    for product, attention in found[1:]:
        np.testing.assert_array_equal(product, found[0][0])
        np.testing.assert_array_equal(attention, found[0][1])


@needs_kernels
@pytest.mark.usefixtures("instructions")
def test_unknown_types_and_sizes_are_refused() -> None:
    x = np.zeros((1, BLOCK), np.float32).ctypes.data_as(ctypes.c_void_p)
    assert kernels.library().llmsuggest_multiply(2, x, 1, BLOCK, x, 1, x, 1) == -1
    assert kernels.library().llmsuggest_attend(72, x, x, x, 1, x, ctypes.c_float(1), x) == -1
