"""Each error is one clear line and an exit code, and leaves the older file unchanged."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmsuggestd.convert import convert
from llmsuggestd.errors import ExitCode, InputError, LlmsuggestdError, UsageError
from tests.support import programs
from tests.unit.convert import checkpoints
from tests.unit.convert.checkpoints import Tensors, config, make_checkpoint, random_weights

COMMAND = (sys.executable, "-m", "llmsuggestd", "convert")
EMBEDDING = "gpt_neox.embed_in.weight"
MATRIX = "gpt_neox.layers.1.mlp.dense_h_to_4h.weight"
VECTOR = "gpt_neox.layers.0.input_layernorm.bias"
SHARD = "model-00002-of-00003.safetensors"
PICKLED_SHARD = "pytorch_model-00002-of-00003.bin"


class Evil:
    """An object that is pickled as a call that makes a file."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.proof),)


def sharded(folder: Path) -> Path:
    """A checkpoint with three safetensors shards."""
    return make_checkpoint(folder, write=checkpoints.sharded_safetensors)


def evil_pickle(folder: Path) -> None:
    def write(path: Path, tensors: Tensors, _: str) -> None:
        checkpoints.save_pickle(path / "pytorch_model.bin", tensors)
        with zipfile.ZipFile(path / "pytorch_model.bin") as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        entries["archive/data.pkl"] = pickle.dumps(
            OrderedDict({EMBEDDING: Evil(folder.parent / "it-ran")}), 2
        )
        with zipfile.ZipFile(path / "pytorch_model.bin", "w") as archive:
            for name, content in entries.items():
                archive.writestr(name, content)

    make_checkpoint(folder, write=write)


def truncated_shard(folder: Path) -> None:
    path = sharded(folder) / SHARD
    path.write_bytes(path.read_bytes()[:-100])


def truncated_pickle(folder: Path) -> None:
    path = make_checkpoint(folder, write=checkpoints.single_pickle) / "pytorch_model.bin"
    path.write_bytes(path.read_bytes()[:-100])


def missing_shard(folder: Path) -> None:
    (sharded(folder) / SHARD).unlink()


def missing_pickled_shard(folder: Path) -> None:
    make_checkpoint(folder, write=checkpoints.sharded_pickle)
    (folder / PICKLED_SHARD).unlink()


def wrong_shape(folder: Path) -> None:
    weights = random_weights(config())
    weights[MATRIX] = weights[MATRIX].T.copy()
    make_checkpoint(folder, tensors=weights)


def missing_tensor(folder: Path) -> None:
    weights = random_weights(config())
    del weights[MATRIX]
    make_checkpoint(folder, tensors=weights)


def rows_and_vocabulary_differ(folder: Path) -> None:
    make_checkpoint(folder, config(vocab_size=500), random_weights(config()))


def value(name: str, what: float, dtype: str) -> Callable[[Path], None]:
    """A checkpoint with one bad value, far from the beginning of its tensor."""

    def make(folder: Path) -> None:
        weights = random_weights(config())
        weights[name].reshape(-1)[-3] = what
        make_checkpoint(folder, tensors=weights, dtype=dtype)

    return make


def index(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """A sharded checkpoint with a changed index."""

    def make(folder: Path) -> None:
        path = sharded(folder) / "model.safetensors.index.json"
        data = json.loads(path.read_text())
        path.write_text(json.dumps(change(data) or data))

    return make


def points_to(where: str) -> Callable[[Path], None]:
    """A sharded checkpoint whose index has the wrong file for a tensor."""

    def make(folder: Path) -> None:
        sharded(folder)
        # The file exists, so only the check of its name can refuse it.
        shutil.copy(folder / SHARD, folder.parent / "outside.safetensors")
        target = where.format(outside=folder.parent / "outside.safetensors")
        index(lambda data: data["weight_map"].__setitem__(MATRIX, target))(folder)

    return make


def in_another_shard(folder: Path) -> None:
    def swap(data: dict[str, Any]) -> None:
        names = data["weight_map"]
        names[MATRIX] = next(shard for shard in names.values() if shard != names[MATRIX])

    index(swap)(folder)


def another_architecture(folder: Path) -> None:
    make_checkpoint(folder, config(architectures=["BloomForCausalLM"], model_type="bloom"))


def without(name: str) -> Callable[[Path], None]:
    """A checkpoint that lacks a file."""

    def make(folder: Path) -> None:
        (make_checkpoint(folder) / name).unlink()

    return make


def broken_json(name: str) -> Callable[[Path], None]:
    """A checkpoint with a truncated file."""

    def make(folder: Path) -> None:
        path = make_checkpoint(folder) / name
        path.write_bytes(path.read_bytes()[:-20])

    return make


def holds(name: str, content: bytes) -> Callable[[Path], None]:
    """A checkpoint in which a file has this content."""

    def make(folder: Path) -> None:
        (make_checkpoint(folder) / name).write_bytes(content)

    return make


def pointer_in_a_shard(folder: Path) -> None:
    (sharded(folder) / SHARD).write_bytes(POINTER)


def pointer_in_a_pickle(folder: Path) -> None:
    make_checkpoint(folder, write=checkpoints.single_pickle)
    (folder / "pytorch_model.bin").write_bytes(POINTER)


def adapter(folder: Path) -> None:
    folder.mkdir()
    settings = {"peft_type": "LORA", "base_model_name_or_path": "EleutherAI/pythia-70m"}
    checkpoints.write_json(folder / "adapter_config.json", settings)
    (folder / "adapter_model.safetensors").write_bytes(b"weights of an adapter")


def training_output(folder: Path) -> None:
    make_checkpoint(folder / "checkpoint-500")


def unindexed_shard(folder: Path) -> None:
    sharded(folder)
    (folder / "model.safetensors.index.json").unlink()
    (folder / SHARD).unlink()


def quantised(folder: Path) -> None:
    make_checkpoint(folder, config(quantization_config={"quant_method": "gptq", "bits": 4}))


def a_file(folder: Path) -> None:
    folder.write_bytes(b"GGUF\3\0\0\0")


POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345678\n"
)
PAGE = b"<!doctype html><title>Sign in</title>"

