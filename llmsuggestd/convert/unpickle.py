"""Finds the tensors in a `pytorch_model.bin`, without torch and without running its code.

Since torch 1.6, `torch.save` writes a zip archive. `NAME/data.pkl` is a pickle of the state dict,
in which each tensor refers to a storage, and `NAME/data/KEY` has a storage's bytes, uncompressed.
Loading a pickle calls any function that it names. So this unpickler allows only the names that
describe tensors, and refuses all others before they are called. It returns the positions of the
bytes, and does not read them.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from llmsuggestd import filekind
from llmsuggestd.convert.stored import StoredTensor
from llmsuggestd.errors import InputError
from llmsuggestd.file_errors import unreadable

# torch's storage classes, with safetensors' name of the type and the bytes per element.
STORAGES = {
    "FloatStorage": ("F32", 4),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "DoubleStorage": ("F64", 8),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2),
    "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
}
# The keys of the weights in a trainer's pickle, which also has the trainer's state.
STATE_KEYS = ("state_dict", "model_state_dict", "model", "module")
# Enough for more than a hundred thousand tensors, at about 150 bytes each.
LARGEST_PICKLE = 64 * 2**20


@dataclass(frozen=True, slots=True)
class _StorageType:
    """Replaces a class such as torch.FloatStorage."""

    dtype: str
    itemsize: int


@dataclass(frozen=True, slots=True)
class _Storage:
    """A storage in the archive: the position of its bytes in the file, and its element count."""

    dtype: str
    itemsize: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class _View:
    """A tensor, as a view of a storage; `first` and `strides` are in elements."""

    storage: _Storage
    first: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _RefusedError(Exception):
    """The pickle has something other than tensors."""


def read_pickle(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a file that `torch.save` wrote.

    Raises `InputError` if the file is missing, truncated, compressed or of the format before torch
    1.6, or if it contains or calls anything except tensors. No code in it is run.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                raise filekind.refusal(path, filekind.TORCH)
            archive = zipfile.ZipFile(file)
            return _read_archive(path, archive)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", "download the checkpoint again") from None
    except OSError as error:
        raise unreadable(path, error) from None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        # A truncated zip archive lacks its directory, which is at the end.
        raise InputError(f"{path}: cut short or damaged", "download it again") from None
    except _RefusedError as error:
        raise InputError(
            f"{path}: refused: {error}",
            "only a pickle of plain tensors is read; safetensors files have no such risk",
        ) from None


def _read_archive(path: Path, archive: zipfile.ZipFile) -> dict[str, StoredTensor]:
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise InputError(f"{path}: not written by torch.save (no data.pkl, or more than one)")
    root = pickles[0].removesuffix("data.pkl")
    if archive.getinfo(pickles[0]).file_size > LARGEST_PICKLE:
        raise _RefusedError("its list of tensors is too long")
    # torch before 2.0 did not write the byte order, which was little-endian.
    order = root + "byteorder"
    if order in archive.namelist() and (
        archive.getinfo(order).file_size != len("little") or archive.read(order) != b"little"
    ):
        raise InputError(f"{path}: saved on a big-endian machine")
    state = _TensorUnpickler(path, archive, root, archive.read(pickles[0])).read()
    if not isinstance(state, dict):
        raise _RefusedError("it is not a list of named tensors")
    for key in STATE_KEYS:
        inner = dict.get(state, key)
        if isinstance(inner, dict) and inner:
            state = inner
            break
    result = {}
    # Not state.items(), since a pickle may set attributes of an OrderedDict, as torch's do.
    for name, value in dict.items(state):
        if not isinstance(name, str) or not isinstance(value, _View):
            raise _RefusedError(f"{name!r} is not a tensor")
        storage = value.storage
        result[name] = StoredTensor(
            name,
            path,
            storage.offset + value.first * storage.itemsize,
            storage.dtype,
            value.shape,
            value.strides,
        )
    return result


class _TensorUnpickler(pickle._Unpickler):
    """An unpickler that knows only storage types and the constructors of tensors.

    It extends the unpickler written in Python. The one in C has a memo as long as the largest index
    in the pickle, so ten bytes can make it allocate gigabytes.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, root: str, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self._path = path
        self._archive = archive
        self._root = root
        self._size = path.stat().st_size

    def read(self) -> Any:
        """Unpickle. Raises `_RefusedError` for anything that is not allowed or damaged."""
        try:
            return self.load()
        except (_RefusedError, InputError, OSError, MemoryError):
            raise
        except Exception as error:
            # Opcodes with wrong operands can raise almost any exception.
            raise _RefusedError(f"its pickle is damaged ({type(error).__name__})") from None

    def find_class(self, module: str, name: str) -> Any:
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch", "Size"): tuple,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
            ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        }
        if module == "torch" and name in STORAGES:
            return _StorageType(*STORAGES[name])
        if (module, name) not in known:
            raise _RefusedError(f"its pickle names {module}.{name}, which is not a tensor")
        return known[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        """Find a storage: ("storage", type, key, device, number of elements)."""
        match pid:
            case ("storage", _StorageType() as kind, str() as key, str(), int() as count):
                pass
            case _:
                raise _RefusedError("its pickle refers to something that is not a storage")
        try:
            info = self._archive.getinfo(f"{self._root}data/{key}")
        except KeyError:
            raise InputError(f"{self._path}: the storage {key} is missing") from None
        if info.compress_type != zipfile.ZIP_STORED:
            raise InputError(f"{self._path}: the storage {key} is compressed")
        if count < 0 or count * kind.itemsize > info.file_size:
            raise InputError(f"{self._path}: the storage {key} is shorter than it says")
        offset = self._data_offset(info)
        if offset + info.file_size > self._size:
            raise InputError(f"{self._path}: cut short: the storage {key} ends after the file")
        return _Storage(kind.dtype, kind.itemsize, offset, count)

    def _data_offset(self, info: zipfile.ZipInfo) -> int:
        """The position of an entry's bytes: after its local header, which has its own length."""
        with self._path.open("rb") as file:
            file.seek(info.header_offset)
            header = file.read(30)
        if len(header) != 30 or header[:4] != b"PK\x03\x04":
            raise InputError(f"{self._path}: damaged: no entry where its directory says")
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        return info.header_offset + 30 + int(name_length) + int(extra_length)


def _rebuild_tensor(
    storage: Any,
    first: Any,
    shape: Any,
    strides: Any,
    *_: Any,  # requires_grad, backward_hooks, metadata: not needed for weights
) -> _View:
    """Replaces torch._utils._rebuild_tensor_v2. Checks that the view is inside its storage."""
    if not (
        isinstance(storage, _Storage)
        and isinstance(shape, tuple)
        and isinstance(strides, tuple)
        and len(shape) == len(strides)
        and all(type(n) is int and n >= 0 for n in (first, *shape, *strides))
    ):
        raise _RefusedError("a tensor in it is malformed")
    reach = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if prod(shape) and first + reach >= storage.size:
        raise _RefusedError("a tensor in it reaches beyond its storage")
    return _View(storage, first, shape, strides)


def _rebuild_parameter(data: Any, *_: Any) -> _View:
    """Replaces torch._utils._rebuild_parameter, which makes a trainable tensor."""
    if not isinstance(data, _View):
        raise _RefusedError("a parameter in it is not a tensor")
    return data
