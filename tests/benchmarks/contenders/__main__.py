"""Runs one contender in this process.

    python -m tests.benchmarks.contenders NAME MODEL

reports the versions of its packages, then reads questions from standard input, one JSON object per
line. It answers each with the seconds that it took, the peak memory so far, and the contender's
further figures.

    python -m tests.benchmarks.contenders NAME MODEL --from CHECKPOINT

converts a checkpoint to the contender's own format.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path

from tests.benchmarks.contenders import TABLE
from tests.benchmarks.contenders.contender import Contender, Question


def peak_memory(pid: int) -> int:
    """The peak memory of a process in bytes, including mapped files."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(next(x for x in status.splitlines() if x.startswith("VmHWM")).split()[1])


def serve(kind: type[Contender], model: Path) -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of libraries goes to standard error
    contender = kind(model)
    versions = {name: importlib.metadata.version(name) for name in kind.packages}
    print(json.dumps({"versions": versions}), file=answers, flush=True)
    for line in sys.stdin:
        question = Question(**json.loads(line))
        began = time.monotonic()
        details = contender.answer(question)
        seconds = time.monotonic() - began
        peak = sum(map(peak_memory, contender.processes()))
        print(json.dumps({"seconds": seconds, "peak": peak, **details}), file=answers, flush=True)


def main() -> None:
    """Answer questions, or convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=TABLE)
    parser.add_argument("model", type=Path)
    parser.add_argument("--from", dest="checkpoint", type=Path, metavar="CHECKPOINT")
    options = parser.parse_args()
    kind = TABLE[options.name]
    if options.checkpoint:
        kind.convert(options.checkpoint, options.model)
    else:
        serve(kind, options.model)


if __name__ == "__main__":
    main()
