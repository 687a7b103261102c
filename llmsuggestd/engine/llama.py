"""The part of llama.cpp that the search needs: one model, some prompts, many candidates.

All candidates are in one context with a unified KV cache, in which a cell may belong to several
sequences. The sequences below MAX_CANDIDATES are the candidates. A candidate shares its prompt's
cells, and those of the candidate from which it branched. The other sequences are prompts: those
that are being answered, and recent ones. Prompts with the same beginning share its cells.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import llama_cpp as C  # noqa: N812 - the C API, as in `C.llama_decode`
import numpy as np

from llmsuggestd.engine import kernels as own_kernels
from llmsuggestd.engine.batches import in_common
from llmsuggestd.engine.llama_log import LlamaError, capture_log, last_error, stops
from llmsuggestd.engine.model_file import open_model, overrides
from llmsuggestd.engine.protocol import Kernels
from llmsuggestd.engine.search import Floats, log_softmax
from llmsuggestd.engine.threads import Threads
from llmsuggestd.engine.tokenizer import Corrections
from llmsuggestd.limits import MAX_CANDIDATES, MAX_GOALS

MAX_PROMPTS = 4
"""Prompts that stay in the cache, or as many as a request has goals if these are more. Lean
elaborates several theorems at the same time, so the requests' goals alternate between theorems."""

MAX_SEQUENCES = MAX_CANDIDATES + 2 * MAX_GOALS
"""Sequences of a context: candidates, prompts in the cache, and prompts that are being answered."""

PROMPT_CHUNK = 256
"""Tokens of a prompt per batch. A GPU cannot abort a decode, so this limits how long a cancelled
request continues."""

ABORTED = 2
"""llama_decode's result after its abort callback returned true."""


class Cancelled(Exception):
    """The request has been cancelled."""


class StopFlag:
    """A flag that llama.cpp checks between the operations of a decode, without entering Python.

    llama.cpp's abort callback is a C function of a pointer. Here it is `strlen` of a string that is
    empty until the flag is raised, so a check takes nanoseconds and needs no interpreter lock. Only
    the CPU backend calls it (llama.h, `llama_set_abort_callback`).
    """

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)
        libc = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
        self.callback = ctypes.cast(libc.strlen, C.ggml_abort_callback)
        self.data = ctypes.cast(self._text, ctypes.c_void_p)

    def raise_(self) -> None:
        """Stop the current decode. Any thread may call this."""
        self._text[0] = b"x"

    def lower(self) -> None:
        """Allow decodes again."""
        self._text[0] = b"\0"

    def __bool__(self) -> bool:
        return self._text[0] != b"\0"


