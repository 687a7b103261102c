"""Writing a GGUF file: metadata first, then tensor by tensor, and all of it or nothing.

The file is written beside its final place under a name of its own and renamed when it is whole
and on disk, so that whatever happens, the final name holds either the old file or the new one.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter

from llmsuggestd import identity
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.files import explained

ALIGNMENT = 32  # GGUF's default, of each tensor's start in the file


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor to be written: its GGUF name, its shape (row length last) and its type."""

    name: str
    shape: tuple[int, ...]
    kind: GGMLQuantizationType

    @property
    def nbytes(self) -> int:
        """Size of the tensor's data in bytes, without padding."""
        block, size = GGML_QUANT_SIZES[self.kind]
        return int(prod(self.shape) // block * size)


def padded_size(tensors: Iterable[TensorInfo]) -> int:
    """Return the bytes that the tensors take in the file, each padded to the alignment."""
    return sum(-(-tensor.nbytes // ALIGNMENT) * ALIGNMENT for tensor in tensors)


def write_header(writer: GGUFWriter, path: Path, tensors: Sequence[TensorInfo]) -> BinaryIO:
    """Write everything but the tensors' data to `path`; return the open file for the data.

    `writer` holds the metadata; it owns the file.
    """
    for tensor in tensors:
        writer.add_tensor_info(
            tensor.name,
            tensor.shape,
            np.dtype(np.float32),  # has no meaning next to raw_dtype
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
    """Write one tensor's data from its parts, in order; yield the size of each once written."""
    written = 0
    for part in parts:
        file.write(part.data)
        written += part.nbytes
        yield part.nbytes
    if written != tensor.nbytes:
        raise ValueError(f"{tensor.name}: {written} bytes were made of {tensor.nbytes}")
    _pad(file)


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % ALIGNMENT))


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a new, empty file beside `target` to write; put it in `target`'s place at the end.

    By then it is on disk. If the block raises anything (an interrupt too), the new file is removed
    and `target` stays as it was. Raises `LlmsuggestdError` when the folder cannot be written, or
    the disk is full.
    """
    _remove_abandoned(target)
    partial = beside(target, "partial")
    try:
        # Not through tempfile: the result shall have the mode that any new file gets.
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        reason, hint = explained(target.parent, error, "choose another place")
        raise LlmsuggestdError(f"{target.parent}: cannot be written: {reason}", hint) from None
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        reason, hint = explained(target, error, "choose another place")
        raise LlmsuggestdError(
            f"{target}: writing failed: {reason}", f"nothing was kept of it; {hint}"
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def beside(target: Path, suffix: str) -> Path:
    """Return the name of a temporary file beside `target` that belongs to this process."""
    return target.with_name(f".{target.name}.{identity.mark()}.{suffix}")


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder outlast a power cut, where the system can."""
    with contextlib.suppress(OSError):  # Windows cannot open a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_abandoned(target: Path) -> None:
    """Remove what conversions to the same target left behind when they were killed outright.

    The F16 file of `--check` is made by a conversion, too, and has that one's name about its own.
    """
    name = re.escape(f".{target.name}.") + r"(\d+-\w+)"
    pattern = re.compile(rf"{name}\.(partial|f16)|\.{name}\.f16\.\d+-\w+\.partial")
    with contextlib.suppress(OSError):
        for path in target.parent.iterdir():
            match = pattern.fullmatch(path.name)
            if match and identity.is_left_over(match[1] or match[3]):
                path.unlink(missing_ok=True)
