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
from tests.unit.convert.checkpoints import tensor_shapes

TOKENIZER = Path(__file__).parents[1] / "data" / "gpt-neox-tokenizer" / "tokenizer.json.gz"
CHUNK = 2**22
"""Number of random elements generated at a time."""


def _pythia(layers: int, hidden: int, heads: int) -> dict[str, Any]:
    return {
        "architectures": ["GPTNeoXForCausalLM"],
        "model_type": "gpt_neox",
        "hidden_act": "gelu",
        "hidden_size": hidden,
        "intermediate_size": 4 * hidden,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 2048,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "rotary_emb_base": 10000,
        "rotary_pct": 0.25,
        "tie_word_embeddings": False,
        "use_parallel_residual": True,
        "vocab_size": 50304,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }


def _llama(
    architecture: str, layers: int, hidden: int, wide: int, heads: int, groups: int, vocabulary: int
) -> dict[str, Any]:
    return {
        "architectures": [f"{architecture}ForCausalLM"],
        "model_type": architecture.lower(),
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": wide,
        "max_position_embeddings": 4096,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "num_hidden_layers": layers,
        "rms_norm_eps": 1e-06,
        "rope_theta": 100000.0,
        "tie_word_embeddings": False,
        "vocab_size": vocabulary,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }


SHAPES: dict[str, dict[str, Any]] = {
    "70M": _pythia(6, 512, 8),
    "410M": _pythia(24, 1024, 16),
    "2.8B": _pythia(32, 2560, 32),
    "1.3B": _llama("Llama", 24, 2048, 5504, 16, 16, 50304),  # deepseek-coder-1.3b
    "7B": _llama("Qwen2", 28, 3584, 18944, 28, 4, 152064),  # Qwen2.5-7B
}
"""The configuration of each model."""


def make(name: str, directory: Path) -> tuple[Path, Path]:
    """The checkpoint folder and the GGUF file of a shape, made if they are missing."""
    checkpoint, gguf = directory / f"random-{name}", directory / f"random-{name}.gguf"
    if not (checkpoint / "model.safetensors").exists():
        checkpoint.mkdir(parents=True, exist_ok=True)
        (checkpoint / "config.json").write_text(json.dumps(SHAPES[name]))
        (checkpoint / "tokenizer.json").write_bytes(gzip.decompress(TOKENIZER.read_bytes()))
        _write_weights(checkpoint / "model.safetensors", SHAPES[name])
    if not gguf.exists():
        convert(checkpoint, gguf, prompt_format=LLMSTEP)
    return checkpoint, gguf


def _write_weights(file: Path, config: dict[str, Any]) -> None:
    """Write a safetensors file in pieces, since the whole may not fit into memory."""
    header: dict[str, object] = {}
    offset = 0
    for name, dimensions in tensor_shapes(config).items():
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
        for name, dimensions in tensor_shapes(config).items():
            left = int(np.prod(dimensions))
            while left:
                count = min(left, CHUNK)
                noise = random.standard_normal(count, np.float32) * 0.02
                if "norm.weight" in name:
                    noise += 1
                out.write(noise.astype(np.float16).tobytes())
                left -= count
    partial.rename(file)
