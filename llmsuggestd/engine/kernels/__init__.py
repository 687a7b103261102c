"""Our own kernels for quantised weights, which llama.cpp uses as a backend.

`multiply.h` has the arithmetic and the reason for it. `kernels.h` describes the other files of the
arithmetic. `backend.cpp` implements ggml's interface for backends, and `ggml.h` declares the parts
of ggml that this needs. The kernels are compiled when llmsuggestd is installed (setup.py), for
x86-64 processors with AVX2, AVX-VNNI or AVX-512 VNNI. The fastest instruction set that the
processor has is chosen at run time. Other processors use llama.cpp's own kernels.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import platform
from collections.abc import Callable
from typing import Final

from llama_cpp.llama_cpp import _lib as llama

FILE_TYPES: Final = frozenset({14, 15, 16, 17, 18})
"""The file types that use the kernels, Q4_K_S to Q6_K (llama.h, `enum llama_ftype`)."""

VERSION: Final = 3
"""The version of the compiled kernels' interface, `VERSION` in backend.cpp."""

INSTRUCTION_SETS: Final = ("avx2", "avx-vnni", "avx512-vnni")
"""The instruction sets that the kernels are compiled for, slowest first."""

LIMIT: Final = "LLMSUGGESTD_INSTRUCTIONS"
"""The environment variable that names the best instruction set allowed, for tests and comparisons.
All instruction sets compute the same bits."""

FUNCTIONS: Final = (
    "ggml_backend_cpu_buffer_type",
    "ggml_backend_cpu_buffer_from_ptr",
    "ggml_backend_buft_is_host",
    "ggml_graph_n_nodes",
    "ggml_graph_node",
    "ggml_op_name",
    "ggml_row_size",
    "ggml_get_type_traits_cpu",
)
"""The functions of ggml that the kernels call, in the order of `GgmlFunctions` in ggml.h."""


class KernelsUnavailable(Exception):
    """The kernels cannot be used here. The message is the reason."""


@functools.cache
def library() -> ctypes.CDLL:
    """Load the compiled kernels. Raises KernelsUnavailable if the processor cannot run them."""
    if platform.machine() not in ("x86_64", "AMD64"):
        raise KernelsUnavailable("ours need x86-64")
    found = importlib.util.find_spec(f"{__name__}._backend")
    if found is None or found.origin is None:
        raise KernelsUnavailable("ours were not compiled when llmsuggestd was installed")
    try:
        loaded = ctypes.CDLL(found.origin)
    except OSError as error:
        raise KernelsUnavailable(str(error)) from error
    compiled: Callable[[], int] = getattr(loaded, "llmsuggest_version", lambda: 0)
    if compiled() != VERSION:  # the checkout was updated after they were compiled
        raise KernelsUnavailable("ours are older than this llmsuggestd: install it again")
    limit = os.environ.get(LIMIT, "")
    if limit and limit not in INSTRUCTION_SETS:
        choices = ", ".join(INSTRUCTION_SETS)
        raise KernelsUnavailable(f"${LIMIT} is {limit!r}; it can be one of {choices}")
    loaded.llmsuggest_instructions.restype = ctypes.c_char_p
    loaded.llmsuggest_choose(limit.encode())
    if not loaded.llmsuggest_instructions():
        raise KernelsUnavailable("this processor has no AVX2")
    return loaded


def instructions() -> str:
    """The instruction set that the kernels use. Raises KernelsUnavailable."""
    name: bytes = library().llmsuggest_instructions()
    return name.decode()


@functools.cache
def register() -> None:
    """Have llama.cpp use the kernels for later contexts. Raises KernelsUnavailable."""
    ours = library()
    try:
        # from the ggml that llama.cpp links; `llama_cpp._ggml` loads a second copy
        addresses = [ctypes.cast(getattr(llama, name), ctypes.c_void_p) for name in FUNCTIONS]
        load = llama.ggml_backend_load
    except AttributeError as error:
        raise KernelsUnavailable(
            f"this llama.cpp lacks functions that ours need: {error}"
        ) from error
    ours.llmsuggest_connect((ctypes.c_void_p * len(addresses))(*addresses))
    load.restype, load.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    if not load(ours._name.encode()):
        raise KernelsUnavailable("this llama.cpp has another version of the interface for backends")


def use_threads(count: int) -> None:
    """Make the kernels use this many threads, instead of llama.cpp's number."""
    library().llmsuggest_use_threads(count)


def why_not() -> str:
    """Register the kernels. Returns why they cannot be used here; empty if they can."""
    try:
        register()
    except KernelsUnavailable as error:
        return str(error)
    return ""
