"""Converts the tokenizer of a checkpoint to GGUF's tables.

Only tokenizers that llama.cpp reproduces exactly are accepted (`bpe`, `sentencepiece`). llama.cpp
itself never normalises text. So one of our own keys in the file names the normalisation, and the
engine normalises prompts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gguf import TokenType

from llmsuggestd.convert import sentencepiece
from llmsuggestd.convert.bpe import read_bpe
from llmsuggestd.convert.files import MODEL_FILE
from llmsuggestd.convert.jsonfile import read_json_object, read_optional_json_object
from llmsuggestd.convert.vocabulary import Vocabulary, steps
from llmsuggestd.errors import InputError

END_ROLES = ("eot", "eom")  # llama.cpp's other end tokens: end of turn, end of message
SPECIAL_ROLES = ("bos", "eos", "unk", "sep", "pad", "mask")  # GGUF has no key for cls

_ADDED_SCORE = -1000.0
_UNUSED_SCORE = -10000.0
"""Scores of tokens that SentencePiece does not merge: those of llama.cpp's converter."""


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """A tokenizer, with one token per row of the embedding.

    For `model`, `pre`, `merges` and `add_space` see `Vocabulary`. Token i is `tokens[i]` of type
    `types[i]`. SentencePiece has a score per token. `special` maps a role (bos, eos, ...) to a
    token. `warnings` do not prevent the conversion.
    """

    model: str
    pre: str
    tokens: list[str]
    types: list[TokenType]
    merges: list[str]
    scores: list[float]
    special: dict[str, int]
    add_bos: bool
    add_space: bool | None
    normalizer: Literal["NFC", "none"]
    warnings: list[str] = field(default_factory=list)


def read_tokenizer(folder: Path, config: Mapping[str, Any], rows: int) -> Tokenizer:
    """Read the tokenizer of a checkpoint whose embedding has `rows` rows.

    `config` is config.json's object, the last source for special tokens. Rows without a token
    (padding) get unused placeholders. Added tokens without a row are left out, since the model
    cannot read or write them.

    Raises `InputError` if there is no tokenizer, or one that llama.cpp cannot reproduce.
    """
    settings = read_optional_json_object(folder / "tokenizer_config.json")
    vocabulary, data, where = _vocabulary(folder)
    added = _added_tokens(data, settings, folder, where)
    ids = {**vocabulary.ids, **{token: number for token, (number, _) in added.items()}}
    warnings: list[str] = []
    by_id = _by_number(vocabulary, ids, where, rows, warnings)
    if greedy := _greedy_tokens(data):
        warnings.append(f"llama.cpp does not strip spaces or match words for {greedy}")

    tokens, types, scores = [], [], []
    for number in range(rows):
        known = by_id.get(number)
        kind, score = TokenType.UNUSED, _UNUSED_SCORE
        if known is None:
            known = _placeholder(number, ids)
        elif known in added:
            kind = TokenType.CONTROL if added[known][1] else TokenType.USER_DEFINED
            score = _ADDED_SCORE
        else:
            kind = vocabulary.types.get(number, TokenType.NORMAL)
            score = vocabulary.scores.get(number, _UNUSED_SCORE)
        if vocabulary.scores and kind is TokenType.USER_DEFINED:
            known = known.replace(sentencepiece.SPACE, " ")  # llama.cpp compares it with plain text
        tokens.append(known)
        types.append(kind)
        scores.append(score)

    special = _special_tokens(ids, settings, folder, config, rows)
    _add_end_tokens(special, folder, config, types, warnings)
    if "eos" not in special:
        raise InputError(
            f"{folder}: nothing names the end-of-text token",
            "config.json should have eos_token_id, or tokenizer_config.json eos_token",
        )
    return Tokenizer(
        vocabulary.model,
        vocabulary.pre,
        tokens,
        types,
        vocabulary.merges,
        scores if vocabulary.scores else [],
        special,
        add_bos="bos" in special and _adds_bos(data, settings, ids, special["bos"]),
        add_space=vocabulary.add_space,
        normalizer=vocabulary.normalizer,
        warnings=warnings + vocabulary.warnings,
    )


