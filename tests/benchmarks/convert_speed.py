"""Compares time, memory and disk of our one step and llama.cpp's two, for Pythia 2.8B's shape.

    python -m tests.benchmarks.convert_speed --llama-cpp .../vendor/llama.cpp \
        --reference-python .../bin/python --work /tmp/speed

The weights are random, which does not affect the time. It takes 15 GB of disk, and some minutes on
an otherwise idle machine. The exit code is 1 if ours takes more than 0.75 of their time or 1 GB of
memory, makes another file than its output, or if the result differs from theirs.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from tests.benchmarks.convert_common import (
    Run,
    arguments,
    llama_convert,
    llama_quantize,
    make_checkpoint,
    our_convert,
)
from tests.benchmarks.convert_exact import compare


class Watch:
    """Watches a folder while a program runs, and records new files and their sizes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.largest, self.bytes = folder, 0, 0
        self.names: set[str] = set()
        self._before = {path.name for path in folder.iterdir()}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            total = 0
            for entry in os.scandir(self.folder):
                if entry.name not in self._before and not entry.name.endswith(".log"):
                    self.names.add(entry.name)
                    try:
                        total += entry.stat().st_size
                    except FileNotFoundError:
                        continue
            self.bytes = max(self.bytes, total)


def main() -> int:
    """Run both. Returns 0 if ours is within the limits."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--shape", default="2.8b")
    parser.add_argument("--quant", default="Q4_K_M")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    folder = options.work / "files"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    checkpoint = make_checkpoint(options.work / options.shape, options.shape, shards=2)
    for shard in checkpoint.glob("*.safetensors"):  # so that both begin with a warm cache
        with shard.open("rb") as file:
            while file.read(2**24):
                pass
    print(f"{options.shape}, {options.quant}, {options.threads} threads,"
          f" load {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip

    with Watch(folder) as our_files:
        ours = our_convert(options, checkpoint, folder / "ours.gguf", options.quant)
    show("ours", ours, our_files)
    with Watch(folder) as their_files:
        first = llama_convert(options, checkpoint, folder / "f16.gguf")
        show("convert_hf_to_gguf", first, their_files)
        second = llama_quantize(options, folder / "f16.gguf", folder / "theirs.gguf", options.quant)
    show("llama_model_quantize", second, their_files)
    size = (folder / "ours.gguf").stat().st_size
    different, line, _ = compare(folder / "ours.gguf", folder / "theirs.gguf")
    print(line)
    ratio = ours.wall / (first.wall + second.wall)
    cpu_ratio = ours.cpu / (first.cpu + second.cpu)
    # Only the output's temporary file may appear, and not at the same time as the output.
    scratch = our_files.bytes - size
    print(f"wall {ratio:.2f} of theirs, processor {cpu_ratio:.2f},"
          f" scratch {scratch / 1e6:.0f} MB, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    good = ratio <= 0.75 and ours.peak <= 1000 and scratch <= 0 and not different
    print("within the limits" if good else "OUTSIDE THE LIMITS")
    return 0 if good else 1


def show(name: str, run: Run, files: Watch) -> None:
    """Print a line about a finished program."""
    print(f"{name:22} {run.wall:7.1f} s wall, {run.cpu:7.1f} s processor, {run.peak:6.0f} MB,"
          f" files {files.bytes / 1e9:.2f} GB: {sorted(files.names)}", flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
