"""Writes a GGUF file: the metadata first, then tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter

ALIGNMENT = 32
"""Alignment of each tensor's start in the file, in bytes: GGUF's default."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor to be written: its GGUF name, its shape (row length last), and its type."""

    name: str
    shape: tuple[int, ...]
    kind: GGMLQuantizationType

    @property
    def nbytes(self) -> int:
        """Size of the tensor's data in bytes, without padding."""
        block, size = GGML_QUANT_SIZES[self.kind]
        return int(prod(self.shape) // block * size)


def padded_size(tensors: Iterable[TensorInfo]) -> int:
    """The size in bytes of the tensors in the file, each padded to the alignment."""
    return sum(-(-tensor.nbytes // ALIGNMENT) * ALIGNMENT for tensor in tensors)


def write_header(writer: GGUFWriter, path: Path, tensors: Sequence[TensorInfo]) -> BinaryIO:
    """Write everything except the tensors' data to `path`. Returns the open file for the data.

    `writer` has the metadata, and owns the file.
    """
    for tensor in tensors:
        writer.add_tensor_info(
            tensor.name,
            tensor.shape,
            np.dtype(np.float32),  # ignored: raw_dtype decides
            tensor.nbytes,
            raw_dtype=tensor.kind,
        )
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    file: BinaryIO = writer.fout[0]
    _pad(file)
    return file


def write_tensor(
    file: BinaryIO, tensor: TensorInfo, parts: Iterable[npt.NDArray[np.uint8]]
) -> Iterator[int]:
    """Write a tensor's data from its parts, in order. Yields the size of each part once written."""
    written = 0
    for part in parts:
        file.write(part.data)
        written += part.nbytes
        yield part.nbytes
    if written != tensor.nbytes:
        raise ValueError(f"{tensor.name}: {written} bytes were written instead of {tensor.nbytes}")
    _pad(file)


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % ALIGNMENT))