def _vocabulary(folder: Path) -> tuple[Vocabulary, Mapping[str, Any], str]:
    """Return the vocabulary, tokenizer.json's object, and the name of the vocabulary's file."""
    path, model_file = folder / "tokenizer.json", folder / MODEL_FILE
    has_model_file = os.path.exists(model_file)  # noqa: PTH110 - false also without permission
    if has_model_file and not os.path.exists(path):  # noqa: PTH110
        return sentencepiece.read_model_file(model_file), {}, str(model_file)
    data = read_json_object(
        path, "save the tokenizer beside the model: tokenizer.save_pretrained(folder)"
    )
    model = data.get("model")
    if not isinstance(model, dict) or model.get("type") != "BPE":
        kind = model.get("type") if isinstance(model, dict) else None
        raise InputError(
            f"{path}: the tokenizer is {kind or 'of no known type'}, which cannot be converted",
            "byte-level BPE and Llama's SentencePiece can",
        )
    if not sentencepiece.is_sentencepiece(data):
        return read_bpe(data, str(path)), data, str(path)
    if has_model_file:
        sentencepiece.space_first(data, str(path))
        return sentencepiece.read_model_file(model_file), data, str(model_file)
    return sentencepiece.read_json(data, str(path)), data, str(path)


def _by_number(
    vocabulary: Vocabulary, ids: Mapping[str, int], where: str, rows: int, warnings: list[str]
) -> dict[int, str]:
    """The tokens by number, including those without a row in the embedding."""
    try:
        "".join(ids).encode()
    except UnicodeEncodeError:
        raise InputError(f"{where}: a token has half a character (a lone surrogate)") from None
    by_id: dict[int, str] = {}
    for token, number in ids.items():
        if by_id.setdefault(number, token) != token:
            raise InputError(f"{where}: token {number} is both {by_id[number]!r} and {token!r}")
    base_rows = max(vocabulary.ids.values()) + 1
    if base_rows > rows:
        raise InputError(
            f"{where}: {base_rows} tokens, but the model's embedding has {rows} rows",
            "use the tokenizer of this model",
        )
    dropped = sorted(number for number in by_id if number >= rows)
    if dropped:
        names = ", ".join(repr(by_id[number]) for number in dropped)
        warnings.append(f"left out added tokens without a row in the embedding: {names}")
    return by_id


def _adds_bos(
    data: Mapping[str, Any], settings: Mapping[str, Any], ids: Mapping[str, int], bos: int
) -> bool:
    """Whether a text begins with the token for that.

    transformers' classes for Llama tokenizers go by their own setting, all others by the template
    in tokenizer.json.
    """
    name, stated = settings.get("tokenizer_class"), settings.get("add_bos_token")
    if isinstance(name, str) and name.startswith(("LlamaTokenizer", "CodeLlamaTokenizer")):
        return stated is not False
    if not data:  # a tokenizer.model alone says nothing
        return stated is not False
    first = _first_of_template(data.get("post_processor"))
    return first is not None and ids.get(first) == bos


