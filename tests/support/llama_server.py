"""llama.cpp's own server, the one of the `llama-server` program, from the package xllamacpp.

    python -m tests.support.llama_server MODEL.gguf [--name starter]

Prints the server's URL, and serves until its standard input ends. `llama_server` runs it from
tests.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SLOTS = 4
"""Number of texts that the server generates at the same time."""


class LlamaServer(NamedTuple):
    """A running server."""

    url: str
    """The URL to give to `models add`."""
    log: Path


@contextlib.contextmanager
def llama_server(model: Path, log: Path, name: str = "prover") -> Iterator[LlamaServer]:
    """Serve a GGUF file under a name, with the server's output in a file, until the block ends."""
    command = [sys.executable, "-m", "tests.support.llama_server", str(model), "--name", name]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url, log.read_text(errors="replace")
            yield LlamaServer(url, log)
        finally:
            process.stdin.close()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()


def main() -> None:
    """Serve."""
    import xllamacpp

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--name", default="prover")
    options = parser.parse_args()
    settings = xllamacpp.CommonParams()
    settings.model.path = str(options.model)
    settings.model_alias = {options.name}
    settings.hostnames = ["127.0.0.1"]
    settings.port = 0
    settings.n_ctx = 512 * SLOTS
    settings.n_parallel = SLOTS
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.warmup = False
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
