"""The engine's process: `python -m llmsuggestd.engine`, started by the daemon.

Reads requests on standard input and answers on standard output (`engine.protocol`). Requests are
done one after another; a second thread reads, so that a request can be cancelled while it runs.
With `--describe` it prints what llama.cpp is here, as JSON, and exits.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from llmsuggestd.engine import cgroup, kernels, protocol
from llmsuggestd.engine.healing import MAX_TAKEN_BACK, Healing, Vocabulary, take_back
from llmsuggestd.engine.llama import (
    MAX_WIDTH,
    Cancelled,
    Llama,
    LlamaError,
    StopFlag,
    build,
    devices,
    gpus,
    read_header,
    system_info,
)
from llmsuggestd.engine.offload import fewer, layers_to_offload
from llmsuggestd.engine.prompt import fit_prompt, nfc, suggestion_text
from llmsuggestd.engine.search import beam_search, sample
from llmsuggestd.engine.threads import (
    Manners,
    ask_for_short_slices,
    physical_cores,
    threads_in_a_crowd,
    threads_to_use,
    usable_cores,
)


class Engine:
    """A loaded model that answers `Suggest`."""

    def __init__(self, load: protocol.Load) -> None:
        began = time.monotonic()
        ask_for_short_slices()  # before llama.cpp starts its threads, which inherit it
        self.llama, device = _load(load)
        threads = load.threads or threads_to_use(usable_cores(), self.llama.parameters)
        crowded = threads_in_a_crowd(
            threads, self.llama.parameters, own_kernels=self.llama.kernels == "own"
        )
        self.manners = Manners(
            threads, self.llama.use_threads, crowded=None if load.threads else crowded
        )
        self.llama.before_decode = self.manners.before_decode
        self.vocabulary = Vocabulary(self.llama.pieces)
        self.loaded = protocol.Loaded(
            description=self.llama.description,
            device=device,
            parameters=self.llama.parameters,
            bytes=self.llama.bytes,
            context=self.llama.context,
            threads=threads,
            kernels="gpu" if self.llama.gpu_layers else self.llama.kernels,
            load_ms=_ms_since(began),
        )

    def suggest(self, request: protocol.Suggest) -> protocol.Result:
        """Answer a request. Raises Cancelled once `llama.stop` is raised, LlamaError on failure."""
        began = time.monotonic()
        self.manners.before_request()
        llama = self.llama
        width = min(request.n, MAX_WIDTH)
        positions = min(llama.context, llama.trained_context)
        # candidates first spell out what is taken back of the prefix
        longest = request.max_tokens + (MAX_TAKEN_BACK if request.prefix else 0)
        # at least half of the context is for the prompt, whatever the candidates ask for
        room = min(width * longest, llama.context // 2)
        longest = min(longest, positions // 2, room // width)
        prompt, truncated = fit_prompt(
            request.goal,
            request.prefix,
            llama.tokenize,
            min(llama.context - room, positions - longest),
        )
        tokens, taken = take_back(prompt, nfc(request.prefix).encode(), llama.pieces.__getitem__)
        max_tokens = min(request.max_tokens + len(prompt) - len(tokens), longest)
        if request.mode == "sample" and request.seed is not None:
            # what earlier prompts have left is rounded a little differently, and draws differently
            llama.forget()
        healing = Healing(llama.step, taken, self.vocabulary)
        first = healing.first(llama.start(tokens))
        prompt_ms = _ms_since(began)

        def text(tokens: Sequence[int]) -> str | None:
            continuation = healing.continuation(tokens)
            return None if continuation is None else suggestion_text(request.prefix, continuation)

        began = time.monotonic()
        if request.mode == "beam":
            found = beam_search(
                first,
                healing,
                width=width,
                max_tokens=max_tokens,
                end=llama.ends,
                text=text,
                length=healing.length,
            )
        else:
            found = sample(
                first,
                healing,
                count=width,
                max_tokens=max_tokens,
                end=llama.ends,
                text=text,
                temperature=request.temperature,
                seed=request.seed,
                length=healing.length,
            )
        return protocol.Result(
            id=request.id,
            suggestions=[protocol.Suggestion(*hypothesis) for hypothesis in found],
            truncated=truncated,
            prompt_tokens=len(tokens),
            reused_tokens=llama.reused,
            prompt_ms=prompt_ms,
            decode_ms=_ms_since(began),
        )


def _load(load: protocol.Load) -> tuple[Llama, str]:
    """Load a model with as much of it on GPUs as fits; say where it is.

    What a GPU's driver keeps for itself cannot be known before, so a load that fails is tried
    again with fewer layers there, and at last with none.
    """
    path = Path(load.path)
    found = gpus()
    size, file_type = read_header(path, load.context)
    layers = layers_to_offload(load.gpu, [gpu.free for gpu in found], size)
    while True:
        try:
            llama = Llama(
                path,
                gpu_layers=layers,
                threads=load.threads or usable_cores(),
                context=load.context,
                kernels=choose_kernels(load, file_type, layers),
            )
        except LlamaError as error:
            if layers == 0:
                raise
            print(f"{layers} layers on the GPU: {error}; trying fewer", file=sys.stderr)
            layers = fewer(layers)
        else:
            names = " + ".join(gpu.description for gpu in found)
            return llama, f"{names} ({layers}/{size.layers} layers)" if layers else "CPU"


def choose_kernels(load: protocol.Load, file_type: int | None, gpu_layers: int) -> protocol.Kernels:
    """The first kernels, in the order of preference, that can be used.

    Our own are for the CPU alone: beside a GPU they would take work from it.
    """
    own = file_type in kernels.FILE_TYPES and not gpu_layers and not kernels.why_not()
    return next(name for name in load.kernels if name != "own" or own)


class Requests:
    """Reads frames in a thread of its own, and stops a request that is cancelled."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._queue: queue.SimpleQueue[protocol.Load | protocol.Suggest] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._cancelled: set[int] = set()
        self._current: int | None = None
        self._stop: StopFlag | None = None
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while (message := protocol.read_request(self._stream)) is not None:
            if isinstance(message, protocol.Cancel):
                self._cancel(message.id)
            else:
                self._queue.put(message)
        os._exit(0)  # the daemon is gone or done with us; there is nothing to save

    def next(self) -> protocol.Load | protocol.Suggest:
        """The next request, in the order of arrival."""
        return self._queue.get()

    @contextlib.contextmanager
    def running(self, id_: int, stop: StopFlag) -> Iterator[None]:
        """Raise `stop` if the request is cancelled, before or while the block runs."""
        with self._lock:
            self._current, self._stop = id_, stop
            if id_ in self._cancelled:
                stop.raise_()
        try:
            yield
        finally:
            with self._lock:
                self._current = None
                self._cancelled.discard(id_)
                stop.lower()

    def _cancel(self, id_: int) -> None:
        with self._lock:
            self._cancelled.add(id_)
            if id_ == self._current and self._stop is not None:
                self._stop.raise_()


