"""Compares the next-token distributions of two GGUF models on the same texts.

This runs in a separate process (see `check`), since llama.cpp ends its process on some errors.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

CHUNK = 128
"""Tokens per decode."""

BATCH_POSITIONS = 1024
"""Number of positions whose distributions are in memory at the same time. Each needs 4 bytes per
token of the vocabulary: in all, about 200 MB for GPT-NeoX."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of two models on some texts.

    `tokens` are the tested model's tokens of each text. For each text, `agree` and `divergence`
    have a value per position: whether both models have the same most likely next token, and the
    Kullback-Leibler divergence of the tested model's distribution from the reference's, in nats.
    """

    tokens: list[list[int]]
    agree: list[npt.NDArray[np.bool_]]
    divergence: list[Floats]


def tokenize_all(model: Path, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text, in which special tokens count as plain text."""
    with _model(model, vocab_only=True) as handle:
        return [_tokenize(handle, text) for text in texts]


def compare(reference: Path, model: Path, texts: Sequence[str], threads: int) -> Comparison:
    """Compare two models. Only one is in memory at a time."""
    tokens = tokenize_all(model, texts)
    agree: list[npt.NDArray[np.bool_]] = []
    divergence: list[Floats] = []
    for batch in _batches(tokens):
        expected = list(log_probabilities(reference, batch, threads))
        tested = log_probabilities(model, batch, threads)
        for wanted, found in zip(expected, tested, strict=True):
            agree.append(wanted.argmax(axis=1) == found.argmax(axis=1))
            divergence.append((np.exp(wanted) * (wanted - found)).sum(axis=1))
    return Comparison(tokens, agree, divergence)


def log_probabilities(
    model: Path, texts: Iterable[Sequence[int]], threads: int
) -> Iterator[Floats]:
    """For each text, given as tokens: the log probabilities of the next token after each of its
    tokens, of shape (tokens, vocabulary).

    A text longer than the context is truncated. Raises `RuntimeError` if llama.cpp cannot decode.
    """
    with _context(model, threads) as context:
        for tokens in texts:
            yield _log_probabilities(context, tokens)


def _batches(texts: Sequence[list[int]]) -> Iterator[list[list[int]]]:
    batch: list[list[int]] = []
    for text in texts:
        if batch and sum(map(len, batch)) + len(text) > BATCH_POSITIONS:
            yield batch
            batch = []
        batch.append(text)
    yield batch


def _log_probabilities(context: Any, tokens: Sequence[int]) -> Floats:
    import llama_cpp as c

    vocab = c.llama_model_get_vocab(c.llama_get_model(context))
    size = c.llama_vocab_n_tokens(vocab)
    tokens = tokens[: c.llama_n_ctx(context)]
    c.llama_memory_clear(c.llama_get_memory(context), True)
    batch = c.llama_batch_init(CHUNK, 0, 1)
    rows = []
    try:
        for start in range(0, len(tokens), CHUNK):
            part = tokens[start : start + CHUNK]
            batch.n_tokens = len(part)
            for i, token in enumerate(part):
                batch.token[i], batch.pos[i], batch.logits[i] = token, start + i, 1
                batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
            if (code := c.llama_decode(context, batch)) != 0:
                raise RuntimeError(f"llama_decode returned {code}")
            logits = c.llama_get_logits(context)
            rows.append(np.ctypeslib.as_array(logits, (len(part), size)).copy())
    finally:
        c.llama_batch_free(batch)
    logits = np.concatenate(rows) if rows else np.empty((0, size), np.float32)
    logits -= logits.max(axis=1, keepdims=True)
    result: Floats = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return result


def _tokenize(model: Any, text: str) -> list[int]:
    import llama_cpp as c

    data = text.encode()
    buffer = (c.llama_token * (len(data) + 8))()
    vocab = c.llama_model_get_vocab(model)
    count = c.llama_tokenize(vocab, data, len(data), buffer, len(buffer), False, False)
    if count < 0:
        raise RuntimeError(f"llama_tokenize returned {count}")
    return list(buffer[:count])


@contextmanager
def _context(path: Path, threads: int) -> Iterator[Any]:
    import llama_cpp as c

    with _model(path) as model:
        params = c.llama_context_default_params()
        params.n_ctx = min(2048, c.llama_model_n_ctx_train(model))
        params.n_batch = params.n_ubatch = CHUNK
        params.n_threads = params.n_threads_batch = threads
        context = c.llama_init_from_model(model, params)
        if not context:
            raise RuntimeError(f"{path}: llama.cpp could not make a context")
        try:
            yield context
        finally:
            c.llama_free(context)


@contextmanager
def _model(path: Path, *, vocab_only: bool = False) -> Iterator[Any]:
    # Must be set before libgomp is loaded. Spinning threads starve each other on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import llama_cpp as c

    _log_lines.clear()
    c.llama_log_set(_log_callback(), None)
    c.llama_backend_init()
    params = c.llama_model_default_params()
    params.vocab_only = vocab_only
    params.n_gpu_layers = 0  # for the same arithmetic everywhere
    # On CPUs with AMX, the extra buffer types make the first decode of a quantised model crash.
    params.use_extra_bufts = False
    model = c.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        raise RuntimeError(f"{path}: llama.cpp cannot load it: {' '.join(_log_lines[:3])}")
    try:
        yield model
    finally:
        c.llama_model_free(model)


_log_lines: list[str] = []


@functools.cache
def _log_callback() -> Any:
    """The callback that records llama.cpp's errors. Cached: llama.cpp keeps a pointer to it."""
    import llama_cpp as c

    def keep(level: int, text: bytes, _: Any) -> None:
        if level >= 4:  # GGML_LOG_LEVEL_ERROR, and its continuations
            _log_lines.append(text.decode(errors="replace").strip())

    return c.llama_log_callback(keep)