def _added_tokens(
    data: Mapping[str, Any], settings: Mapping[str, Any], folder: Path, where: str
) -> dict[str, tuple[int, bool]]:
    """The tokens added to the BPE vocabulary: for each text, its number and whether it is special.

    tokenizer.json lists them. Like transformers, this also adds tokens that only
    tokenizer_config.json (`added_tokens_decoder`) or the older added_tokens.json lists.
    """
    decoder = settings.get("added_tokens_decoder")
    old = read_optional_json_object(folder / "added_tokens.json")
    entries: list[tuple[Any, Any, Any]] = []
    listed = data.get("added_tokens")
    for token in listed if isinstance(listed, list) else []:
        if isinstance(token, dict):
            entries.append((token.get("content"), token.get("id"), token.get("special", False)))
    for number, token in (decoder if isinstance(decoder, dict) else {}).items():
        if isinstance(token, dict) and number.isdecimal() and len(number) < 10:
            entries.append((token.get("content"), int(number), token.get("special", False)))
    # added_tokens.json says nothing about being special; the tokens that fine-tunes add to a
    # GPT-NeoX by this file ([PAD]) are, and as such they are never read out of a goal.
    entries += [(content, number, True) for content, number in old.items()]
    result: dict[str, tuple[int, bool]] = {}
    for content, number, special in entries:
        if (
            not isinstance(content, str)
            or not content
            or isinstance(number, bool)
            or not isinstance(number, int)
            or number < 0
        ):
            raise InputError(f"{where}: the added token {content!r} has number {number!r}")
        if result.setdefault(content, (number, bool(special)))[0] != number:
            raise InputError(
                f"{where}: the added token {content!r} is both {result[content][0]} and {number}"
            )
    return result


def _greedy_tokens(data: Mapping[str, Any]) -> str:
    """Name the added tokens that take in spaces around them, or match whole words only.

    Special ones do not matter: they are never read out of a goal.
    """
    listed = data.get("added_tokens")
    return ", ".join(
        repr(token.get("content"))
        for token in (listed if isinstance(listed, list) else [])
        if isinstance(token, dict)
        and not token.get("special")
        and (token.get("lstrip") or token.get("rstrip") or token.get("single_word"))
    )


def _special_tokens(
    ids: Mapping[str, int],
    settings: Mapping[str, Any],
    folder: Path,
    config: Mapping[str, Any],
    rows: int,
) -> dict[str, int]:
    """The token of each role, from the first file that names it."""
    named = read_optional_json_object(folder / "special_tokens_map.json")
    result = {}
    for role in SPECIAL_ROLES:
        for number in (
            *(ids.get(_content(source.get(f"{role}_token"))) for source in (settings, named)),
            *_numbers(config.get(f"{role}_token_id")),
        ):
            if number is not None and 0 <= number < rows:
                result[role] = number
                break
    return result


def _add_end_tokens(
    special: dict[str, int],
    folder: Path,
    config: Mapping[str, Any],
    types: Sequence[TokenType],
    warnings: list[str],
) -> None:
    """Add the other tokens that end a text, under llama.cpp's roles for them.

    transformers ends a text at each token that generation_config.json, or else config.json, names.
    A control token among them is preferred as `eos`.
    """
    generation = read_optional_json_object(folder / "generation_config.json")
    named = generation.get("eos_token_id", config.get("eos_token_id"))
    ends = dict.fromkeys(number for number in _numbers(named) if 0 <= number < len(types))
    if "eos" in special:
        ends = {special["eos"]: None} | ends
    if not ends:
        return
    special["eos"], *others = sorted(ends, key=lambda end: types[end] is not TokenType.CONTROL)
    special |= dict(zip(END_ROLES, others, strict=False))
    if left_out := others[len(END_ROLES) :]:
        warnings.append(f"more end tokens than a GGUF file names; left out: {left_out}")


def _numbers(value: Any) -> list[int]:
    """The token numbers in a configuration's value, which may be a number, a list or null."""
    values = value if isinstance(value, list) else [value]
    return [n for n in values if isinstance(n, int) and not isinstance(n, bool)]


def _content(token: Any) -> str:
    """The text of a special token, which is a string or an object with its options."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else ""


def _first_of_template(value: Any) -> str | None:
    """The special token that a post-processor adds before a text, if any."""
    for step in steps(value, "processors"):
        single = step.get("single")
        if step.get("type") == "TemplateProcessing" and isinstance(single, list) and single:
            first = single[0].get("SpecialToken") if isinstance(single[0], dict) else None
            return str(first["id"]) if isinstance(first, dict) and "id" in first else None
    return None


def _placeholder(number: int, taken: Mapping[str, int]) -> str:
    """A unique name for a row without a token, since llama.cpp aborts on equal names."""
    name = f"[PAD{number}]"
    while name in taken:
        name = f"[{name}]"
    return name
