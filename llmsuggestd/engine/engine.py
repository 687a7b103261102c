"""A loaded model that answers requests: one llama.cpp context with prompts and searches."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from llmsuggestd.engine import kernels, protocol
from llmsuggestd.engine.batches import Need, batches
from llmsuggestd.engine.devices import gpus
from llmsuggestd.engine.healing import MAX_TAKEN_BACK, Healing, Vocabulary, take_back
from llmsuggestd.engine.llama import Llama
from llmsuggestd.engine.llama_log import LlamaError
from llmsuggestd.engine.model_file import Header, read_header
from llmsuggestd.engine.offload import fewer, layers_to_offload
from llmsuggestd.engine.prompt import Prompter, Question, Reader
from llmsuggestd.engine.search import Floats, Search, beam_search, run, sample
from llmsuggestd.engine.threads import (
    AdaptiveThreads,
    ask_for_short_slices,
    threads_to_use,
    threads_when_contended,
    usable_cores,
)
from llmsuggestd.engine.tokenizer import nfc
from llmsuggestd.limits import MAX_CANDIDATES
from llmsuggestd.units import milliseconds


class _Prepared(NamedTuple):
    """A goal with its prompt and its share of the context."""

    truncated: bool
    taken: bytes
    """The bytes that were taken back from the prefix. Candidates first spell them out."""
    max_tokens: int
    """Limit of a candidate's tokens, including those that spell out `taken`."""
    need: Need


