"""The tensors of a GGUF file, and the sources of their rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmsuggestd.convert.stored import FLOAT_TYPES, StoredTensor
from llmsuggestd.errors import InputError

# Buffers in old checkpoints, which are not needed.
BUFFERS = (".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq")

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Swap:
    """Another order of a tensor's rows.

    A checkpoint has the rows in the order (groups, first, second, size), the GGUF file in the order
    (groups, second, first, size).
    """

    groups: int
    first: int
    second: int
    size: int

    def source_rows(self, rows: Rows) -> Rows:
        """The rows of the checkpoint's tensor that become `rows` of the file's."""
        shape = (self.groups, self.second, self.first, self.size)
        group, second, first, row = np.unravel_index(rows, shape)
        return np.ravel_multi_index(
            (group, first, second, row), (self.groups, self.first, self.second, self.size)
        )


@dataclass(frozen=True, slots=True)
class Slot:
    """A tensor that the GGUF file must have, and its name in the checkpoint.

    `swap` reorders its rows. If the tensor is `optional` and the checkpoint lacks it, zeros are
    written. A vector that no checkpoint has is given by its `values`, and its `source` is empty.
    """

    name: str
    source: str
    shape: tuple[int, ...]
    swap: Swap | None = None
    optional: bool = False
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelTensor:
    """A tensor of the GGUF file, and the source of its values.

    Without a `source` it has the `values`, or is zero. For `swap` see `Slot`.
    """

    name: str
    shape: tuple[int, ...]
    source: StoredTensor | None
    swap: Swap | None = None
    values: tuple[float, ...] = ()

    def read(self, start: int, stop: int) -> npt.NDArray[np.generic]:
        """Read rows `start` to `stop`, with the bits of the checkpoint (see `StoredTensor`)."""
        assert self.source is not None
        if self.swap is None:
            return self.source.rows(start, stop)
        rows = self.swap.source_rows(np.arange(start, stop))
        order = np.argsort(rows)
        pieces = [self.source.rows(first, last) for first, last in _ranges(rows[order])]
        sorted_rows = np.concatenate(pieces)
        result = np.empty_like(sorted_rows)
        result[order] = sorted_rows
        return result


def _ranges(rows: Rows) -> Iterator[tuple[int, int]]:
    """Yield the ranges of consecutive numbers in sorted rows: the first, and one past the last."""
    for part in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
        yield int(part[0]), int(part[-1]) + 1


def model_tensors(
    slots: Sequence[Slot],
    stored: Mapping[str, StoredTensor],
    where: str,
    *,
    model: str,
    unused: Iterable[str] = (),
) -> list[ModelTensor]:
    """The tensors of the GGUF file, in their order, with their sources.

    Raises `InputError` if a tensor is missing, has another shape, is not of a float type, or is
    neither in `slots` nor `unused`. `where` names the checkpoint in errors, and `model` its kind.
    """
    known = {slot.source for slot in slots} | set(unused)
    result = []
    for slot in slots:
        source = None
        if slot.source and not (slot.optional and slot.source not in stored):
            source = _checked(stored, slot.source, slot.shape, where)
        result.append(ModelTensor(slot.name, slot.shape, source, slot.swap, slot.values))
    for name in stored:
        if name not in known and not name.endswith(BUFFERS):
            raise InputError(
                f"{where}: {name} is not a tensor of a {model}",
                "check that config.json belongs to this model",
            )
    return result


def _checked(
    stored: Mapping[str, StoredTensor], name: str, shape: tuple[int, ...], where: str
) -> StoredTensor:
    tensor = stored.get(name)
    if tensor is None:
        raise InputError(
            f"{where}: the tensor {name} is missing",
            "check that the checkpoint is complete, and not only a part of a model",
        )
    if tensor.shape != shape:
        raise InputError(
            f"{tensor.path}: {name} has shape {list(tensor.shape)}, config.json says {list(shape)}"
        )
    if tensor.dtype not in FLOAT_TYPES:
        raise InputError(
            f"{tensor.path}: {name} is {tensor.dtype}; only F32, F16 and BF16 can be converted"
        )
    return tensor
