"""Calls ggml's own quantiser, in the libggml-base of llama-cpp-python.

`ggml_quantize_chunk` makes the same bits as llama.cpp. It can run on several threads, since rows
are independent of each other and ctypes releases the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from llmsuggestd.errors import LlmsuggestdError

FLOAT_PTR = ctypes.POINTER(ctypes.c_float)


def row_bytes(kind: GGMLQuantizationType, columns: int) -> int:
    """The size in bytes of a row of `columns` elements, a multiple of the type's block size."""
    block, size = GGML_QUANT_SIZES[kind]
    if columns % block:
        raise ValueError(f"a row of {columns} does not divide into {kind.name}'s blocks of {block}")
    return int(columns // block * size)


def quantize_rows(
    values: npt.NDArray[np.float32], kind: GGMLQuantizationType
) -> npt.NDArray[np.uint8]:
    """Quantise float32 values of shape (rows, columns) to ggml's blocks, (rows, bytes per row).

    The values must be finite. Raises `ValueError` if a block's scale exceeds float16, the type in
    which ggml stores it. Only extremely large weights cause that.
    """
    rows, columns = values.shape
    values = np.ascontiguousarray(values)
    result = np.empty((rows, row_bytes(kind, columns)), dtype=np.uint8)
    ggml = library()
    ggml.ggml_quantize_chunk(
        int(kind), values.ctypes.data_as(FLOAT_PTR), result.ctypes.data, 0, rows, columns, None
    )
    if not ggml.ggml_validate_row_data(int(kind), result.ctypes.data, result.nbytes):
        raise ValueError(f"values too large for {kind.name}")
    return result


@functools.cache
def library() -> ctypes.CDLL:
    """Load libggml-base, without the rest of llama.cpp.

    Raises `LlmsuggestdError` if llama-cpp-python is missing or has another interface.
    """
    hint = "`llmsuggestd install --accelerator cpu` builds llama-cpp-python again"
    for path in _candidates():
        if path.exists():
            try:
                ggml = ctypes.CDLL(str(path))
                quantize, validate = ggml.ggml_quantize_chunk, ggml.ggml_validate_row_data
            except (OSError, AttributeError) as error:
                raise LlmsuggestdError(f"{path}: cannot be used: {error}", hint) from None
            # ggml.h: size_t ggml_quantize_chunk(type, const float * src, void * dst,
            #   int64_t start, int64_t nrows, int64_t n_per_row, const float * imatrix)
            quantize.argtypes = [
                ctypes.c_int, FLOAT_PTR, ctypes.c_void_p,
                ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, FLOAT_PTR,
            ]  # fmt: skip
            quantize.restype = ctypes.c_size_t
            # ggml.h: bool ggml_validate_row_data(type, const void * data, size_t nbytes)
            validate.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
            validate.restype = ctypes.c_bool
            return ggml
    raise LlmsuggestdError("llama-cpp-python's libggml-base was not found", hint)


def _candidates() -> list[Path]:
    folders = []
    if override := os.environ.get("LLAMA_CPP_LIB_PATH"):  # like llama-cpp-python itself
        folders.append(Path(override))
    # find_spec does not import the package. An import would load all of llama.cpp.
    spec = importlib.util.find_spec("llama_cpp")
    if spec is not None and spec.origin is not None:
        folders.append(Path(spec.origin).parent / "lib")
    if sys.platform == "win32":
        names = ["ggml-base.dll", "libggml-base.dll"]
    elif sys.platform == "darwin":
        names = ["libggml-base.dylib", "libggml-base.so"]
    else:
        names = ["libggml-base.so"]
    return [folder / name for folder in folders for name in names]
