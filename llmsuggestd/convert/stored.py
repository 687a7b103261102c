"""A tensor in a file of the checkpoint: its position, type and shape.

Tensors are read some rows at a time, with ordinary reads. A memory map would be simpler, but each
page that is read counts as this process's memory. For a 5.5 GB checkpoint, the process would appear
to use 5.5 GB, and on a small machine it would.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from llmsuggestd.errors import InputError
from llmsuggestd.file_errors import unreadable

# The types of weights in checkpoints, and numpy's types for their bits. numpy has no
# bfloat16, so its 16 bits are read as an integer, the upper half of a float32.
FLOAT_TYPES: dict[str, np.dtype[np.generic]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor of a checkpoint.

    `offset` is in bytes from the start of `path`, and `strides` in elements, one per dimension.
    `dtype` is the name of a safetensors type. Tensors of types outside `FLOAT_TYPES`, such as mask
    buffers, are listed but cannot be read. The constructor's caller must check that the tensor is
    inside the file.
    """

    name: str
    path: Path
    offset: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def rows(self, start: int, stop: int) -> npt.NDArray[np.generic]:
        """Read rows `start` to `stop` of the first dimension, as an array of shape (rows, columns).

        The elements keep their stored bits: float32, float16, or bfloat16 as uint16. A tensor with
        one dimension has rows of one element. Raises `InputError` if the file cannot be read or has
        become shorter.
        """
        kind = FLOAT_TYPES[self.dtype]
        columns = prod(self.shape[1:])
        first_stride = self.strides[0]
        last_stride = self.strides[1] if len(self.shape) > 1 else 1
        # The span of a contiguous tensor has only its rows. That of a transposed one (pickles may
        # have views) also has the elements in between.
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
    """The strides, in elements, of a row-major tensor."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
