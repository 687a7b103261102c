"""A conversion that is stopped half way leaves no partial file, and keeps the older one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmsuggestd.cli.signals import terminating
from tests.unit.convert.checkpoints import config, make_checkpoint, random_weights

COMMAND = (sys.executable, "-m", "llmsuggestd", "convert")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose conversion to IQ4_NL, the slowest type, takes several seconds."""
    settings = config(hidden_size=1024, intermediate_size=4096, num_attention_heads=8)
    folder = tmp_path_factory.mktemp("checkpoint")
    return make_checkpoint(folder, settings, random_weights(settings))


def start(checkpoint: Path, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a slow conversion, and wait until a large part of the file is written."""
    process = subprocess.Popen(
        [*COMMAND, str(checkpoint), "-o", "m.gguf", "-q", "iq4_nl", "--threads", "1", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        sizes = [path.stat().st_size for path in folder.glob(".m.gguf.*.partial")]
        if sizes and sizes[0] > 1_000_000:
            return process
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    raise AssertionError("nothing was written")


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGTERM, 143, "stopped by SIGTERM"),
        (signal.SIGHUP, 129, "stopped by SIGHUP"),
        (signal.SIGINT, 130, "interrupted"),
    ],
)
@pytest.mark.parametrize("older", [True, False])
def test_a_signal_half_way(
    checkpoint: Path, tmp_path: Path, number: signal.Signals, code: int, line: str, older: bool
) -> None:
    if older:
        (tmp_path / "m.gguf").write_bytes(b"an older model")
    process = start(checkpoint, tmp_path)
    process.send_signal(number)
    began = time.monotonic()
    stdout, stderr = process.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert process.returncode == code
    assert stdout == ""
    assert line in stderr
    assert len(stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == (["m.gguf"] if older else [])
    if older:
        assert (tmp_path / "m.gguf").read_bytes() == b"an older model"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_ignored_signal_stays_ignored(number: signal.Signals) -> None:
    old = signal.signal(number, signal.SIG_IGN)  # like nohup
    try:
        with terminating():
            signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, old)


def test_the_next_conversion_removes_the_files_of_a_killed_one(
    checkpoint: Path, tmp_path: Path
) -> None:
    process = start(checkpoint, tmp_path)
    process.kill()
    process.communicate()
    [partial] = tmp_path.iterdir()
    assert partial.match(f".m.gguf.{process.pid}-*.partial")
    subprocess.run(
        [*COMMAND, str(checkpoint), "-o", "m.gguf", "-q", "q8_0"],
        cwd=tmp_path, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


def test_a_signal_during_the_check_keeps_the_model_only(tmp_path: Path) -> None:
    settings = config(num_hidden_layers=8)
    folder = make_checkpoint(tmp_path / "c", settings, random_weights(settings))
    output = tmp_path / "out"
    output.mkdir()
    goals = tmp_path / "goals.txt"
    goals.write_text("\n\n".join(f"h : {'p ∧ ' * 400}q{i}\n⊢ q{i}" for i in range(200)))
    process = subprocess.Popen(
        [*COMMAND, str(folder), "-o", "m.gguf", "-q", "q8_0", "--goals", str(goals)],
        cwd=output, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(output.glob(".m.gguf.*.f16")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.5)
    assert process.poll() is None, "the check was over before it could be stopped"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert [path.name for path in output.iterdir()] == ["m.gguf"]
