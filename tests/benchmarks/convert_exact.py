"""Compares our files with llama.cpp's, tensor by tensor and bit by bit.

    python -m tests.benchmarks.convert_exact --llama-cpp .../vendor/llama.cpp \
        --reference-python .../bin/python --work /tmp/exact

The exit code is 1 if any tensor differs, or any metadata that is not in `EXPECTED`.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader

from tests.benchmarks.convert_common import (
    FILE_TYPES,
    arguments,
    llama_convert,
    llama_quantize,
    make_checkpoint,
    our_convert,
    run,
)
from tests.benchmarks.vocabularies import write_tokenizer
from tests.unit.convert.checkpoints import (
    LLAMA_CONFIG,
    QWEN2_CONFIG,
    config,
    random_weights,
    single_safetensors,
    write_json,
)

CASES = [
    ("70m", "F16", list(FILE_TYPES)),
    ("410m", "F16", ["Q4_K_M", "Q4_0", "Q6_K", "Q8_0"]),
    ("70m", "F32", ["Q4_K_M"]),
    ("70m", "BF16", ["Q4_K_M"]),
    ("14m", "F16", list(FILE_TYPES)),
]

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}  # fmt: skip
YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}

# Small Llamas and Qwen2s: the tokenizer, the changes to the configuration, the quantisations.
EVERY, SOME = list(FILE_TYPES), ["Q8_0", "Q4_K_M"]
SMALL: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "llama": ("deepseek-coder", config(LLAMA_CONFIG), EVERY),
    "llama-linear": ("deepseek-coder", config(
        LLAMA_CONFIG, rope_scaling={"type": "linear", "factor": 4.0}, rope_theta=100000), SOME),
    "llama-tied": ("deepseek-coder", config(
        LLAMA_CONFIG, tie_word_embeddings=True, attention_bias=True, mlp_bias=True, head_dim=32),
        EVERY),
    "llama-yarn": ("deepseek-coder", config(LLAMA_CONFIG, rope_scaling=YARN), SOME),
    "llama-80-layers": ("deepseek-coder", config(LLAMA_CONFIG, num_hidden_layers=80), EVERY),
    "llama3": ("llama-bpe", config(
        LLAMA_CONFIG, rope_scaling=LLAMA3, num_hidden_layers=9, num_key_value_heads=1), SOME),
    "llama2": ("llama-spm", config(LLAMA_CONFIG, num_key_value_heads=None), SOME),
    "qwen2": ("qwen2", config(QWEN2_CONFIG, num_key_value_heads=1), EVERY),
    "qwen2-tied": ("qwen2", config(
        QWEN2_CONFIG, tie_word_embeddings=True, rope_scaling=YARN), SOME),
}  # fmt: skip

# The intended differences of the metadata, and the reasons.
EXPECTED = {
    "GGUF.kv_count": "counts the keys below",
    "general.name": "llama.cpp makes a title of the folder's name, we keep it",
    "general.file_type": "llama.cpp's converter leaves it out for GPT-NeoX, its quantiser adds it",
    "general.size_label": "taken from the number of weights, or by llama.cpp from the name",
    "gptneox.rope.freq_base": "llama.cpp leaves it out and so always takes 10000",
    "llmsuggestd.prompt_template": "ours",
    "llmsuggestd.normalizer": "ours",
    "llmsuggestd.converter_version": "ours",
}


def main() -> int:
    """Run every case. Returns 0 if all are equal."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--shape", help="only this one, or `small` for Llamas and Qwen2s")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    failures = 0
    seen: set[str] = set()
    for shape, dtype, quants in CASES:
        if options.shape not in (None, shape):
            continue
        checkpoint = make_checkpoint(options.work / f"{shape}-{dtype}", shape, dtype)
        reference = options.work / "reference-f16.gguf"
        llama_convert(options, checkpoint, reference)
        for quant in ["F16", *quants]:
            theirs = reference
            if quant != "F16":
                theirs = options.work / "reference.gguf"
                llama_quantize(options, reference, theirs, quant)
            ours = options.work / "ours.gguf"
            our_convert(options, checkpoint, ours, quant)
            bad, line, keys = compare(ours, theirs)
            failures += bad
            seen |= keys
            print(f"{shape:5} {dtype:4} {quant:7} {line}", flush=True)
    if options.shape in (None, "70m"):
        failures += compare_pickles(options)
    if options.shape in (None, "small"):
        failures += sum(compare_small(options, name, seen) for name in SMALL)
    for key in sorted(seen):
        print(f"metadata {key}: {EXPECTED.get(key, 'NOT EXPECTED')}")
    failures += len(seen - set(EXPECTED))
    print("all equal" if not failures else f"{failures} DIFFERENCES")
    return 1 if failures else 0