def serve(requests: Requests, replies: BinaryIO) -> None:
    """Load what is asked for, then answer until standard input ends."""

    def send(reply: protocol.Reply) -> None:
        replies.write(protocol.frame(reply))
        replies.flush()

    load = requests.next()
    assert isinstance(load, protocol.Load), "the daemon sends Load first"
    try:
        engine = Engine(load)
    except LlamaError as error:
        send(protocol.Failed(None, "model", str(error)))
        return
    send(engine.loaded)
    while True:
        request = requests.next()
        assert isinstance(request, protocol.Suggest), "one engine loads one model"
        with requests.running(request.id, engine.llama.stop):
            try:
                send(engine.suggest(request))
            except Cancelled:
                send(protocol.Failed(request.id, "cancelled", "cancelled"))
            except LlamaError as error:
                send(protocol.Failed(request.id, "engine", str(error)))


def describe() -> dict[str, object]:
    """What llama.cpp is here: build, features, devices."""
    return {
        "build": build(),
        "system": system_info(),
        "physical_cores": physical_cores(),
        "cpu_quota": cgroup.cpu_quota(),
        "no_own_kernels": kernels.why_not(),
        "devices": [device._asdict() for device in devices()],
    }


def _ms_since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 2)


def _no_core_file() -> None:
    """A crash that is expected on some machines need not fill the disk."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Run the process."""
    _no_core_file()
    # llama.cpp and its backends print to descriptor 1: give them the log, keep the pipe for frames
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if "--describe" in sys.argv[1:]:
        replies.write(json.dumps(describe()).encode())
        replies.flush()
        return
    serve(Requests(sys.stdin.buffer), replies)


if __name__ == "__main__":
    main()
