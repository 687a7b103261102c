"""GGUF files: small ones of architectures that the converter does not make, and edited starters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter, TokenType
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from llmsuggestd.models.store import SHIPPED
from tests.unit.convert.checkpoints import byte_level_tokenizer

HIDDEN, WIDE, LAYERS, HEADS, CACHED_HEADS = 64, 128, 2, 4, 2

SPLITS = {
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
"""The rules by which Qwen2's and Llama 3's tokenizers split text, from their tokenizer.json."""


def write_model(
    path: Path,
    architecture: str = "qwen2",
    *,
    pre: str | None = None,
    specials: Sequence[str] = ("<|im_start|>", "<|im_end|>"),
    bos: bool = False,
    data: Mapping[str, Any] | None = None,
    facts: Mapping[str, str] | None = None,
) -> Path:
    """Write a model with the structure of a Llama or a Qwen2, which prefers the letters a to z.

    `data` is the object of a tokenizer.json, by default a small one, to which `specials` are added.
    With `bos`, the file asks for its first token before each text. `facts` are further keys.
    """
    tokens, merges = vocabulary(data or byte_level_tokenizer(), specials)
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(4096)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(CACHED_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_file_type(0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre or {"llama": "llama-bpe"}.get(architecture, architecture))
    writer.add_token_list(tokens)
    kinds = [TokenType.CONTROL if t in specials or n == 0 else TokenType.NORMAL
             for n, t in enumerate(tokens)]  # fmt: skip
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(bos)
    for key, text in (facts or {}).items():
        writer.add_string(key, text)
    for name, values in _weights(architecture, tokens).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def edited_starter(folder: Path, *changes: tuple[bytes, bytes]) -> Path:
    """Write the starter with some bytes replaced by others of the same length."""
    data = SHIPPED.read_bytes()
    for old, new in changes:
        assert old in data
        assert len(old) == len(new)
        data = data.replace(old, new, 1)
    path = folder / "edited.gguf"
    path.write_bytes(data)
    return path


def reference_tokenizer(
    pre: str, specials: Sequence[str] = (), data: Mapping[str, Any] | None = None
) -> Tokenizer:
    """Hugging Face's tokenizer with the same vocabulary."""
    data = data or byte_level_tokenizer()
    model = data["model"]
    merges: Any = [tuple(m.split(" ") if isinstance(m, str) else m) for m in model["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=model["vocab"], merges=merges, ignore_merges=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLITS[pre]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([entry["content"] for entry in data["added_tokens"][:1]])
    tokenizer.add_special_tokens(list(specials))
    return tokenizer


def vocabulary(data: Mapping[str, Any], specials: Sequence[str]) -> tuple[list[str], list[str]]:
    """The tokens in their order, the special ones last, and the merges."""
    known = sorted(data["model"]["vocab"], key=data["model"]["vocab"].__getitem__)
    merges = [m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]]
    return [*known, *specials], merges


def _weights(architecture: str, tokens: Sequence[str]) -> dict[str, Any]:
    random = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> Any:
        return (random.standard_normal((rows, columns)) * 0.05).astype(np.float32)

    head = HIDDEN // HEADS
    found = {
        "token_embd.weight": matrix(len(tokens), HIDDEN),
        "output_norm.weight": np.ones(HIDDEN, np.float32),
        "output.weight": matrix(len(tokens), HIDDEN) * 8,
    }
    # one channel is 1 for every token, and favours the letters
    found["token_embd.weight"][:, 0] = 1.0
    letters = [n for n, token in enumerate(tokens) if len(token) == 1 and token in LETTERS]
    found["output.weight"][:, 0] = 0.0
    found["output.weight"][letters, 0] = 2.0
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        sizes = {"attn_q": HIDDEN, "attn_k": CACHED_HEADS * head, "attn_v": CACHED_HEADS * head}
        for name, rows in sizes.items():
            found[f"{block}{name}.weight"] = matrix(rows, HIDDEN)
            if architecture == "qwen2":
                found[f"{block}{name}.bias"] = matrix(1, rows)[0]
        found |= {
            f"{block}attn_norm.weight": np.ones(HIDDEN, np.float32),
            f"{block}attn_output.weight": matrix(HIDDEN, HIDDEN),
            f"{block}ffn_norm.weight": np.ones(HIDDEN, np.float32),
            f"{block}ffn_gate.weight": matrix(WIDE, HIDDEN),
            f"{block}ffn_up.weight": matrix(WIDE, HIDDEN),
            f"{block}ffn_down.weight": matrix(HIDDEN, WIDE),
        }
    return found


LETTERS = "abcdefghijklmnopqrstuvwxyz"
