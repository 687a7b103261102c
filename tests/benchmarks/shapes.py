"""Makes models with the shapes of known ones and random weights, without a download.

The weights are float16 noise in one safetensors file. The tokenizer is the real one of GPT-NeoX;
where a shape has a larger vocabulary, the other tokens are padding. Our converter makes a Q4_K_M
file of both. A directory keeps the files for later runs.
"""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from llmsuggestd.convert import convert
from llmsuggestd.formats import LLMSTEP
from tests.unit.convert import checkpoints

CHUNK = 2**22
"""Number of random elements generated at a time."""


def _pythia(layers: int, hidden: int, heads: int) -> dict[str, Any]:
    return checkpoints.config(
        num_hidden_layers=layers,
        hidden_size=hidden,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=2048,
        vocab_size=50304,
    )


SHAPES: dict[str, dict[str, Any]] = {
    "70M": _pythia(6, 512, 8),
    "410M": _pythia(24, 1024, 16),
    "2.8B": _pythia(32, 2560, 32),
    # DeepSeek-Coder 1.3B
    "1.3B": checkpoints.config(
        checkpoints.LLAMA_CONFIG,
        num_hidden_layers=24,
        hidden_size=2048,
        num_attention_heads=16,
        num_key_value_heads=16,
        intermediate_size=5504,
        max_position_embeddings=4096,
        vocab_size=50304,
    ),
    # Qwen2.5 7B
    "7B": checkpoints.config(
        checkpoints.QWEN2_CONFIG,
        num_hidden_layers=28,
        hidden_size=3584,
        num_attention_heads=28,
        num_key_value_heads=4,
        intermediate_size=18944,
        max_position_embeddings=4096,
        vocab_size=152064,
    ),
}
"""The configuration of each model."""


def make(name: str, directory: Path) -> tuple[Path, Path]:
    """The checkpoint folder and the GGUF file of a shape, made if they are missing."""
    checkpoint, gguf = directory / f"random-{name}", directory / f"random-{name}.gguf"
    if not (checkpoint / "model.safetensors").exists():
        checkpoint.mkdir(parents=True, exist_ok=True)
        (checkpoint / "config.json").write_text(json.dumps(SHAPES[name]))
        (checkpoint / "tokenizer.json").write_bytes(
            gzip.decompress(checkpoints.NEOX_TOKENIZER.read_bytes())
        )
        _write_weights(checkpoint / "model.safetensors", SHAPES[name])
    if not gguf.exists():
        convert(checkpoint, gguf, prompt_format=LLMSTEP)
    return checkpoint, gguf


def _write_weights(file: Path, config: dict[str, Any]) -> None:
    """Write a safetensors file in pieces, since the whole may not fit into memory."""
    header: dict[str, object] = {}
    offset = 0
    for name, dimensions in checkpoints.tensor_shapes(config).items():
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
        for name, dimensions in checkpoints.tensor_shapes(config).items():
            left = int(np.prod(dimensions))
            while left:
                count = min(left, CHUNK)
                noise = random.standard_normal(count, np.float32) * 0.02
                if "norm.weight" in name:
                    noise += 1
                out.write(noise.astype(np.float16).tobytes())
                left -= count
    partial.rename(file)