class Llama:
    """A loaded model and its context.

    Raises LlamaError if llama.cpp cannot load the file, and KernelsUnavailable if `kernels` is
    `own` and they cannot be used. Once registered, our kernels stay for all models of the process.
    The constructor also decodes for the first time. A build that cannot decode thus fails, or dies,
    before a request waits for it. Decodes raise Cancelled while `stop` is raised.
    """

    def __init__(
        self,
        path: Path,
        *,
        gpu_layers: int,
        threads: int,
        context: int,
        kernels: Kernels,
        corrections: Corrections | None = None,
    ) -> None:
        capture_log()
        C.llama_backend_init()
        if kernels == "own":
            own_kernels.register()
        self.kernels = kernels
        self.gpu_layers = gpu_layers
        self._model = _load_model(
            path, gpu_layers, extra_buffers=kernels == "repacked", corrections=corrections or {}
        )
        self._context: Any = None
        try:
            self._prepare(context, threads)
        except LlamaError:
            # the next try, with fewer layers on the GPU, needs this memory
            C.llama_free(self._context)
            C.llama_model_free(self._model)
            raise

    def _prepare(self, context: int, threads: int) -> None:
        """Make the context, read the vocabulary, and decode for the first time."""
        self._vocab = C.llama_model_get_vocab(self._model)
        self._piece_buffer = ctypes.create_string_buffer(4096)
        self._context = self._new_context(context, threads)
        self._memory = C.llama_get_memory(self._context)
        self.stop = StopFlag()
        stops.append(self.stop.__bool__)
        C.llama_set_abort_callback(self._context, self.stop.callback, self.stop.data)
        self.before_decode: Callable[[], None] = lambda: None
        """Called before each batch."""
        self._batch = C.llama_batch_init(max(PROMPT_CHUNK, MAX_CANDIDATES), 0, 1)
        self.context = int(C.llama_n_ctx(self._context))
        self.trained_context = int(C.llama_model_n_ctx_train(self._model))
        self.vocabulary = int(C.llama_vocab_n_tokens(self._vocab))
        self.parameters = int(C.llama_model_n_params(self._model))
        self.bytes = int(C.llama_model_size(self._model))
        self.ends = frozenset(
            token for token in range(self.vocabulary) if C.llama_vocab_is_eog(self._vocab, token)
        )
        self._never = self._tokens_never_chosen()
        self.pieces = [self._piece(token) for token in range(self.vocabulary)]
        self._prompts: dict[int, list[int]] = {}
        """The decoded tokens of each prompt in the cache, by sequence; the most recent is last."""
        self.reused = 0
        """The number of tokens of the last `start`'s prompts that were in the cache."""
        self._slots: list[int] = []
        """The sequence of each candidate, or of its prompt before the first step."""
        self._positions: list[int] = []
        """The number of tokens of each candidate, prompt included."""
        self._probe()

    def _new_context(self, context: int, threads: int) -> Any:
        params = C.llama_context_default_params()
        params.n_ctx = context
        params.n_batch = params.n_ubatch = max(PROMPT_CHUNK, MAX_CANDIDATES)
        params.n_seq_max = MAX_SEQUENCES
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        if self.kernels == "own":
            # in automatic mode, llama.cpp disables it, since attention and cache are on two devices
            params.flash_attn_type = C.LLAMA_FLASH_ATTN_TYPE_ENABLED
        handle = C.llama_init_from_model(self._model, params)
        if not handle:
            raise LlamaError(last_error("llama.cpp could not make a context"))
        return handle

    def _tokens_never_chosen(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        """Control tokens other than end tokens, and rows that only pad the embedding."""
        hidden = C.LLAMA_TOKEN_ATTR_CONTROL | C.LLAMA_TOKEN_ATTR_UNUSED | C.LLAMA_TOKEN_ATTR_UNKNOWN
        return np.array(
            [
                token
                for token in range(self.vocabulary)
                if token not in self.ends and C.llama_vocab_get_attr(self._vocab, token) & hidden
            ],
            dtype=np.intp,
        )

    def _probe(self) -> None:
        """Decode a few tokens together, then one: the two shapes of batches in an answer."""
        self._decode([0] * 8, range(8), [0] * 8, outputs=[7])
        self._decode([0], [8], [0], outputs=[0])
        self.forget()

    @property
    def description(self) -> str:
        """llama.cpp's description of the model, such as `gptneox 2.8B Q4_K - Medium`."""
        buffer = ctypes.create_string_buffer(256)
        C.llama_model_desc(self._model, buffer, len(buffer))
        # llama.cpp prints `?B` for sizes that it does not know
        return buffer.value.decode().replace("?B", f"{self.parameters / 1e6:.3g}M")

    def use_threads(self, threads: Threads) -> None:
        """Set the number of threads for later decodes."""
        C.llama_set_n_threads(self._context, threads.llama, threads.llama)
        if self.kernels == "own":
            own_kernels.use_threads(threads.kernels)

    def tokenize(self, text: str) -> list[int]:
        """The tokens of a text. Special tokens in it count as plain text."""
        data = text.encode()
        capacity = len(data) + 8
        tokens = (C.llama_token * capacity)()
        count = C.llama_tokenize(self._vocab, data, len(data), tokens, capacity, False, False)
        if count < 0:
            raise LlamaError(f"llama.cpp could not tokenise {len(data)} bytes")
        return list(tokens[:count])

    def special_token(self, text: str) -> int | None:
        """The token whose whole text this is; None if the vocabulary has none."""
        data = text.encode()
        found = (
            n for n in range(self.vocabulary) if C.llama_vocab_get_text(self._vocab, n) == data
        )
        return next(found, None)

    def begin(self, wanted: bool | None) -> list[int]:
        """The tokens at a prompt's start: the BOS token, if it is wanted. None: the file decides.

        Raises LlamaError if a BOS token is wanted and the vocabulary has none.
        """
        token = int(C.llama_vocab_bos(self._vocab))
        if not (C.llama_vocab_get_add_bos(self._vocab) if wanted is None else wanted):
            return []
        if token < 0:
            raise LlamaError("its vocabulary has no token that begins a text (BOS)")
        return [token]

    def _piece(self, token: int) -> bytes:
        """A token's bytes. They may be a part of a character, and are empty for control tokens."""
        buffer = self._piece_buffer
        count = C.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False)
        return buffer.raw[: max(count, 0)]

    def forget(self) -> None:
        """Drop all cells, including those of the prompts in the cache."""
        C.llama_memory_clear(self._memory, True)
        self._prompts = {}

    def start(self, prompts: Sequence[Sequence[int]]) -> Floats:
        """Decode prompts. A prompt reuses the cells of a beginning that it shares with another.

        Returns the log probabilities of each prompt's next token, shape (len(prompts), vocabulary).
        After a cancellation, the cells decoded so far stay in the cache.
        """
        for candidate in range(MAX_CANDIDATES):
            C.llama_memory_seq_rm(self._memory, candidate, -1, -1)
        while len(self._prompts) > max(MAX_PROMPTS, len(prompts)):
            self._drop(next(iter(self._prompts)))
        self.reused = 0
        self._slots = []
        rows = []
        for prompt in prompts:
            sequence, shared = self._place(prompt)
            self.reused += shared
            self._slots.append(sequence)
            rows.append(self._decode_prompt(prompt, sequence, shared))
        self._positions = [len(prompt) for prompt in prompts]
        return np.stack(rows)

    def _decode_prompt(self, prompt: Sequence[int], sequence: int, shared: int) -> Floats:
        """Decode a prompt, except its first `shared` tokens.

        Returns the log probabilities of the next token, shape (vocabulary,).
        """
        row: Floats | None = None
        for begin in range(shared, len(prompt), PROMPT_CHUNK):
            chunk = prompt[begin : begin + PROMPT_CHUNK]
            last = begin + len(chunk) == len(prompt)
            rows = self._decode(
                chunk,
                range(begin, begin + len(chunk)),
                [sequence] * len(chunk),
                outputs=[len(chunk) - 1] if last else [],
            )
            self._prompts[sequence].extend(chunk)
            if last:
                row = rows[0]
        assert row is not None, "a prompt has at least one token"
        return row

    def _place(self, prompt: Sequence[int]) -> tuple[int, int]:
        """Choose a sequence for a prompt. Returns it and its number of tokens already decoded.

        Prompts that are being answered stay in the cache. The others stay while all prompts
        together take at most half of the context.
        """
        kept = self._prompts
        # the last token is always decoded, since its output is needed
        common = {sequence: in_common(tokens, prompt[:-1]) for sequence, tokens in kept.items()}
        source = max(common, key=lambda sequence: common[sequence], default=None)
        shared = 0 if source is None else common[source]

        sequence = next(s for s in range(MAX_CANDIDATES, MAX_SEQUENCES) if s not in kept)
        if source is not None and shared:
            C.llama_memory_seq_cp(self._memory, source, sequence, 0, shared)
            # a proof's next goal shares most of its tokens with the previous one, and replaces it
            if 2 * shared > len(kept[source]) and source not in self._slots:
                self._drop(source)
            else:
                kept[source] = kept.pop(source)  # most recently used
        room = self.context // 2 - len(prompt)
        for other in [other for other in kept if other not in self._slots]:
            if sum(map(len, kept.values())) > room:
                self._drop(other)
        kept[sequence] = list(prompt[:shared])
        return sequence, shared

    def _drop(self, sequence: int) -> None:
        """Drop a prompt from the cache. Cells that it shares with others stay."""
        C.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        del self._prompts[sequence]

    def step(self, parents: Sequence[int], tokens: Sequence[int]) -> Floats:
        """Extend candidates by one token each, in one batch, as a `search.Step`."""
        slots = self._slots
        alive = {slots[parent] for parent in parents}
        free = [slot for slot in range(MAX_CANDIDATES) if slot not in alive]
        taken = set(self._prompts)  # a prompt's sequence must stay unchanged, so it is copied
        new: list[int] = []
        copies: list[tuple[int, int]] = []
        for parent in parents:
            slot = slots[parent]
            if slot in taken:
                copies.append((slot, free.pop()))
                slot = copies[-1][1]
            taken.add(slot)
            new.append(slot)
        for source, target in copies:
            C.llama_memory_seq_rm(self._memory, target, -1, -1)
            C.llama_memory_seq_cp(self._memory, source, target, -1, -1)
        for slot in set(slots) - set(new) - set(self._prompts):
            C.llama_memory_seq_rm(self._memory, slot, -1, -1)
        positions = [self._positions[parent] for parent in parents]
        rows = self._decode(tokens, positions, new, range(len(tokens)))
        self._slots = new
        self._positions = [position + 1 for position in positions]
        return rows

    def _decode(
        self,
        tokens: Sequence[int],
        positions: Sequence[int],
        sequences: Sequence[int],
        outputs: Sequence[int],
    ) -> Floats:
        """Decode one batch. Returns the log probabilities after each token at `outputs`, by row."""
        batch = self._batch
        batch.n_tokens = len(tokens)
        for i, (token, position, sequence) in enumerate(
            zip(tokens, positions, sequences, strict=True)
        ):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = 0
        for i in outputs:
            batch.logits[i] = 1
        self.before_decode()
        if self.stop:
            raise Cancelled
        code = C.llama_decode(self._context, batch)
        if code == ABORTED:  # llama.cpp has removed only the cells of this batch
            raise Cancelled
        if code != 0:
            self.forget()
            raise LlamaError(last_error(f"llama_decode returned {code}"))
        if not outputs:
            return np.empty((0, self.vocabulary), np.float32)
        logits = np.stack(
            [
                np.ctypeslib.as_array(C.llama_get_logits_ith(self._context, i), (self.vocabulary,))
                for i in outputs
            ]
        )
        logits[:, self._never] = -np.inf
        return log_softmax(logits)


def _load_model(
    path: Path, gpu_layers: int, *, extra_buffers: bool, corrections: Corrections
) -> Any:
    params = C.llama_model_default_params()
    keys = overrides(corrections)  # the reference keeps them alive until the model is loaded
    params.kv_overrides = keys
    params.n_gpu_layers = gpu_layers
    if gpu_layers == 0:  # without these settings, a GPU would still compute long prompts
        params.split_mode = C.LLAMA_SPLIT_MODE_NONE
        params.main_gpu = -1
    params.use_extra_bufts = extra_buffers
    if extra_buffers:
        # repacked weights are a copy, and a mapped file would stay in memory beside it
        params.load_mode = C.LLAMA_LOAD_MODE_NONE
    return open_model(path, params)
