"""The devices of llama.cpp, and a description of its build."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import NamedTuple

import llama_cpp as C  # noqa: N812 - the C API, as in `C.llama_decode`
from llama_cpp import _ggml

from llmsuggestd.engine.llama_log import capture_log

GPU, INTEGRATED_GPU = 1, 2
"""ggml's device types (ggml-backend.h); 0 is the CPU, 3 an accelerator beside it."""


class Device(NamedTuple):
    """A device that ggml sees."""

    name: str
    description: str
    is_gpu: bool
    integrated: bool
    """Whether it is a GPU that shares the memory of the CPU."""
    free: int
    """Bytes of its memory that are free."""
    total: int


def devices() -> list[Device]:
    """The devices that this build of llama.cpp sees, with their memory."""
    capture_log()
    C.llama_backend_init()
    lib = _ggml.libggml
    lib.ggml_backend_dev_count.restype = ctypes.c_size_t
    lib.ggml_backend_dev_get.restype = ctypes.c_void_p
    lib.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    for name in ("name", "description"):
        getattr(lib, f"ggml_backend_dev_{name}").restype = ctypes.c_char_p
        getattr(lib, f"ggml_backend_dev_{name}").argtypes = [ctypes.c_void_p]
    lib.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
    lib.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p] + [ctypes.POINTER(ctypes.c_size_t)] * 2
    found = []
    for index in range(lib.ggml_backend_dev_count()):
        handle = lib.ggml_backend_dev_get(index)
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        lib.ggml_backend_dev_memory(handle, ctypes.byref(free), ctypes.byref(total))
        found.append(
            Device(
                name=lib.ggml_backend_dev_name(handle).decode(),
                description=lib.ggml_backend_dev_description(handle).decode(),
                is_gpu=lib.ggml_backend_dev_type(handle) in (GPU, INTEGRATED_GPU),
                integrated=lib.ggml_backend_dev_type(handle) == INTEGRATED_GPU,
                free=free.value,
                total=total.value,
            )
        )
    return found


def gpus() -> list[Device]:
    """The GPUs on which llama.cpp will put layers: integrated ones only if there is no other."""
    found = [device for device in devices() if device.is_gpu]
    return [device for device in found if not device.integrated] or found


def build() -> str:
    """The build of llama.cpp, as a word that changes when it does."""
    base = ctypes.CDLL(str(next(Path(C.__file__).parent.glob("lib/*ggml-base*"))))
    base.ggml_version.restype = base.ggml_commit.restype = ctypes.c_char_p
    return f"{C.__version__}+ggml-{base.ggml_version().decode()}-{base.ggml_commit().decode()}"


def system_info() -> str:
    """The instruction sets and features that the build uses on this machine."""
    text: bytes = C.llama_print_system_info()
    return text.decode().strip()
