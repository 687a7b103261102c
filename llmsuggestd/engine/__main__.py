"""The engine's process: `python -m llmsuggestd.engine`, started by the daemon.

Reads requests on standard input and answers on standard output (`engine.protocol`). Requests are
done one after another; a second thread reads, so that a request can be cancelled while it runs.
With `--describe` it prints what llama.cpp is here, as JSON, and exits.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from llmsuggestd.engine import protocol
from llmsuggestd.engine.llama import (
    MAX_WIDTH,
    Cancelled,
    Llama,
    LlamaError,
    build,
    devices,
    physical_cores,
    system_info,
)
from llmsuggestd.engine.prompt import fit_prompt, suggestion_text
from llmsuggestd.engine.search import Floats, beam_search, sample


class Engine:
    """A loaded model that answers `Suggest`."""

    def __init__(self, load: protocol.Load) -> None:
        began = time.monotonic()
        gpus = [device for device in devices() if device.is_gpu]
        layers = 0 if load.gpu == "off" or not gpus else -1 if load.gpu == "auto" else load.gpu
        self.llama = Llama(
            Path(load.path),
            gpu_layers=layers,
            threads=load.threads or physical_cores(),
            context=load.context,
            extra_buffers=load.extra_buffers,
        )
        total = self.llama.layers + 1  # llama.cpp counts the output as a layer
        offloaded = total if layers < 0 else min(layers, total)
        self.loaded = protocol.Loaded(
            description=self.llama.description,
            device=f"{gpus[0].description} ({offloaded}/{total} layers)" if offloaded else "CPU",
            parameters=self.llama.parameters,
            bytes=self.llama.bytes,
            context=self.llama.context,
            threads=load.threads or physical_cores(),
            load_ms=_ms_since(began),
        )

    def suggest(self, request: protocol.Suggest, wanted: Callable[[], bool]) -> protocol.Result:
        """Answer one request. Raises Cancelled when `wanted` says no, LlamaError on failure."""
        began = time.monotonic()
        llama = self.llama
        width = min(request.n, MAX_WIDTH)
        positions = min(llama.context, llama.trained_context)
        # at least half of the context is for the prompt, whatever the candidates ask for
        room = min(width * request.max_tokens, llama.context // 2)
        max_tokens = min(request.max_tokens, positions // 2, room // width)
        tokens, truncated = fit_prompt(
            request.goal,
            request.prefix,
            llama.tokenize,
            min(llama.context - room, positions - max_tokens),
        )
        first = llama.start(tokens, wanted)
        prompt_ms = _ms_since(began)

        def step(parents: Sequence[int], tokens: Sequence[int]) -> Floats:
            if not wanted():
                raise Cancelled
            return llama.step(parents, tokens)

        def text(tokens: Sequence[int]) -> str | None:
            return suggestion_text(request.prefix, b"".join(map(llama.piece, tokens)))

        began = time.monotonic()
        if request.mode == "beam":
            found = beam_search(
                first, step, width=width, max_tokens=max_tokens, end=llama.ends, text=text
            )
        else:
            found = sample(
                first,
                step,
                count=width,
                max_tokens=max_tokens,
                end=llama.ends,
                text=text,
                temperature=request.temperature,
                seed=request.seed,
            )
        return protocol.Result(
            id=request.id,
            suggestions=[protocol.Suggestion(*hypothesis) for hypothesis in found],
            truncated=truncated,
            prompt_tokens=len(tokens),
            prompt_ms=prompt_ms,
            decode_ms=_ms_since(began),
        )


class Requests:
    """Reads frames in a thread of its own; knows which requests are still wanted."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._queue: queue.SimpleQueue[protocol.Load | protocol.Suggest] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while (message := protocol.read_request(self._stream)) is not None:
            if isinstance(message, protocol.Cancel):
                self._cancelled.add(message.id)
            else:
                self._queue.put(message)
        os._exit(0)  # the daemon is gone or done with us; there is nothing to save

    def next(self) -> protocol.Load | protocol.Suggest:
        """The next request, in the order of arrival."""
        return self._queue.get()

    def wanted(self, id_: int) -> bool:
        """Whether nobody has cancelled a request."""
        return id_ not in self._cancelled

    def done(self, id_: int) -> None:
        """Forget a request that is over."""
        self._cancelled.discard(id_)


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
        try:
            send(engine.suggest(request, lambda id_=request.id: requests.wanted(id_)))  # type: ignore[misc]
        except Cancelled:
            send(protocol.Failed(request.id, "cancelled", "cancelled"))
        except LlamaError as error:
            send(protocol.Failed(request.id, "engine", str(error)))
        requests.done(request.id)


def describe() -> dict[str, object]:
    """What llama.cpp is here: build, features, devices."""
    return {
        "build": build(),
        "system": system_info(),
        "physical_cores": physical_cores(),
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
