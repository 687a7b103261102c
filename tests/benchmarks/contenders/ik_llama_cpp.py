"""ik_llama.cpp, a fork of llama.cpp with faster kernels for CPUs."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tests.benchmarks.contenders.contender import THREADS, Contender, Question
from tests.benchmarks.environments import IK_NATIVE

CONTEXT = 2048
CANDIDATES = 16


class IkAvx2(Contender):
    """ik_llama.cpp's C API: one prompt, n sequences that share it, n tokens per decode.

    The weights are repacked. The first tokens are the n best ones, and each later token is the best
    one of its sequence, which costs less than a beam search. The wheel is compiled for AVX2.
    """

    title = "ik_llama.cpp, built for AVX2"
    weights = "Q4_K_M, repacked"
    packages = ("ik-llama-cpp-python",)
    without_avx512: ClassVar[tuple[str, ...] | None] = ()

    def __init__(self, model: Path) -> None:
        from ik_llama_cpp import _ctypes_api as C  # noqa: N812 - the C API

        self._c = C
        C.llama_backend_init()
        settings = C.llama_model_default_params()
        settings.use_mmap = False
        settings.repack_tensors = True
        self._model = C.llama_model_load_from_file(str(model).encode(), settings)
        assert self._model, "the model was not loaded"
        self._vocabulary = C.llama_vocab_n_tokens(C.llama_model_get_vocab(self._model))
        limits = C.llama_context_default_params()
        limits.n_ctx = limits.n_batch = CONTEXT
        limits.n_seq_max = CANDIDATES
        limits.n_threads = limits.n_threads_batch = THREADS
        limits.flash_attn = False  # it fails an assertion on processors without AVX-VNNI
        self._context = C.llama_init_from_model(self._model, limits)
        assert self._context, "the context was not made"
        self._batch = C.llama_batch_init(CONTEXT, 0, 1)
        self._copy = C._lib.llama_kv_cache_seq_cp
        self._copy.argtypes = [ctypes.c_void_p] + 4 * [ctypes.c_int32]

    def answer(self, question: Question) -> dict[str, Any]:
        prompt = self._tokens(question.prompt)
        self._c.llama_kv_cache_clear(self._context)
        (logits,) = self._decode(prompt, range(len(prompt)), [0] * len(prompt), outputs=1)
        tokens = np.argpartition(logits, -question.n)[-question.n :].tolist()
        sequences = range(question.n)
        for sequence in sequences[1:]:
            self._copy(self._context, 0, sequence, 0, len(prompt))
        for step in range(question.max_tokens - 1):
            positions = [len(prompt) + step] * question.n
            logits = self._decode(tokens, positions, sequences, outputs=question.n)
            tokens = logits.argmax(axis=1).tolist()
        return {}

    def _tokens(self, text: str) -> list[int]:
        data = text.encode()
        buffer = (self._c.llama_token * len(data))()
        count = self._c.llama_tokenize(self._model, data, len(data), buffer, len(data), False, True)
        assert count > 0, "the prompt was not tokenized"
        return list(buffer[:count])

    def _decode(
        self,
        tokens: Sequence[int],
        positions: Sequence[int],
        sequences: Sequence[int],
        outputs: int,
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Decode a batch. Returns the logits after its last tokens, as many as `outputs`."""
        batch = self._batch
        batch.n_tokens = len(tokens)
        for i, (token, position, sequence) in enumerate(
            zip(tokens, positions, sequences, strict=True)
        ):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = i >= len(tokens) - outputs
        assert self._c.llama_decode(self._context, batch) == 0, "the decode failed"
        rows = [
            np.ctypeslib.as_array(
                self._c.llama_get_logits_ith(self._context, i), (self._vocabulary,)
            )
            for i in range(len(tokens) - outputs, len(tokens))
        ]
        return np.stack(rows)


class IkNative(IkAvx2):
    """ik_llama.cpp compiled for this processor, and run in the same way."""

    title = "ik_llama.cpp, built for this processor"
    environment = IK_NATIVE
    usual = False  # compiling it takes long
    without_avx512 = None
