"""Kills a pull repeatedly, counts the transferred bytes, and checks the file.

    python -m tests.benchmarks.pull [--megabytes 850] [--kills 5] [--rate 100] [--seed N]

It makes a sharded checkpoint, serves it as a hub on this machine, and runs `llmsuggestd models
pull`, which is killed with SIGKILL at random points of the download or the conversion. In the end,
the model must equal a conversion of the served folder, and the server must have sent at most 1.15
times the checkpoint.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import subprocess
import tempfile
import time
from pathlib import Path

from llmsuggestd.convert import Source, convert
from tests.conftest import COMMAND, make_home
from tests.support.hub import COMMIT, serving
from tests.unit.convert import checkpoints

REPO = "someone/tuned-model"
LIMIT = 1.15


def main() -> None:
    """Run it and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=850)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--rate", type=float, default=100, help="MB/s; 0: all that goes")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pull-") as root:
        folder = make_checkpoint(Path(root) / "served", options.megabytes)
        total = sum(file.stat().st_size for file in folder.iterdir())
        print(f"checkpoint: {total / 1e6:.1f} MB in {len(list(folder.iterdir()))} files")
        print(f"seed {options.seed}")
        expected = Path(root) / "expected.gguf"
        began = time.monotonic()
        convert(folder, expected, name="tuned-model", source=Source(REPO, COMMIT))
        print(f"converted directly in {time.monotonic() - began:.1f} s")
        pull(folder, expected, total, options)


def make_checkpoint(folder: Path, megabytes: int) -> Path:
    """Make a sharded checkpoint of about this size."""
    layer = 12 * 1024**2 * 2  # bytes of a layer with these settings, as F16
    settings = checkpoints.config(
        hidden_size=1024,
        intermediate_size=4096,
        num_attention_heads=16,
        num_hidden_layers=max(1, round(megabytes * 1e6 / layer)),
    )
    weights = checkpoints.in_letters(checkpoints.random_weights(settings))
    return checkpoints.make_checkpoint(
        folder, settings, weights, write=checkpoints.sharded_safetensors
    )


def pull(folder: Path, expected: Path, total: int, options: argparse.Namespace) -> None:
    """Pull, kill, and pull again. Raises SystemExit if a condition does not hold."""
    chance = random.Random(options.seed)
    points = sorted(chance.uniform(0.02, 1.02) * total for _ in range(options.kills))
    with serving({REPO: folder}) as hub, contextlib.contextmanager(make_home)() as home:
        hub.rate = options.rate * 1e6
        command = [*COMMAND, "models", "pull", REPO, "--quiet"]
        env = home.env | hub.environment(home.root / "hf")
        for point in points:
            process = subprocess.Popen(command, env=env)
            while hub.sent.total() < min(point, total) and process.poll() is None:
                time.sleep(0.01)
            if point > total:  # after the download: at some point of the conversion
                time.sleep(chance.uniform(0, 5))
            process.kill()
            print(
                f"killed after {hub.sent.total() / total:6.1%} was sent"
                f" (exit {process.wait()}), {here(home.paths.data) / 1e6:.1f} MB are here"
            )
        began = time.monotonic()
        subprocess.run(command, env=env, check=True)
        print(f"the last pull took {time.monotonic() - began:.1f} s")
        share = hub.sent.total() / total
        same = (home.paths.models / "tuned-model.gguf").read_bytes() == expected.read_bytes()
        left = sorted(file.name for file in home.paths.data.rglob("*") if file.is_file())
        print(f"sent {share:.4f} times; the file is {'right' if same else 'WRONG'}; there: {left}")
        if not same or share > LIMIT:
            raise SystemExit(1)


def here(folder: Path) -> int:
    """The size in bytes of the files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