class Engine:
    """A loaded model that answers `Suggest`."""

    def __init__(self, load: protocol.Load) -> None:
        began = time.monotonic()
        ask_for_short_slices()  # before llama.cpp starts its threads, which inherit the setting
        header = read_header(Path(load.path), load.context)
        self.llama, device = _load(load, header)
        self._format = load.format
        self._stops = tuple(stop.encode() for stop in load.format.stop)
        self._nfc = header.nfc
        self._prompter = self._make_prompter()
        threads = load.threads or threads_to_use(usable_cores(), self.llama.parameters)
        contended = threads_when_contended(
            threads, self.llama.parameters, own_kernels=self.llama.kernels == "own"
        )
        self.threads = AdaptiveThreads(
            threads, self.llama.use_threads, contended=None if load.threads else contended
        )
        self.llama.before_decode = self.threads.before_decode
        self.vocabulary = Vocabulary(self.llama.pieces)
        self.loaded = protocol.Loaded(
            description=self.llama.description,
            device=device,
            parameters=self.llama.parameters,
            bytes=self.llama.bytes,
            context=self.llama.context,
            threads=threads,
            kernels="gpu" if self.llama.gpu_layers else self.llama.kernels,
            load_ms=milliseconds(time.monotonic() - began),
            instructions=kernels.instructions() if self.llama.kernels == "own" else None,
        )

    def _make_prompter(self) -> Prompter:
        """Make the prompter. Raises LlamaError if the vocabulary lacks a token of the format."""
        special: dict[str, int] = {}
        for text in self._format.special:
            token = self.llama.special_token(text)
            if token is None:
                raise LlamaError(
                    f"its vocabulary has no token {text!r}, which the format"
                    f" {self._format.name} needs",
                    "choose the format that it was trained with",
                )
            special[text] = token
        return Prompter(
            self._format,
            lambda text: self.llama.tokenize(self._normalise(text)),
            special=special,
            begin=self.llama.begin(self._format.bos),
        )

    def _normalise(self, text: str) -> str:
        """Normalise a text as the model's tokenizer does, since llama.cpp does not."""
        return nfc(text) if self._nfc else text

    def suggest(self, request: protocol.Suggest) -> protocol.Result:
        """Answer a request. Raises Cancelled once `llama.stop` is raised, LlamaError on failure."""
        began = time.monotonic()
        self.threads.before_request()
        prepared = [self._prepare(request, goal) for goal in request.goals]
        found: list[protocol.Found] = []
        reused = 0
        decoding = 0.0
        for numbers in self._batches(request, prepared):
            batch = [prepared[i] for i in numbers]
            rows = self.llama.start([goal.need.prompt for goal in batch])
            reused += self.llama.reused
            started = time.monotonic()
            searches = [
                self._search(request, goal, row) for goal, row in zip(batch, rows, strict=True)
            ]
            for goal, hypotheses in zip(batch, run(searches, self.llama.step), strict=True):
                suggestions = [protocol.Suggestion(*hypothesis) for hypothesis in hypotheses]
                found.append(protocol.Found(suggestions, goal.truncated))
            decoding += time.monotonic() - started
        return protocol.Result(
            id=request.id,
            found=found,
            prompt_tokens=sum(len(goal.need.prompt) for goal in prepared),
            reused_tokens=reused,
            prompt_ms=milliseconds(time.monotonic() - began - decoding),
            decode_ms=milliseconds(decoding),
        )

    def _prepare(self, request: protocol.Suggest, goal: str) -> _Prepared:
        """Make a goal's prompt, and divide the context between prompt and candidates.

        The division depends only on the request's other fields, since a goal's answer must not
        depend on the goals that are decoded with it.
        """
        llama = self.llama
        width = min(request.n, MAX_CANDIDATES)
        positions = min(llama.context, llama.trained_context)
        # candidates first spell out the word that was taken back from the prefix
        spelt = self._format.space_before_prefix() + self._normalise(request.prefix)
        longest = request.max_tokens + (MAX_TAKEN_BACK if spelt else 0)
        # at least half of the context is reserved for the prompt
        room = min(width * longest, llama.context // 2)
        longest = min(longest, positions // 2, room // width)
        prompt, truncated = self._prompter.fit(
            Question(goal, request.prefix, request.context, request.name),
            min(llama.context - room, positions - longest),
        )
        tokens, taken = take_back(prompt, spelt.encode(), llama.pieces.__getitem__)
        max_tokens = min(request.max_tokens + len(prompt) - len(tokens), longest)
        need = Need(width, tokens, width * max_tokens)
        return _Prepared(truncated, taken, max_tokens, need)

    def _batches(self, request: protocol.Suggest, prepared: Sequence[_Prepared]) -> Iterator[range]:
        """Yield the ranges of goals that are decoded together."""
        llama = self.llama
        if request.mode == "sample" and request.seed is not None and llama.kernels != "own":
            # llama.cpp's rounding depends on the batch, and could change the draws
            for i in range(len(prepared)):
                llama.forget()
                yield range(i, i + 1)
        else:
            yield from batches([goal.need for goal in prepared], llama.context)

    def _search(self, request: protocol.Suggest, goal: _Prepared, first: Floats) -> Search:
        """The search for a goal. `first` has the log probabilities of the first token."""
        healing = Healing(goal.taken, self.vocabulary)
        reader = Reader(request.prefix, self._stops, healing.continuation)
        if request.mode == "beam":
            return beam_search(
                healing.first(first),
                healing,
                width=goal.need.candidates,
                max_tokens=goal.max_tokens,
                end=self.llama.ends,
                text=reader.text,
                stopped=reader.stopped,
                length=healing.length,
            )
        return sample(
            healing.first(first),
            healing,
            count=goal.need.candidates,
            max_tokens=goal.max_tokens,
            end=self.llama.ends,
            text=reader.text,
            stopped=reader.stopped,
            temperature=request.temperature,
            seed=request.seed,
            length=healing.length,
        )


def _load(load: protocol.Load, header: Header) -> tuple[Llama, str]:
    """Load a model with as many layers on GPUs as fit. Returns it with its device's name.

    The memory that a GPU's driver reserves is not known in advance. So a failed load is tried again
    with fewer layers, and finally with none.
    """
    found = gpus()
    layers = layers_to_offload(load.gpu, [gpu.free for gpu in found], header.size)
    while True:
        try:
            llama = Llama(
                Path(load.path),
                gpu_layers=layers,
                threads=load.threads or usable_cores(),
                context=load.context,
                kernels=choose_kernels(load, header.file_type, layers),
                corrections=header.corrections,
            )
        except LlamaError as error:
            if layers == 0:
                raise
            print(f"{layers} layers on the GPU: {error}; trying fewer", file=sys.stderr)
            layers = fewer(layers)
        else:
            names = " + ".join(gpu.description for gpu in found)
            return llama, f"{names} ({layers}/{header.size.layers} layers)" if layers else "CPU"


def choose_kernels(load: protocol.Load, file_type: int | None, gpu_layers: int) -> protocol.Kernels:
    """The most preferred kernels that can be used.

    Our own are used only without a GPU: beside one, they would take work from it.
    """
    own = file_type in kernels.FILE_TYPES and not gpu_layers and not kernels.why_not()
    return next(name for name in load.kernels if name != "own" or own)
