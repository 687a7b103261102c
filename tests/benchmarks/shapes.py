"""Makes models with the shapes of known ones and random weights, without a download.

The weights are float16 noise in one safetensors file. The tokenizer is the real one of GPT-NeoX;
where a shape has a larger vocabulary, the other tokens are padding. Our converter makes a Q4_K_M
file of both. A directory keeps the files for later runs.

Noise takes minutes at 2.8B and more. `make_gguf` makes only the Q4_K_M file, in seconds: its
weights are blocks in random order, all from the same megabytes of quantised noise.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from llmsuggestd.convert import convert
from llmsuggestd.convert.architectures import read_model
from llmsuggestd.convert.checkpoint import Checkpoint
from llmsuggestd.convert.gguf_file import TensorInfo, write_header, write_tensor
from llmsuggestd.convert.metadata import Source, make_writer
from llmsuggestd.convert.quantize import quantize_rows
from llmsuggestd.convert.recipe import RECIPES, tensor_type
from llmsuggestd.convert.tokenizer import read_tokenizer
from llmsuggestd.files import replacing
from llmsuggestd.formats import LLMSTEP
from llmsuggestd.quants import DEFAULT_QUANT
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
        _write_settings(checkpoint, SHAPES[name])
        _write_weights(checkpoint / "model.safetensors", SHAPES[name])
    if not gguf.exists():
        convert(checkpoint, gguf, prompt_format=LLMSTEP)
    return checkpoint, gguf


def make_gguf(name: str, directory: Path) -> Path:
    """The GGUF file of a shape without a checkpoint, made if it is missing."""
    folder, gguf = directory / f"blocks-{name}", directory / f"blocks-{name}.gguf"
    if gguf.exists():
        return gguf
    _write_settings(folder, SHAPES[name])
    model, config = read_model(folder)
    recipe = RECIPES[DEFAULT_QUANT]
    infos = [
        TensorInfo(slot.name, slot.shape, tensor_type(recipe, slot.name, slot.shape, model.traits))
        for slot in model.slots()
    ]
    writer = make_writer(
        Checkpoint(folder, model, config, {}, []),
        read_tokenizer(folder, config.raw, model.vocab),
        recipe,
        prompt_format=LLMSTEP,
        name=gguf.stem,
        source=Source(),
        parameters=sum(prod(info.shape) for info in infos),
    )
    random = np.random.default_rng(0)
    noise = random.standard_normal((CHUNK // 256, 256), np.float32) * 0.02
    blocks = {
        kind: quantize_rows(noise, kind).reshape(-1, GGML_QUANT_SIZES[kind][1])
        for kind in {info.kind for info in infos} - {GGMLQuantizationType.F32}
    }
    with replacing(gguf) as partial:
        file = write_header(writer, partial, infos)
        for info in infos:
            for _ in write_tensor(file, info, _random_data(info, blocks.get(info.kind), random)):
                pass
        file.close()
    return gguf


def _random_data(
    tensor: TensorInfo, blocks: npt.NDArray[np.uint8] | None, random: np.random.Generator
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield a tensor's data in parts: `blocks` in random order, or float32 without them."""
    if blocks is None:
        values = random.standard_normal(tensor.shape, np.float32) * 0.02
        yield (values + ("norm.weight" in tensor.name)).astype(np.float32).view(np.uint8)
        return
    left = tensor.nbytes // blocks.shape[1]
    while left:
        count = min(left, len(blocks))
        yield blocks[random.integers(0, len(blocks), count)]
        left -= count


def _write_settings(checkpoint: Path, config: dict[str, Any]) -> None:
    """Write a checkpoint's config.json and tokenizer.json."""
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "tokenizer.json").write_bytes(
        gzip.decompress(checkpoints.NEOX_TOKENIZER.read_bytes())
    )


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
