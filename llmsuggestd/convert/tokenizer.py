"""Converts the tokenizer of a checkpoint to GGUF's tables.

Only tokenizers that llama.cpp reproduces exactly are accepted: byte-level BPE with GPT-2's
splitting, and with NFC or no normalisation. llama.cpp itself never normalises. So one of our own
keys in the file says whether text must be in NFC, and the engine normalises prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gguf import TokenType

from llmsuggestd.convert.jsonfile import read_json_object, read_optional_json_object
from llmsuggestd.errors import InputError

# The regular expression of ByteLevel's splitting, which some tokenizer.json files contain.
GPT2_REGEX = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

# llama.cpp's names for this regular expression are "gpt-2", "mpt" and "olmo". Its own converter
# chooses the last one for the GPT-NeoX vocabulary, and equal files are easier to compare.
PRE_TYPE = "olmo"

END_ROLES = ("eot", "eom")  # llama.cpp's other end tokens: end of turn, end of message
SPECIAL_ROLES = ("bos", "eos", "unk", "sep", "pad", "mask")  # GGUF has no key for cls


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """A tokenizer, with one token per row of the embedding.

    Token i is `tokens[i]` of type `types[i]`. `merges` are pairs joined by a space, best first.
    `special` maps a role (bos, eos, ...) to a token. `warnings` do not prevent the conversion.
    """

    tokens: list[str]
    types: list[TokenType]
    merges: list[str]
    special: dict[str, int]
    add_bos: bool
    normalizer: Literal["NFC", "none"]
    warnings: list[str] = field(default_factory=list)


def read_tokenizer(folder: Path, config: Mapping[str, Any], rows: int) -> Tokenizer:
    """Read the tokenizer of a checkpoint whose embedding has `rows` rows.

    `config` is config.json's object, the last source for special tokens. Rows without a token
    (padding) get unused placeholders. Added tokens without a row are left out, since the model
    cannot read or write them.

    Raises `InputError` if there is no tokenizer, or one that llama.cpp cannot reproduce.
    """
    path = folder / "tokenizer.json"
    data = read_json_object(
        path, "save the tokenizer beside the model: tokenizer.save_pretrained(folder)"
    )
    where = str(path)
    settings = read_optional_json_object(folder / "tokenizer_config.json")
    vocab, merges = _model(data, where)
    normalizer = _normalizer(data.get("normalizer"), where)
    _check_pre_tokenizer(data.get("pre_tokenizer"), where)

    warnings: list[str] = []
    added = _added_tokens(data, settings, folder, where)
    ids = {**vocab, **{token: number for token, (number, _) in added.items()}}
    try:
        "".join(ids).encode()
    except UnicodeEncodeError:
        raise InputError(f"{where}: a token has half a character (a lone surrogate)") from None
    by_id: dict[int, str] = {}
    for token, number in ids.items():
        if by_id.setdefault(number, token) != token:
            raise InputError(f"{where}: token {number} is both {by_id[number]!r} and {token!r}")
    base_rows = max(vocab.values()) + 1
    if base_rows > rows:
        raise InputError(
            f"{where}: {base_rows} tokens, but the model's embedding has {rows} rows",
            "use the tokenizer of this model",
        )
    dropped = sorted(number for number in by_id if number >= rows)
    if dropped:
        names = ", ".join(repr(by_id[number]) for number in dropped)
        warnings.append(f"left out added tokens without a row in the embedding: {names}")
    if greedy := _greedy_tokens(data):
        warnings.append(f"llama.cpp does not strip spaces or match words for {greedy}")
    missing = sum(letter not in vocab for letter in _byte_letters())
    if missing:
        warnings.append(f"the vocabulary lacks {missing} bytes; characters with them are dropped")

    tokens, types = [], []
    for number in range(rows):
        known = by_id.get(number)
        if known is None:
            tokens.append(_placeholder(number, ids))
            types.append(TokenType.UNUSED)
        elif known in added:
            tokens.append(known)
            types.append(TokenType.CONTROL if added[known][1] else TokenType.USER_DEFINED)
        else:
            tokens.append(known)
            types.append(TokenType.NORMAL)

    special = _special_tokens(ids, settings, folder, config, rows)
    _more_ends(special, folder, config, types, warnings)
    if "eos" not in special:
        raise InputError(
            f"{folder}: nothing names the end-of-text token",
            "config.json should have eos_token_id, or tokenizer_config.json eos_token",
        )
    first = _template_first(data.get("post_processor"))
    return Tokenizer(
        tokens,
        types,
        merges,
        special,
        add_bos=first is not None and ids.get(first) == special.get("bos"),
        normalizer=normalizer,
        warnings=warnings,
    )


def _model(data: Mapping[str, Any], where: str) -> tuple[dict[str, int], list[str]]:
    """The vocabulary and the merges of the BPE model."""
    model = data.get("model")
    if not isinstance(model, dict) or model.get("type") != "BPE":
        kind = model.get("type") if isinstance(model, dict) else None
        raise InputError(
            f"{where}: the tokenizer is {kind or 'of no known type'}, not byte-level BPE"
        )
    for option in ("continuing_subword_prefix", "end_of_word_suffix", "byte_fallback",
                   "ignore_merges", "dropout"):  # fmt: skip
        if model.get(option):
            raise InputError(
                f"{where}: BPE with {option} is not what llama.cpp computes for GPT-NeoX"
            )
    vocab, merges = model.get("vocab"), model.get("merges")
    if not isinstance(vocab, dict) or not vocab or not isinstance(merges, list):
        raise InputError(f"{where}: the tokenizer has no vocabulary or no merges")
    for token, number in vocab.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise InputError(f"{where}: token {token!r} has number {number!r}")
    return vocab, [_merge(entry, vocab, where) for entry in merges]


def _merge(entry: Any, vocab: Mapping[str, int], where: str) -> str:
    # "a b" before tokenizers 0.20, ["a", "b"] since.
    pair = entry.split(" ") if isinstance(entry, str) else entry
    if (
        not isinstance(pair, list)
        or len(pair) != 2
        or not all(isinstance(part, str) and part and " " not in part for part in pair)
    ):
        raise InputError(f"{where}: the merge {entry!r} is not a pair of byte-level tokens")
    if pair[0] + pair[1] not in vocab:
        raise InputError(f"{where}: the merge {entry!r} makes a token that does not exist")
    return f"{pair[0]} {pair[1]}"


def _normalizer(value: Any, where: str) -> Literal["NFC", "none"]:
    kinds = [str(step.get("type")) for step in _steps(value, "normalizers")]
    if not kinds:
        return "none"
    if set(kinds) == {"NFC"}:
        return "NFC"
    raise InputError(
        f"{where}: the tokenizer normalises text by {', '.join(kinds)}",
        "only NFC, or no normalisation, can be reproduced",
    )


def _check_pre_tokenizer(value: Any, where: str) -> None:
    """Check that the pre-tokenizer is ByteLevel, or its split followed by ByteLevel without one."""
    steps = _steps(value, "pretokenizers")
    names = [step.get("type") for step in steps]
    byte_level = steps[-1] if names[-1:] == ["ByteLevel"] else {}
    if byte_level.get("add_prefix_space"):
        raise InputError(f"{where}: the tokenizer adds a space before the text")
    if names == ["ByteLevel"] and byte_level.get("use_regex", True):
        return
    if names == ["Split", "ByteLevel"] and not byte_level.get("use_regex", True):
        pattern = steps[0].get("pattern")
        if (
            pattern == {"Regex": GPT2_REGEX}
            and steps[0].get("behavior") == "Isolated"
            and not steps[0].get("invert")
        ):
            return
    raise InputError(
        f"{where}: the tokenizer splits text by {', '.join(map(str, names)) or 'nothing'}",
        "only byte-level BPE with GPT-2's splitting can be reproduced",
    )


def _steps(value: Any, key: str) -> list[dict[str, Any]]:
    """The steps of a normaliser or pre-tokenizer, which may be a nested Sequence."""
    if not isinstance(value, dict):
        return []
    if value.get("type") != "Sequence":
        return [value]
    parts = value.get(key)
    return [
        step for part in (parts if isinstance(parts, list) else []) for step in _steps(part, key)
    ]


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


def _more_ends(
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


def _template_first(value: Any) -> str | None:
    """The special token that a post-processor adds before a text, if any."""
    for step in _steps(value, "processors"):
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


def _byte_letters() -> Iterator[str]:
    """The letters that stand for bytes in a byte-level vocabulary (GPT-2's mapping).

    The thirteen bytes that UTF-8 never has are left out, since the GPT-NeoX vocabulary lacks them.
    """
    extra = 256
    for byte in range(256):
        if 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or 0xAE <= byte <= 0xFF:
            letter = byte
        else:
            letter, extra = extra, extra + 1
        if byte not in (0xC0, 0xC1) and byte < 0xF5:
            yield chr(letter)
