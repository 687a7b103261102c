"""The engine's process: `python -m llmsuggestd.engine`, started by the daemon.

It reads requests on standard input and answers on standard output (`engine.protocol`), one after
another. A second thread reads, so that a request can be cancelled while it runs. With `--describe`
the process prints a JSON description of llama.cpp and the devices, and exits.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import BinaryIO

from llmsuggestd.engine import cgroup, kernels, protocol
from llmsuggestd.engine.devices import build, devices, system_info
from llmsuggestd.engine.engine import Engine
from llmsuggestd.engine.llama import Cancelled, StopFlag
from llmsuggestd.engine.llama_log import LlamaError
from llmsuggestd.engine.threads import physical_cores


class Requests:
    """Reads frames in a separate thread, and stops the request in progress if it is cancelled."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._queue: queue.SimpleQueue[protocol.Load | protocol.Suggest] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._cancelled: set[int] = set()
        self._current: int | None = None
        self._stop: StopFlag | None = None
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with _ending_the_process():  # the daemon has ended, or closed this engine
            while (message := protocol.read_request(self._stream)) is not None:
                if isinstance(message, protocol.Cancel):
                    self._cancel(message.id)
                else:
                    self._queue.put(message)

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
    """Load the model of the first request, then answer until standard input ends."""

    def send(reply: protocol.Reply) -> None:
        replies.write(protocol.frame(reply))
        replies.flush()

    load = requests.next()
    if not isinstance(load, protocol.Load):
        raise protocol.ProtocolError("the first request must be Load")
    try:
        engine = Engine(load)
    except LlamaError as error:
        send(protocol.Failed(None, "model", str(error), error.hint))
        return
    send(engine.loaded)
    while True:
        request = requests.next()
        if not isinstance(request, protocol.Suggest):
            raise protocol.ProtocolError("one engine loads one model")
        with requests.running(request.id, engine.llama.stop):
            try:
                send(engine.suggest(request))
            except Cancelled:
                send(protocol.Failed(request.id, "cancelled", "cancelled"))
            except LlamaError as error:
                send(protocol.Failed(request.id, "engine", str(error)))


def describe() -> dict[str, object]:
    """A description of llama.cpp on this machine: build, features, devices."""
    return {
        "build": build(),
        "system": system_info(),
        "physical_cores": physical_cores(),
        "cpu_quota": cgroup.cpu_quota(),
        "no_own_kernels": (why_not := kernels.why_not()),
        "instructions": None if why_not else kernels.instructions(),
        "devices": [device._asdict() for device in devices()],
    }


@contextlib.contextmanager
def _ending_the_process() -> Iterator[None]:
    """Run the block, print the traceback if it fails, and end the process.

    At once: Python's own end would abort, since the thread that reads requests holds standard
    input's lock. Nothing is left to save.
    """
    try:
        yield
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _no_core_file() -> None:
    """Write no core file: crashes are expected on some machines, and must not fill the disk."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Run the process."""
    _no_core_file()
    # llama.cpp and its backends print to descriptor 1: redirect it to the log, keep the pipe
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if "--describe" in sys.argv[1:]:
        replies.write(json.dumps(describe()).encode())
        replies.flush()
        return
    with _ending_the_process():
        serve(Requests(sys.stdin.buffer), replies)


if __name__ == "__main__":
    main()
