"""Reading safetensors files that the library wrote, and broken ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmsuggestd.convert.safetensors_file import read_safetensors
from llmsuggestd.errors import InputError
from tests.unit.convert.checkpoints import save_safetensors, stored_bits


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_tensors_are_where_the_library_puts_them(tmp_path: Path, dtype: str) -> None:
    random = np.random.default_rng(0)
    tensors = {
        "matrix": random.standard_normal((7, 5)).astype(np.float32),
        "vector": random.standard_normal(3).astype(np.float32),
        "mask": np.ones((2, 2), np.bool_),
    }
    save_safetensors(tmp_path / "x.safetensors", tensors, dtype)
    found = read_safetensors(tmp_path / "x.safetensors")
    assert set(found) == set(tensors)
    assert found["mask"].dtype == "BOOL"
    assert found["matrix"].shape == (7, 5)
    for name in ("matrix", "vector"):
        expected = stored_bits(tensors[name], dtype)
        rows = found[name].rows(0, expected.shape[0])
        assert found[name].dtype == dtype
        np.testing.assert_array_equal(rows.reshape(expected.shape), expected)
    np.testing.assert_array_equal(
        found["matrix"].rows(2, 5), stored_bits(tensors["matrix"], dtype)[2:5]
    )


def file_with(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    """A safetensors file with this header, given as an object or as bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + text + data)
    return path


def entry(**changes: Any) -> dict[str, Any]:
    """A header with one float32 tensor of two elements."""
    return {"t": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        (entry(), b"1234567", "cut short: t ends at byte"),
        (entry(data_offsets=[0, 2**70]), b"12345678", "cut short"),
        (entry(shape=[3]), b"12345678", "8 bytes, which is not F32 of shape"),
        (entry(shape=[2**40, 2**40]), b"12345678", "which is not F32"),
        (entry(shape=[-1]), b"12345678", "entry for t"),
        (entry(shape=[True, 2]), b"12345678", "entry for t"),
        (entry(shape="2"), b"12345678", "entry for t"),
        (entry(data_offsets=[8, 0]), b"12345678", "cut short"),
        (entry(data_offsets=[-8, 0]), b"12345678", "entry for t"),
        (entry(data_offsets=[0]), b"12345678", "entry for t"),
        (entry(dtype="F4"), b"12345678", "t has an unknown type: 'F4'"),
        (entry(dtype=["F32"]), b"12345678", "unknown type"),
        ({"t": 3}, b"", "entry for t"),
        ([1], b"", "not an object"),
        (b"{nonsense", b"", "not JSON"),
        (b"\xff\xfe\x00", b"", "not JSON"),
        (b"[" * 100_000, b"", "not JSON"),
    ],
)
def test_broken_headers_are_refused(tmp_path: Path, header: Any, data: bytes, message: str) -> None:
    path = file_with(tmp_path / "x.safetensors", header, data)
    with pytest.raises(InputError) as caught:
        read_safetensors(path)
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"123", "is text"),
        (b"\xff" * 8, "is not a safetensors file: cut short"),
        (b"\x00\x00\x00\x00\x00\x01" * 9, "is not a safetensors file: cut short"),
    ],
)
def test_other_kinds_of_files_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_safetensors(path)


def test_every_cut_of_a_file_is_noticed(tmp_path: Path) -> None:
    whole = tmp_path / "x.safetensors"
    save_safetensors(whole, {"a": np.ones(4, np.float32), "b": np.ones(4, np.float32)}, "F32")
    content = whole.read_bytes()
    for size in range(len(content)):
        whole.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"cut short|is empty"):
            read_safetensors(whole)


def test_a_file_that_shrinks_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_safetensors(path, {"a": np.ones((4, 4), np.float32)}, "F32")
    tensor = read_safetensors(path)["a"]
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match="changed while read"):
        tensor.rows(0, 4)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_safetensors(tmp_path / "model.safetensors")
