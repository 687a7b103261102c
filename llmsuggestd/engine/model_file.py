"""A model's file as llama.cpp opens it, and what its header says."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any, NamedTuple

import llama_cpp as C  # noqa: N812 - the C API, as in `C.llama_decode`

from llmsuggestd.engine.llama_log import LlamaError, capture_log, last_error
from llmsuggestd.engine.offload import Size


class Header(NamedTuple):
    """What has to be known of a model before it is loaded."""

    size: Size
    file_type: int | None
    """The mix of types of its weights (llama.h, `enum llama_ftype`), if it says."""


def read_header(path: Path, context: int) -> Header:
    """Read a model's header. Raises LlamaError as loading does."""
    capture_log()
    params = C.llama_model_default_params()
    params.vocab_only = True
    model = open_model(path, params)
    architecture = _metadata(model, "general.architecture")

    def number(key: str, otherwise: str = "") -> int:
        value = _metadata(model, f"{architecture}.{key}") or otherwise
        if not value.isdigit():
            raise LlamaError(f"its header says {value!r} for {key}")
        return int(value)

    heads = number("attention.head_count")
    cached_heads = number("attention.head_count_kv", otherwise=str(heads))
    embedding = number("embedding_length")
    size = Size(
        weights=path.stat().st_size,
        layers=number("block_count") + 1,
        # keys and values, float16
        cache_per_layer=context * embedding * cached_heads // heads * 2 * 2,
    )
    file_type = _metadata(model, "general.file_type")
    C.llama_model_free(model)
    return Header(size, int(file_type) if file_type.isdigit() else None)


def _metadata(model: Any, key: str) -> str:
    buffer = ctypes.create_string_buffer(256)
    C.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode()


def open_model(path: Path, params: Any) -> Any:
    """Open a model's file with `llama_model_params`. Raises LlamaError."""
    model = C.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        raise LlamaError(last_error("llama.cpp could not load it"))
    return model