BAD = {
    "a pointer of git-lfs": (holds("model.safetensors", POINTER), "a pointer of git-lfs"),
    "a pointer in a shard": (pointer_in_a_shard, f"{SHARD}: is a pointer of git-lfs"),
    "a pointer in a pickle": (pointer_in_a_pickle, "pytorch_model.bin: is a pointer of git-lfs"),
    "a pointer as tokenizer": (holds("tokenizer.json", POINTER), "tokenizer.json: is a pointer"),
    "a pointer as config": (holds("config.json", POINTER), "config.json: is a pointer of git-lfs"),
    "a page as weights": (holds("model.safetensors", PAGE), "is a web page (“Sign in”)"),
    "a page as tokenizer": (holds("tokenizer.json", PAGE), "is a web page (“Sign in”)"),
    "an error as config": (holds("config.json", b'{"error": "no"}'), "a server's error message"),
    "an empty tokenizer": (holds("tokenizer.json", b""), "tokenizer.json: is empty"),
    "an adapter": (adapter, "an adapter (LORA) of EleutherAI/pythia-70m, not a whole model"),
    "a training's output": (training_output, "checkpoints in checkpoint-500"),
    "a shard without index": (unindexed_shard, f"the shard {SHARD} is missing"),
    "quantised weights": (quantised, "the weights are quantised already (gptq, 4 bits)"),
    "a GGUF file": (a_file, "checkpoint: is a GGUF file"),
    "a pickle that would run code": (evil_pickle, "refused: its pickle names posix.mkdir"),
    "a truncated shard": (truncated_shard, f"{SHARD}: cut short"),
    "a truncated pickle": (truncated_pickle, "pytorch_model.bin: cut short"),
    "a missing shard": (missing_shard, f"the shard {SHARD} is missing"),
    "a missing pickled shard": (missing_pickled_shard, f"the shard {PICKLED_SHARD} is missing"),
    "a tensor of the wrong shape": (wrong_shape, f"{MATRIX} has shape [256, 512], config.json"),
    "a missing tensor": (missing_tensor, f"the tensor {MATRIX} is missing"),
    "another vocabulary": (rows_and_vocabulary_differ, f"{EMBEDDING} has shape [320, 256]"),
    "NaN in float16": (value(MATRIX, np.nan, "F16"), f"{MATRIX} has NaN or infinity"),
    "NaN in float32": (value(MATRIX, np.nan, "F32"), f"{MATRIX} has NaN or infinity"),
    "NaN in bfloat16": (value(MATRIX, np.nan, "BF16"), f"{MATRIX} has NaN or infinity"),
    "infinity in a matrix": (value(EMBEDDING, np.inf, "F16"), f"{EMBEDDING} has NaN or"),
    "NaN in a vector": (value(VECTOR, np.nan, "F16"), f"{VECTOR} has NaN or infinity"),
    "infinity in a vector": (value(VECTOR, -np.inf, "F32"), f"{VECTOR} has NaN or infinity"),
    "more than float16 holds": (value(MATRIX, 1e6, "BF16"), f"{MATRIX} has values beyond"),
    "an index that points up": (points_to("../outside.safetensors"), "not a file of this folder"),
    "an absolute index": (points_to("{outside}"), "not a file of this folder"),
    "an index with a backslash": (points_to("..\\outside.safetensors"), "not a file of this"),
    "an index that points to a device": (points_to("."), "not a file of this folder"),
    "an index of numbers": (points_to(""), "not a file of this folder"),
    "an index without a map": (index(lambda _: {"metadata": {}}), "no weight_map"),
    "an index that is a list": (index(lambda _: [1]), "not a JSON object"),
    "a tensor in another shard": (in_another_shard, f"{MATRIX} is said to be in"),
    "another architecture": (another_architecture, "this is BloomForCausalLM, which cannot"),
    "no tokenizer": (without("tokenizer.json"), "tokenizer.json: no such file"),
    "no config": (without("config.json"), "config.json: no such file"),
    "no weights": (without("model.safetensors"), "has no checkpoint"),
    "a broken config": (broken_json("config.json"), "config.json: not valid JSON"),
    "a broken tokenizer": (broken_json("tokenizer.json"), "tokenizer.json: not valid JSON"),
    "no folder": (lambda folder: folder.parent.mkdir(exist_ok=True), "no such folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    make, message = BAD[name]
    make(tmp_path / "checkpoint")
    output = tmp_path / "out"
    output.mkdir()
    (output / "m.gguf").write_bytes(b"an older model")
    with pytest.raises(InputError) as caught:
        convert(tmp_path / "checkpoint", output / "m.gguf")
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert [path.name for path in output.iterdir()] == ["m.gguf"]
    assert (output / "m.gguf").read_bytes() == b"an older model"
    assert not (tmp_path / "it-ran").exists()


def test_without_protection_the_evil_pickle_runs(tmp_path: Path) -> None:
    evil_pickle(tmp_path / "checkpoint")
    with zipfile.ZipFile(tmp_path / "checkpoint" / "pytorch_model.bin") as archive:
        pickle.loads(archive.read("archive/data.pkl"))
    assert (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a pickle that would run code", ExitCode.INPUT),
        ("a truncated shard", ExitCode.INPUT),
        ("NaN in float16", ExitCode.INPUT),
    ],
)
def test_the_command_prints_the_line_and_ends_with_the_code(
    tmp_path: Path, name: str, code: ExitCode
) -> None:
    make, message = BAD[name]
    make(tmp_path / "checkpoint")
    result = run(tmp_path, "checkpoint", "-o", "m.gguf")
    assert result.returncode == code
    assert message in result.stderr.splitlines()[0]
    assert len(result.stderr.splitlines()) == 2
    assert result.stderr.splitlines()[1].startswith("  → ")
    assert result.stdout == ""
    assert not list(tmp_path.glob("*.gguf*"))
    assert not list(tmp_path.glob(".*"))
    assert not (tmp_path / "it-ran").exists()


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A good checkpoint."""
    return make_checkpoint(tmp_path / "checkpoint")


def test_a_full_disk_is_reported_before_anything_is_written(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr("llmsuggestd.convert.conversion.replacing", None)  # would fail if used
    with pytest.raises(LlmsuggestdError, match=r"not enough room: the file needs .* 10\.5 MB are"):
        convert(checkpoint, tmp_path / "m.gguf", "F16")


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
sys.argv.insert(1, "convert")
import runpy
runpy.run_module("llmsuggestd", run_name="__main__")
"""


def test_a_disk_that_fills_up_half_way_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    # A limit on file sizes makes a write fail half way, as a full disk does.
    (tmp_path / "m.gguf").write_bytes(b"an older model")
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, str(checkpoint), "-o", "m.gguf", "-q", "f16"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == ExitCode.ERROR
    assert "m.gguf: writing failed: File too large" in result.stderr
    assert len(result.stderr.splitlines()) == 2
    assert (tmp_path / "m.gguf").read_bytes() == b"an older model"
    assert not list(tmp_path.glob(".m.gguf*"))


def test_a_folder_that_cannot_be_written(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    result = subprocess.run(
        [*programs.BOUND_BY_MODES, *COMMAND, str(checkpoint), "-o", str(folder / "m.gguf")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == ExitCode.ERROR
    assert f"{folder}: cannot be written" in result.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("nowhere/m.gguf", "nowhere: no such folder"),
        ("checkpoint", "checkpoint: is a folder"),
        ("checkpoint/config.json/m.gguf", "config.json: no such folder"),
        ("x" * 300, "cannot be written: File name too long"),
        ("/proc/m.gguf", "/proc: "),
        ("checkpoint/model.safetensors", "a file of the checkpoint itself"),
        ("checkpoint/tokenizer.json", "a file of the checkpoint itself"),
        (os.devnull, "not a regular file"),
    ],
)
def test_an_output_that_cannot_be_written(
    checkpoint: Path, tmp_path: Path, output: str, message: str
) -> None:
    before = {path: path.read_bytes() for path in checkpoint.iterdir()}
    with pytest.raises(LlmsuggestdError) as caught:
        convert(checkpoint, tmp_path / output)
    assert message in caught.value.message
    assert {path: path.read_bytes() for path in checkpoint.iterdir()} == before


def test_an_unknown_quant(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Q3_X") as caught:
        convert(checkpoint, tmp_path / "m.gguf", "Q3_X")
    assert "Q4_K_M" in caught.value.hint
