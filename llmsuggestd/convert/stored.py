"""A tensor as it lies in a file of the checkpoint: where, of what type, in what shape.

Tensors are read some rows at a time, with ordinary reads. A memory map would be simpler, but
every page it touches counts as this process's memory, and a 5.5 GB checkpoint would look like
(and, on a small machine, be) a 5.5 GB process.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from llmsuggestd.errors import InputError
from llmsuggestd.file_errors import unreadable

# The types a GPT-NeoX checkpoint holds weights in, and how numpy reads their bits.
# numpy has no bfloat16: its 16 bits are read as an integer, the upper half of a float32.
FLOAT_TYPES: dict[str, np.dtype[np.generic]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a checkpoint.

    `offset` is in bytes from the start of `path`; `strides` in elements, one for each dimension.
    `dtype` is a safetensors type name; tensors of a type outside `FLOAT_TYPES` are listed (a
    checkpoint has mask buffers) but cannot be read. Whoever makes one has checked that it lies
    inside the file.
    """

    name: str
    path: Path
    offset: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def rows(self, start: int, stop: int) -> npt.NDArray[np.generic]:
        """Read rows `start` to `stop` (of the first dimension), as a (rows, columns) array.

        The elements keep their stored bits: float32, float16, or bfloat16 as uint16. A tensor of
        one dimension has rows of one element. Raises `InputError` when the file has become
        shorter or cannot be read.
        """
        kind = FLOAT_TYPES[self.dtype]
        columns = prod(self.shape[1:])
        first_stride = self.strides[0]
        last_stride = self.strides[1] if len(self.shape) > 1 else 1
        # A contiguous tensor's span is its rows and nothing else; a transposed one's (a pickle
        # may hold views) also holds the elements in between.
        span = (stop - start - 1) * first_stride + (columns - 1) * last_stride + 1
        offset = self.offset + start * first_stride * kind.itemsize
        try:
            data = np.fromfile(self.path, dtype=kind, count=span, offset=offset)
        except OSError as error:
            raise unreadable(self.path, error) from None
        if data.size != span:
            raise InputError(f"{self.path}: ends before {self.name} does; it changed while read")
        steps = (first_stride * kind.itemsize, last_stride * kind.itemsize)
        return np.lib.stride_tricks.as_strided(data, (stop - start, columns), steps)


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides, in elements, of a row-major tensor."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
