"""The model that ships equals the conversion of the checkpoint in this checkout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

from llmsuggestd.convert import convert
from llmsuggestd.models import store

CHECKPOINT = Path(__file__).parents[2] / "convert" / "starter" / "checkpoint"


def test_the_shipped_file_comes_from_the_checkpoint(tmp_path: Path) -> None:
    """`make starter` renews it."""
    made = tmp_path / "starter.gguf"
    convert(CHECKPOINT, made, name="starter")
    assert made.stat().st_size == store.SHIPPED.stat().st_size < 12_000_000
    new, shipped = GGUFReader(made), GGUFReader(store.SHIPPED)
    assert {key: field.contents() for key, field in new.fields.items()} == {
        key: field.contents() for key, field in shipped.fields.items()
    }
    assert len(new.tensors) == len(shipped.tensors) > 70
    for one, other in zip(new.tensors, shipped.tensors, strict=True):
        assert (one.name, one.tensor_type) == (other.name, other.tensor_type)
        # equal bits on one machine; elsewhere, the compiler may fuse a product and a sum
        a, b = (dequantize(tensor.data, tensor.tensor_type) for tensor in (one, other))
        np.testing.assert_allclose(a, b, atol=0.02 * float(b.std()) + 1e-6, err_msg=one.name)
