"""The vocabulary of a tokenizer, in the form that all kinds of tokenizers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gguf import TokenType

from llmsuggestd.errors import InputError


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A tokenizer's own tokens, without added ones.

    `model` and `pre` are llama.cpp's names for its kind and for its way to split text. `ids`
    has each token's id. Byte-level BPE has `merges`: pairs joined by a space, best first.
    SentencePiece has the `scores` of its tokens, and the `types` of tokens that are not ordinary
    text. `add_space` is whether a space is added before a text; None if the kind has no such
    choice.
    """

    model: Literal["gpt2", "llama"]
    pre: str
    ids: Mapping[str, int]
    normalizer: Literal["NFC", "none"]
    merges: list[str] = field(default_factory=list)
    scores: Mapping[int, float] = field(default_factory=dict)
    types: Mapping[int, TokenType] = field(default_factory=dict)
    add_space: bool | None = None
    warnings: list[str] = field(default_factory=list)


def token_ids(model: Mapping[str, Any], where: str) -> dict[str, int]:
    """Each token's id, from the `model` of a tokenizer.json. Raises `InputError`."""
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
