"""What the kinds of tokenizers have in common: numbered tokens, and how text becomes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gguf import TokenType

from llmsuggestd.errors import InputError


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of a tokenizer without those that were added to it.

    `model` and `pre` are llama.cpp's names of its kind and of the way in which it splits text.
    `numbers` has each token's number. Byte-level BPE has `merges`, which are pairs joined by a
    space, best first; SentencePiece has the `scores` of its tokens, and `types` of those that are
    not ordinary text. `space` says whether a space is added before a text, where that is a choice.
    """

    model: Literal["gpt2", "llama"]
    pre: str
    numbers: Mapping[str, int]
    normalizer: Literal["NFC", "none"]
    merges: list[str] = field(default_factory=list)
    scores: Mapping[int, float] = field(default_factory=dict)
    types: Mapping[int, TokenType] = field(default_factory=dict)
    space: bool | None = None
    warnings: list[str] = field(default_factory=list)


def numbers_of(model: Mapping[str, Any], where: str) -> dict[str, int]:
    """The numbers of the tokens in the `model` of a tokenizer.json."""
    vocab = model.get("vocab")
    if not isinstance(vocab, dict) or not vocab:
        raise InputError(f"{where}: the tokenizer has no vocabulary")
    for token, number in vocab.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise InputError(f"{where}: token {token!r} has number {number!r}")
    return vocab


def steps(value: Any, key: str) -> list[dict[str, Any]]:
    """The steps of a normaliser or pre-tokenizer, which may be a nested Sequence."""
    if not isinstance(value, dict):
        return []
    if value.get("type") != "Sequence":
        return [value]
    parts = value.get(key)
    return [
        step for part in (parts if isinstance(parts, list) else []) for step in steps(part, key)
    ]
