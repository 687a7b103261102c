"""Our own kernels for quantised weights, which llama.cpp uses as one of its backends.

`multiply.h` has the arithmetic and why it is ours, `backend.cpp` what ggml asks of a backend, and
`ggml.h` what a backend has to know of ggml. They are compiled where llmsuggestd is installed
(setup.py), for x86-64 processors with AVX-512 VNNI; anywhere else llama.cpp's own kernels do
the work.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import platform
from typing import Final

from llama_cpp.llama_cpp import _lib as llama

FILE_TYPES: Final = frozenset({14, 15, 16, 17, 18})
"""Those whose weights they take, Q4_K_S to Q6_K (llama.h, `enum llama_ftype`)."""

FUNCTIONS: Final = (
    "ggml_backend_cpu_buffer_type",
    "ggml_backend_cpu_buffer_from_ptr",
    "ggml_backend_buft_is_host",
    "ggml_graph_n_nodes",
    "ggml_graph_node",
    "ggml_op_name",
)
"""What they need of ggml, in the order of `GgmlFunctions` in ggml.h."""


class KernelsUnavailable(Exception):
    """They cannot be used here; the message says why."""


@functools.cache
def library() -> ctypes.CDLL:
    """The compiled kernels, on a processor that can run them. Raises KernelsUnavailable."""
    if platform.machine() not in ("x86_64", "AMD64"):
        raise KernelsUnavailable("they are for x86-64")
    found = importlib.util.find_spec(f"{__name__}._backend")
    if found is None or found.origin is None:
        raise KernelsUnavailable("they were not compiled when llmsuggestd was installed")
    try:
        loaded = ctypes.CDLL(found.origin)
    except OSError as error:
        raise KernelsUnavailable(str(error)) from error
    if not hasattr(loaded, "llmsuggest_use_threads"):  # in a checkout that has been updated
        raise KernelsUnavailable("they are older than this llmsuggestd: install it again")
    if not loaded.ggml_backend_score():
        raise KernelsUnavailable("this processor has no AVX-512 VNNI")
    return loaded


@functools.cache
def register() -> None:
    """Have llama.cpp use them for every context made from now on. Raises KernelsUnavailable."""
    ours = library()
    try:
        # of the ggml that llama.cpp has, which is not the one that `llama_cpp._ggml` loads
        addresses = [ctypes.cast(getattr(llama, name), ctypes.c_void_p) for name in FUNCTIONS]
        load = llama.ggml_backend_load
    except AttributeError as error:
        raise KernelsUnavailable(f"this llama.cpp lacks what they need: {error}") from error
    ours.llmsuggest_connect((ctypes.c_void_p * len(addresses))(*addresses))
    load.restype, load.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    # ggml compares the versions of the interface
    if not load(ours._name.encode()):
        raise KernelsUnavailable("this llama.cpp wants another version of them")


def use_threads(count: int) -> None:
    """Have them use so many threads from now on, rather than as many as llama.cpp."""
    library().llmsuggest_use_threads(count)


def why_not() -> str:
    """Why they cannot be used here; empty if they can, and then they are registered."""
    try:
        register()
    except KernelsUnavailable as error:
        return str(error)
    return ""
