"""Makes models with Pythia's shapes and random weights, without a download.

The weights are float16 noise in one safetensors file. The tokenizer is the real one of GPT-NeoX.
Our converter makes a Q4_K_M file of both. A directory keeps the files for later runs.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from llmsuggestd.convert import convert

TOKENIZER = Path(__file__).parents[1] / "data" / "gpt-neox-tokenizer" / "tokenizer.json.gz"
VOCABULARY = 50304
CHUNK = 2**22
"""Number of random elements generated at a time."""


class Shape(NamedTuple):
    """The sizes of a GPT-NeoX."""

    layers: int
    hidden: int
    heads: int


SHAPES = {
    "70M": Shape(6, 512, 8),
    "410M": Shape(24, 1024, 16),
    "2.8B": Shape(32, 2560, 32),
}


def make(name: str, directory: Path) -> tuple[Path, Path]:
    """The checkpoint folder and the GGUF file of a shape, made if they are missing."""
    checkpoint, gguf = directory / f"pythia-{name}", directory / f"pythia-{name}.gguf"
    if not (checkpoint / "model.safetensors").exists():
        checkpoint.mkdir(parents=True, exist_ok=True)
        (checkpoint / "config.json").write_text(json.dumps(_config(SHAPES[name])))
        (checkpoint / "tokenizer.json").write_bytes(gzip.decompress(TOKENIZER.read_bytes()))
        _write_weights(checkpoint / "model.safetensors", SHAPES[name])
    if not gguf.exists():
        convert(checkpoint, gguf)
    return checkpoint, gguf


def _config(shape: Shape) -> dict[str, object]:
    return {
        "architectures": ["GPTNeoXForCausalLM"],
        "model_type": "gpt_neox",
        "hidden_act": "gelu",
        "hidden_size": shape.hidden,
        "intermediate_size": 4 * shape.hidden,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 2048,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "rotary_emb_base": 10000,
        "rotary_pct": 0.25,
        "tie_word_embeddings": False,
        "use_parallel_residual": True,
        "vocab_size": VOCABULARY,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }


def _tensors(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden = shape.hidden
    yield "gpt_neox.embed_in.weight", (VOCABULARY, hidden)
    for layer in range(shape.layers):
        prefix = f"gpt_neox.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{prefix}{norm}.weight", (hidden,)
            yield f"{prefix}{norm}.bias", (hidden,)
        for name, rows, columns in (
            ("attention.query_key_value", 3 * hidden, hidden),
            ("attention.dense", hidden, hidden),
            ("mlp.dense_h_to_4h", 4 * hidden, hidden),
            ("mlp.dense_4h_to_h", hidden, 4 * hidden),
        ):
            yield f"{prefix}{name}.weight", (rows, columns)
            yield f"{prefix}{name}.bias", (rows,)
    yield "gpt_neox.final_layer_norm.weight", (hidden,)
    yield "gpt_neox.final_layer_norm.bias", (hidden,)
    yield "embed_out.weight", (VOCABULARY, hidden)


def _write_weights(file: Path, shape: Shape) -> None:
    """Write a safetensors file in pieces, since the whole may not fit into memory."""
    header: dict[str, object] = {}
    offset = 0
    for name, dimensions in _tensors(shape):
        size = 2 * int(np.prod(dimensions))
        header[name] = {
            "dtype": "F16",
            "shape": list(dimensions),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    random = np.random.default_rng(0)
    partial = file.with_suffix(".partial")
    with partial.open("wb") as out:
        out.write(struct.pack("<Q", len(head)) + head)
        for name, dimensions in _tensors(shape):
            left = int(np.prod(dimensions))
            while left:
                count = min(left, CHUNK)
                noise = random.standard_normal(count, np.float32) * 0.02
                if "norm.weight" in name:
                    noise += 1
                out.write(noise.astype(np.float16).tobytes())
                left -= count
    partial.rename(file)
