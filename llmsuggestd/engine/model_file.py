"""Opens a model's file with llama.cpp, and reads its header."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import llama_cpp as C  # noqa: N812 - the C API, as in `C.llama_decode`

from llmsuggestd import filekind
from llmsuggestd.engine import architectures, tokenizer
from llmsuggestd.engine.llama_log import LlamaError, capture_log, last_error
from llmsuggestd.engine.offload import Size
from llmsuggestd.engine.tokenizer import Corrections


class Header(NamedTuple):
    """Facts about a model that are needed before it is loaded."""

    size: Size
    file_type: int | None
    """The mix of its weights' types (llama.h, `enum llama_ftype`); None if the file has none."""
    corrections: Corrections
    """The values that the file should have for its tokenizer, but has not."""
    nfc: bool
    """Whether its tokenizer needs text in Unicode's normal form NFC."""


def read_header(path: Path, context: int) -> Header:
    """Read a model's header.

    Raises LlamaError as loading does, if its tokenizer is unknown, and for an architecture whose
    memory cannot be copied.
    """
    capture_log(warnings=False)  # loading repeats the warnings that are not corrected
    params = C.llama_model_default_params()
    params.vocab_only = True
    try:
        model = open_model(path, params)
    finally:
        capture_log()
    architecture = _metadata(model, "general.architecture")

    try:
        _check_architecture(model, architecture)
        file_type = _metadata(model, "general.file_type")
        corrections = _corrections(model, architecture)
        pre = str(corrections.get(tokenizer.PRE_KEY) or _metadata(model, tokenizer.PRE_KEY))
        return Header(
            _size(model, architecture, path, context),
            int(file_type) if file_type.isdigit() else None,
            corrections,
            tokenizer.needs_nfc(architecture, pre, _metadata(model, tokenizer.NORMALIZER_KEY)),
        )
    finally:
        C.llama_model_free(model)


def _size(model: Any, architecture: str, path: Path, context: int) -> Size:
    def number(key: str, otherwise: int | None = None) -> int:
        """A number in the header, or the highest one if there is one per layer."""
        value = _metadata(model, f"{architecture}.{key}")
        numbers = [int(found) for found in re.findall(r"\d+", value)]
        if not numbers and otherwise is None:
            raise LlamaError(f"its header says {value!r} for {key}")
        return max(numbers) if numbers else otherwise or 0

    heads = number("attention.head_count")
    cached_heads = number("attention.head_count_kv", heads)
    of_a_head = number("embedding_length") // max(heads, 1)
    keys = number("attention.key_length", of_a_head)
    values = number("attention.value_length", of_a_head)
    return Size(
        weights=path.stat().st_size,
        layers=number("block_count") + 1,
        cache_per_layer=context * cached_heads * (keys + values) * 2,  # float16
    )


def _check_architecture(model: Any, name: str) -> None:
    """Raise LlamaError unless the model has the memory that a beam needs, and decodes text."""
    if C.llama_model_is_recurrent(model) or C.llama_model_is_hybrid(model):
        raise LlamaError(*architectures.recurrent(name))
    sees_ahead = _metadata(model, f"{name}.attention.causal") == "false"  # as BERT does
    if sees_ahead or C.llama_model_has_encoder(model) or C.llama_model_is_diffusion(model):
        raise LlamaError(*architectures.no_decoder(name))


def _corrections(model: Any, architecture: str) -> Corrections:
    vocab = C.llama_model_get_vocab(model)
    size = int(C.llama_vocab_n_tokens(vocab))
    text = _metadata(model, tokenizer.END_KEY)
    end = int(text) if text.isdigit() else None
    attributes = C.llama_vocab_get_attr(vocab, end) if end is not None and end < size else 0
    facts = tokenizer.Facts(
        architecture,
        _metadata(model, tokenizer.MODEL_KEY),
        _metadata(model, tokenizer.PRE_KEY),
        end,
        size,
        end_is_text=bool(attributes & C.LLAMA_TOKEN_ATTR_NORMAL),
    )

    def number_of(text: str) -> int | None:
        data = text.encode()
        return next((i for i in range(size) if C.llama_vocab_get_text(vocab, i) == data), None)

    try:
        found = tokenizer.corrections(facts, number_of)
    except tokenizer.Unknown as error:
        raise LlamaError(str(error), error.hint) from None
    for key, value in found.items():
        sys.stderr.write(f"{key} is missing or wrong in the file; {value} is used\n")
    return found


def _metadata(model: Any, key: str) -> str:
    buffer = ctypes.create_string_buffer(256)
    C.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode()


def open_model(path: Path, params: Any) -> Any:
    """Open a model's file with `llama_model_params`. Raises LlamaError."""
    model = C.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        message = last_error("llama.cpp could not load it")
        kind = filekind.recognise(path)
        if kind is not None and kind.what != filekind.GGUF:
            raise LlamaError(f"{path.name} is {kind.what}", kind.remedy)
        raise LlamaError(message)
    return model


def overrides(corrections: Corrections) -> Any:
    """Corrections in llama.cpp's form: an array that ends with an empty key."""
    result = (C.llama_model_kv_override * (len(corrections) + 1))()
    for entry, (key, value) in zip(result, corrections.items(), strict=False):
        entry.key = key.encode()
        if isinstance(value, str):
            entry.tag, entry.value.val_str = C.LLAMA_KV_OVERRIDE_TYPE_STR, value.encode()
        else:
            entry.tag, entry.value.val_i64 = C.LLAMA_KV_OVERRIDE_TYPE_INT, value
    return result
