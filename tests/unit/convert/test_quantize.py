"""ggml's quantiser, called through ctypes, compared with gguf's arithmetic in numpy."""

from __future__ import annotations

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import quants

from llmsuggestd.convert import quantize
from llmsuggestd.convert.quantize import quantize_rows, row_bytes
from llmsuggestd.errors import LlmsuggestdError

VALUES = (np.random.default_rng(0).standard_normal((5, 512)) * 0.05).astype(np.float32)


@pytest.mark.parametrize("kind", [Type.Q4_0, Type.Q5_0, Type.Q5_1, Type.Q8_0])
def test_blocks_equal_those_of_the_gguf_library(kind: Type) -> None:
    np.testing.assert_array_equal(quantize_rows(VALUES, kind), quants.quantize(VALUES, kind))


@pytest.mark.parametrize(
    ("kind", "error"),
    [(Type.Q4_K, 0.08), (Type.Q5_K, 0.04), (Type.Q6_K, 0.02), (Type.IQ4_NL, 0.09)],
)
def test_blocks_read_by_the_gguf_library_are_close(kind: Type, error: float) -> None:
    blocks = quantize_rows(VALUES, kind)
    assert blocks.shape == (5, row_bytes(kind, 512))
    back = quants.dequantize(blocks, kind)
    relative = np.linalg.norm(back - VALUES) / np.linalg.norm(VALUES)
    assert error / 4 < relative < error


def test_strided_values_are_the_same_as_contiguous_ones() -> None:
    wide = np.zeros((5, 1024), np.float32)
    wide[:, ::2] = VALUES
    np.testing.assert_array_equal(
        quantize_rows(wide[:, ::2], Type.Q4_K), quantize_rows(VALUES, Type.Q4_K)
    )


def test_values_whose_scale_overflows_are_refused() -> None:
    huge = np.full((1, 256), 3e38, np.float32)
    with pytest.raises(ValueError, match="too large for Q8_0"):
        quantize_rows(huge, Type.Q8_0)


def test_a_missing_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantize, "_candidates", list)
    quantize.library.cache_clear()
    with pytest.raises(LlmsuggestdError) as caught:
        quantize.library()
    assert "`llmsuggestd install --accelerator cpu`" in caught.value.hint
    monkeypatch.undo()
    assert quantize.library()
