"""Reads the header of a safetensors file, and checks it against the file.

The format has eight bytes for the header's length, a JSON header with each tensor's type, shape and
byte range, and the data (https://huggingface.co/docs/safetensors#format). The safetensors library
maps the whole file into memory and does not report positions, so the header is read here. The tests
read files of that library's writer.
"""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

from llmsuggestd import filekind
from llmsuggestd.convert.stored import StoredTensor, contiguous_strides
from llmsuggestd.errors import InputError
from llmsuggestd.file_errors import unreadable

# Bits of each safetensors type that a checkpoint may contain, also beside the weights.
TYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64,
}  # fmt: skip
LARGEST_HEADER = 100_000_000  # the library's own limit, in bytes


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file.

    Raises `InputError` if the file is missing or truncated, or does not match its header.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, LARGEST_HEADER):
                problem = f"cut short, or a header of {length} bytes in a file of {size}"
                raise filekind.refusal(path, filekind.SAFETENSORS, problem)
            header = json.loads(file.read(length))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", "download the checkpoint again") from None
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, RecursionError):
        problem = "its header is not JSON"
        raise filekind.refusal(path, filekind.SAFETENSORS, problem) from None
    if not isinstance(header, dict):
        raise filekind.refusal(path, filekind.SAFETENSORS, "its header is not an object")
    return {
        name: _tensor(path, name, entry, 8 + length, size)
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _tensor(path: Path, name: str, entry: Any, data_start: int, size: int) -> StoredTensor:
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: the header's entry for {name} cannot be read") from None
    if not isinstance(dtype, str) or dtype not in TYPE_BITS:
        raise InputError(f"{path}: {name} has an unknown type: {dtype!r}")
    if not isinstance(shape, list) or not all(_is_count(n) for n in [*shape, begin, end]):
        raise InputError(f"{path}: the header's entry for {name} cannot be read")
    if begin > end or data_start + end > size:
        raise InputError(
            f"{path}: cut short: {name} ends at byte {data_start + end} of a file of {size}",
            "download it again",
        )
    if end - begin != prod(shape) * TYPE_BITS[dtype] // 8:
        raise InputError(
            f"{path}: {name} has {end - begin} bytes, which is not {dtype} of shape {shape}"
        )
    return StoredTensor(
        name, path, data_start + begin, dtype, tuple(shape), contiguous_strides(tuple(shape))
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