def compare_small(options: argparse.Namespace, name: str, seen: set[str]) -> int:
    """The number of tensors of a small model that differ; adds keys that differ to `seen`."""
    tokenizer, settings, quants = SMALL[name]
    folder = options.work / name
    settings = settings | write_tokenizer(folder, options.llama_cpp, tokenizer)
    write_json(folder / "config.json", settings)
    single_safetensors(folder, random_weights(settings), "F16")
    f16, quantised, ours = (options.work / f"{name}-{end}.gguf" for end in ("f16", "q", "ours"))
    llama_convert(options, folder, f16)
    failures = 0
    for quant in ["F16", *quants]:
        theirs = f16
        if quant != "F16":
            theirs = quantised
            llama_quantize(options, f16, theirs, quant)
        our_convert(options, folder, ours, quant)
        bad, line, keys = compare(ours, theirs)
        failures += bad
        seen |= keys
        print(f"{name} {quant:7} {line}", flush=True)
    for path in (f16, quantised, ours):
        path.unlink(missing_ok=True)
    return failures


# Files that torch itself writes: a state dict, its parameters, and two shards of the former.
PICKLE = """
import json, sys, torch
from pathlib import Path
from transformers import GPTNeoXForCausalLM
source, target = map(Path, sys.argv[1:])
model = GPTNeoXForCausalLM.from_pretrained(source, torch_dtype=torch.float16)
for kind in ("state", "parameters", "shards"):
    folder = target / kind / "model"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((source / name).read_bytes())
    if kind == "shards":
        model.save_pretrained(folder, safe_serialization=False, max_shard_size="60MB")
        (folder / "generation_config.json").unlink(missing_ok=True)
    else:
        state = dict(model.named_parameters()) if kind == "parameters" else model.state_dict()
        torch.save(state, folder / "pytorch_model.bin")
"""


def compare_pickles(options: argparse.Namespace) -> int:
    """The number of torch's own files whose conversion differs from that of safetensors."""
    checkpoint = make_checkpoint(options.work / "70m-F16", "70m")
    folder = options.work / "pickles"
    log = options.work / "torch.log"
    run([str(options.reference_python), "-c", PICKLE, str(checkpoint), str(folder)], log)
    expected = options.work / "expected.gguf"
    our_convert(options, checkpoint, expected, "Q4_K_M")
    failures = 0
    for kind in ("state", "parameters", "shards"):
        ours = options.work / "ours.gguf"
        our_convert(options, folder / kind / "model", ours, "Q4_K_M")
        bad, line, _ = compare(ours, expected)
        failures += bad
        files = len(list((folder / kind / "model").glob("*.bin")))
        print(f"70m   torch.save, {kind}, {files} files: {line}", flush=True)
    return failures


def compare(ours: Path, theirs: Path) -> tuple[int, str, set[str]]:
    """The number of tensors that differ, a line about the files, and the keys that differ."""
    (our_keys, our_tensors), (their_keys, their_tensors) = read(ours), read(theirs)
    different = [
        name
        for name in sorted({*our_tensors, *their_tensors})
        if our_tensors.get(name) != their_tensors.get(name)
    ]
    types = Counter(kind for kind, _, _ in our_tensors.values())
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(types.items()))
    line = f"{len(our_tensors)} tensors ({counts}), {len(different)} different {different[:3]}"
    keys = {
        key
        for key in {*our_keys, *their_keys}
        if key not in our_keys or key not in their_keys or our_keys[key] != their_keys[key]
    }
    return len(different), line, keys


def read(path: Path) -> tuple[dict[str, Any], dict[str, tuple[str, list[int], bytes]]]:
    """A file's metadata, and each tensor's type, shape and bytes."""
    reader = GGUFReader(path)
    return (
        {name: field.contents() for name, field in reader.fields.items()},
        {
            tensor.name: (
                tensor.tensor_type.name,
                tensor.shape.tolist(),
                np.asarray(tensor.data).tobytes(),
            )
            for tensor in reader.tensors
        },
    )


if __name__ == "__main__":
    sys.exit(main())
