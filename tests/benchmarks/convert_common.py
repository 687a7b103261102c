"""Shared code of the converter's benchmarks: random checkpoints, and llama.cpp's own two steps.

llama.cpp's converter is in the llama-cpp-python sdist (`vendor/llama.cpp`), and needs a separate
Python with torch and transformers<5. docs/notes/conversion.md has the commands that prepare both.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
TOKENIZER = ROOT / "tests" / "data" / "gpt-neox-tokenizer" / "tokenizer.json.gz"
VOCABULARY = 50304
BYTES = {"F32": 4, "F16": 2, "BF16": 2}

# Pythia's sizes: hidden size, layers, heads, feed-forward size.
SHAPES = {
    "14m": (128, 6, 4, 512),
    "70m": (512, 6, 8, 2048),
    "410m": (1024, 24, 16, 4096),
    "2.8b": (2560, 32, 32, 10240),
}
FILE_TYPES = {"Q8_0": 7, "Q6_K": 18, "Q5_K_M": 17, "Q4_K_M": 15, "Q4_K_S": 14, "Q4_0": 2,
              "IQ4_NL": 25}  # fmt: skip

QUANTIZE = """
import sys, llama_cpp
params = llama_cpp.llama_model_quantize_default_params()
params.ftype, params.nthread = int(sys.argv[3]), int(sys.argv[4])
sys.exit(llama_cpp.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), params))
"""


@dataclass(frozen=True, slots=True)
class Run:
    """A finished program: wall-clock and CPU seconds, and its peak resident size in MB."""

    wall: float
    cpu: float
    peak: float


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the options of every comparison with llama.cpp."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--llama-cpp", type=Path, required=True, help="vendor/llama.cpp")
    parser.add_argument(
        "--reference-python", type=Path, required=True, help="has torch and transformers<5"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for the files made")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser


def make_checkpoint(folder: Path, shape: str, dtype: str = "F16", shards: int = 1) -> Path:
    """Write a checkpoint with random weights, some rows at a time, unless it exists."""
    done = folder / "complete"
    if done.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    hidden, layers, heads, wide = SHAPES[shape]
    _write_json(
        folder / "config.json",
        {
            "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "bos_token_id": 0,
            "eos_token_id": 0, "hidden_act": "gelu", "hidden_size": hidden,
            "intermediate_size": wide, "layer_norm_eps": 1e-05, "max_position_embeddings": 2048,
            "num_attention_heads": heads, "num_hidden_layers": layers, "rotary_emb_base": 10000,
            "rotary_pct": 0.25, "tie_word_embeddings": False, "use_parallel_residual": True,
            "vocab_size": VOCABULARY, "torch_dtype": "float16",
        },
    )  # fmt: skip
    (folder / "tokenizer.json").write_bytes(gzip.decompress(TOKENIZER.read_bytes()))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "GPTNeoXTokenizer", "add_prefix_space": False,
            "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>",
        },
    )  # fmt: skip
    tensors = list(_shapes(hidden, layers, wide))
    random = np.random.default_rng(0)
    if shards == 1:
        _write_shard(folder / "model.safetensors", tensors, dtype, random)
    else:
        weight_map: dict[str, str] = {}
        for number in range(shards):
            name = f"model-{number + 1:05}-of-{shards:05}.safetensors"
            part = tensors[len(tensors) * number // shards : len(tensors) * (number + 1) // shards]
            _write_shard(folder / name, part, dtype, random)
            weight_map |= {tensor: name for tensor, _ in part}
        _write_json(folder / "model.safetensors.index.json", {"weight_map": weight_map})
    done.touch()
    return folder


def _shapes(hidden: int, layers: int, wide: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "gpt_neox.embed_in.weight", (VOCABULARY, hidden)
    for layer in range(layers):
        prefix = f"gpt_neox.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{prefix}{norm}.weight", (hidden,)
            yield f"{prefix}{norm}.bias", (hidden,)
        for name, rows, columns in (
            ("attention.query_key_value", 3 * hidden, hidden),
            ("attention.dense", hidden, hidden),
            ("mlp.dense_h_to_4h", wide, hidden),
            ("mlp.dense_4h_to_h", hidden, wide),
        ):
            yield f"{prefix}{name}.weight", (rows, columns)
            yield f"{prefix}{name}.bias", (rows,)
    yield "gpt_neox.final_layer_norm.weight", (hidden,)
    yield "gpt_neox.final_layer_norm.bias", (hidden,)
    yield "embed_out.weight", (VOCABULARY, hidden)


def _write_shard(
    path: Path,
    tensors: list[tuple[str, tuple[int, ...]]],
    dtype: str,
    random: np.random.Generator,
) -> None:
    header, offset = {}, 0
    for name, shape in tensors:
        size = prod(shape) * BYTES[dtype]
        header[name] = {
            "dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + size]
        }  # fmt: skip
        offset += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in tensors:
            left = prod(shape)
            while left:
                count = min(left, 2**22)
                values = random.standard_normal(count, dtype=np.float32) * np.float32(0.02)
                if name.endswith("norm.weight"):
                    values += 1
                if dtype == "BF16":
                    file.write((values.view(np.uint32) >> 16).astype(np.uint16).tobytes())
                else:
                    kind = {"F16": np.float16, "F32": np.float32}[dtype]
                    file.write(values.astype(kind).tobytes())
                left -= count


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def run(command: list[str], log: Path) -> Run:
    """Run a program until it ends, with its output in `log`. Raises if it fails."""
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    code = process.returncode = os.waitstatus_to_exitcode(status)
    if code:
        sys.exit(f"{' '.join(command[:4])} ... ended with {code}; see {log}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def llama_convert(options: argparse.Namespace, checkpoint: Path, output: Path) -> Run:
    """llama.cpp's first step: the checkpoint to an F16 file."""
    script = options.llama_cpp / "convert_hf_to_gguf.py"
    return run(
        [str(options.reference_python), str(script), "--outtype", "f16", "--outfile", str(output),
         str(checkpoint)],
        options.work / "llama-convert.log",
    )  # fmt: skip


def llama_quantize(options: argparse.Namespace, source: Path, output: Path, quant: str) -> Run:
    """llama.cpp's second step: the F16 file to a quantised one."""
    return run(
        [sys.executable, "-c", QUANTIZE, str(source), str(output), str(FILE_TYPES[quant]),
         str(options.threads)],
        options.work / "llama-quantize.log",
    )  # fmt: skip


def our_convert(options: argparse.Namespace, checkpoint: Path, output: Path, quant: str) -> Run:
    """Our conversion, which has one step."""
    return run(
        [sys.executable, "-m", "llmsuggestd", "convert", str(checkpoint), "-o", str(output),
         "-q", quant, "--threads", str(options.threads)],
        options.work / "our-convert.log",
    )  # fmt: skip
