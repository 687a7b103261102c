"""Counts the texts that our files and the tokenizers of their checkpoints tokenise differently.

    python -m tests.benchmarks.convert_tokens --llama-cpp .../vendor/llama.cpp --work /tmp/tokens

needs `pip install sentencepiece protobuf`. The tokenizers are those of DeepSeek-Coder, Llama 3,
Qwen2 and Llama 2, the texts those of tests/integration/convert/test_tokenisation.py. The exit code
is 1 if any text differs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import sentencepiece

from llmsuggestd.convert import convert
from llmsuggestd.convert.evaluate import tokenize_all
from tests.benchmarks.vocabularies import NAMES, write_tokenizer
from tests.integration.convert.test_tokenisation import different, strings
from tests.unit.convert.checkpoints import (
    LLAMA_CONFIG,
    config,
    random_weights,
    single_safetensors,
    write_json,
)


def main() -> int:
    """Print a line for each tokenizer. Returns 0 if no text differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama-cpp", type=Path, required=True, help="vendor/llama.cpp")
    parser.add_argument("--work", type=Path, required=True, help="folder for the files made")
    options = parser.parse_args()
    texts = [*dict.fromkeys([*strings(), "<s>", "a</s>b", "<unk>", "<0x41>"])]
    failures = 0
    for name in NAMES:
        found = count(options.work / name, options.llama_cpp, name, texts)
        print(f"{name}: {found} of {len(texts)} texts differ", flush=True)
        failures += found
    return 1 if failures else 0


def count(folder: Path, llama_cpp: Path, name: str, texts: list[str]) -> int:
    """The number of texts that differ for one tokenizer."""
    facts = write_tokenizer(folder, llama_cpp, name)
    tiny = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    settings = config(LLAMA_CONFIG, **tiny, num_attention_heads=1, num_key_value_heads=1, **facts)
    write_json(folder / "config.json", settings)
    single_safetensors(folder, random_weights(settings), "F16")
    convert(folder, folder / "m.gguf", "F16")
    if name != "llama-spm":
        return len(different(folder, texts, normalise=name == "qwen2"))
    reference = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    found = tokenize_all(folder / "m.gguf", texts)
    return sum(ours != reference.encode(text) for ours, text in zip(found, texts, strict=True))


if __name__ == "__main__":
    sys.exit(main())
