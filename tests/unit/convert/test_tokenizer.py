"""The tokenizer's tables, from tokenizer.json and the files beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFWriter, TokenType

from llmsuggestd.convert.bpe import PRE_TOKENIZERS
from llmsuggestd.convert.tokenizer import SPECIAL_ROLES, Tokenizer, read_tokenizer
from llmsuggestd.errors import InputError
from tests.unit.convert.checkpoints import (
    added,
    byte_letters,
    byte_level_tokenizer,
    neox_tokenizer,
    split_tokenizer,
    write_json,
)

EOS = {"eos_token_id": 0, "bos_token_id": 0}


def read(
    folder: Path, rows: int = 320, config: dict[str, Any] | None = None, **changes: Any
) -> Tokenizer:
    """Read a small tokenizer, with changes to its tokenizer.json."""
    write_json(folder / "tokenizer.json", byte_level_tokenizer(**changes))
    return read_tokenizer(folder, EOS if config is None else config, rows)


def model(**changes: Any) -> dict[str, Any]:
    """The small tokenizer's `model`, changed."""
    result: dict[str, Any] = byte_level_tokenizer()["model"] | changes
    return result


def test_the_gpt_neox_tokenizer(tmp_path: Path) -> None:
    write_json(tmp_path / "tokenizer.json", neox_tokenizer())
    tokenizer = read_tokenizer(tmp_path, EOS, 50304)
    assert tokenizer.tokens[0] == "<|endoftext|>"
    assert tokenizer.tokens[187] == "Ċ"
    assert tokenizer.tokens[50276] == "  "
    assert tokenizer.tokens[50277] == "[PAD50277]"
    counts = {kind: tokenizer.types.count(kind) for kind in set(tokenizer.types)}
    assert counts == {
        TokenType.CONTROL: 2, TokenType.USER_DEFINED: 23, TokenType.UNUSED: 27,
        TokenType.NORMAL: 50304 - 52,
    }  # fmt: skip
    assert len(tokenizer.merges) == 50009
    assert tokenizer.merges[0] == "Ġ Ġ"
    assert tokenizer.normalizer == "NFC"
    assert tokenizer.special == {"bos": 0, "eos": 0}
    assert not tokenizer.add_bos
    assert tokenizer.warnings == []


def test_rows_without_a_token_are_unused(tmp_path: Path) -> None:
    tokenizer = read(tmp_path, rows=303)
    assert tokenizer.tokens[-6:] == [f"[PAD{i}]" for i in range(297, 303)]
    assert tokenizer.types[-6:] == [TokenType.UNUSED] * 6
    assert tokenizer.types[-7] == TokenType.NORMAL


def test_a_placeholder_never_takes_a_tokens_name(tmp_path: Path) -> None:
    tokens = [added("<|endoftext|>", 0), added("[PAD298]", 297)]
    tokenizer = read(tmp_path, rows=300, added_tokens=tokens)
    assert tokenizer.tokens[297:] == ["[PAD298]", "[[PAD298]]", "[PAD299]"]
    assert len(set(tokenizer.tokens)) == 300


def test_added_tokens_are_special_or_plain(tmp_path: Path) -> None:
    tokens = [added("<|endoftext|>", 0), added("[PAD]", 297), added("   ", 298, special=False)]
    tokenizer = read(tmp_path, rows=299, added_tokens=tokens)
    assert tokenizer.tokens[297:] == ["[PAD]", "   "]
    assert tokenizer.types[297:] == [TokenType.CONTROL, TokenType.USER_DEFINED]
    assert tokenizer.types[0] == TokenType.CONTROL


def test_added_tokens_in_the_other_files_count(tmp_path: Path) -> None:
    write_json(tmp_path / "added_tokens.json", {"[PAD]": 297})
    write_json(
        tmp_path / "tokenizer_config.json",
        {"added_tokens_decoder": {"298": {"content": "«x»", "special": False}},
         "pad_token": {"content": "[PAD]"}},
    )  # fmt: skip
    tokenizer = read(tmp_path, rows=299)
    assert tokenizer.tokens[297:] == ["[PAD]", "«x»"]
    assert tokenizer.types[297:] == [TokenType.CONTROL, TokenType.USER_DEFINED]
    assert tokenizer.special["pad"] == 297


def test_added_tokens_without_a_row_are_left_out(tmp_path: Path) -> None:
    tokens = [added("<|endoftext|>", 0), added("[PAD]", 297)]
    write_json(tmp_path / "tokenizer_config.json", {"pad_token": "[PAD]"})
    tokenizer = read(tmp_path, rows=297, added_tokens=tokens)
    assert len(tokenizer.tokens) == 297
    assert "[PAD]" not in tokenizer.tokens
    assert "pad" not in tokenizer.special
    assert tokenizer.warnings == ["left out added tokens without a row in the embedding: '[PAD]'"]


def test_added_tokens_that_strip_spaces_are_reported(tmp_path: Path) -> None:
    greedy = added("greedy", 297, special=False) | {"lstrip": True}
    word = added("word", 298, special=False) | {"single_word": True}
    special = added("<mask>", 299) | {"lstrip": True}
    tokens = [added("<|endoftext|>", 0), greedy, word, special]
    assert read(tmp_path, added_tokens=tokens).warnings == [
        "llama.cpp does not strip spaces or match words for 'greedy', 'word'"
    ]


def test_a_vocabulary_larger_than_the_embedding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="297 tokens, but the model's embedding has 296 rows"):
        read(tmp_path, rows=296)


@pytest.mark.parametrize("pairs", [True, False])
def test_merges_in_both_notations(tmp_path: Path, pairs: bool) -> None:
    texts = byte_level_tokenizer()["model"]["merges"]
    merges = [text.split(" ") for text in texts] if pairs else texts
    assert read(tmp_path, model=model(merges=merges)).merges == texts


def test_every_special_token_can_be_written() -> None:
    for role in SPECIAL_ROLES:
        assert hasattr(GGUFWriter, f"add_{role}_token_id"), role


def test_special_tokens_from_the_first_file_that_names_them(tmp_path: Path) -> None:
    tokens = [added("<|endoftext|>", 0), added("<s>", 297), added("</s>", 298), added("<u>", 299)]
    write_json(tmp_path / "tokenizer_config.json", {"eos_token": {"content": "</s>"}})
    write_json(
        tmp_path / "special_tokens_map.json", {"bos_token": "<s>", "eos_token": "<|endoftext|>"}
    )
    config = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 299, "unk_token_id": 9999}
    tokenizer = read(tmp_path, config=config, added_tokens=tokens)
    assert tokenizer.special == {"bos": 297, "eos": 298, "pad": 299, "eot": 0}


@pytest.mark.parametrize(
    ("config", "generation", "ends"),
    [
        ({"eos_token_id": [0, 5]}, None, {"eos": 0, "eot": 5}),
        ({"eos_token_id": [5, 0, 7]}, None, {"eos": 0, "eot": 5, "eom": 7}),
        ({"eos_token_id": [9999, True, 6]}, None, {"eos": 6}),
        ({"eos_token_id": 0}, {"eos_token_id": [0, 6]}, {"eos": 0, "eot": 6}),
        ({}, {"eos_token_id": 6}, {"eos": 6}),
        ({"eos_token_id": 0}, {"eos_token_id": 0}, {"eos": 0}),
        ({"eos_token_id": 0}, {}, {"eos": 0}),
    ],
)
def test_a_text_may_end_with_several_tokens(
    tmp_path: Path, config: dict[str, Any], generation: Any, ends: dict[str, int]
) -> None:
    if generation is not None:
        write_json(tmp_path / "generation_config.json", generation)
    tokenizer = read(tmp_path, config=config)
    assert tokenizer.special == ends
    assert tokenizer.warnings == []


def test_end_tokens_that_no_key_is_left_for_are_named(tmp_path: Path) -> None:
    tokenizer = read(tmp_path, config={"eos_token_id": [0, 1, 2, 3, 4]})
    assert tokenizer.special == {"eos": 0, "eot": 1, "eom": 2}
    assert "left out: [3, 4]" in tokenizer.warnings[0]


def test_a_template_that_begins_with_bos(tmp_path: Path) -> None:
    template = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
    }
    assert read(tmp_path, post_processor=template).add_bos
    assert read(tmp_path, post_processor={"type": "Sequence", "processors": [template]}).add_bos
    template["single"] = template["single"][1:]
    assert not read(tmp_path, post_processor=template).add_bos


@pytest.mark.parametrize(
    ("normalizer", "name"),
    [
        ({"type": "NFC"}, "NFC"),
        ({"type": "Sequence", "normalizers": [{"type": "NFC"}]}, "NFC"),
        ({"type": "Sequence", "normalizers": []}, "none"),
        (None, "none"),
    ],
)
def test_normalizers(tmp_path: Path, normalizer: Any, name: str) -> None:
    assert read(tmp_path, normalizer=normalizer).normalizer == name


def test_the_split_spelled_out_is_accepted(tmp_path: Path) -> None:
    split = {
        "type": "Split",
        "pattern": {"Regex": PRE_TOKENIZERS["olmo"][0]},
        "behavior": "Isolated",
    }
    level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    steps = {"type": "Sequence", "pretokenizers": [split, level]}
    assert read(tmp_path, pre_tokenizer=steps).tokens


@pytest.mark.parametrize(
    ("pre", "normalizer"), [("llama-bpe", "none"), ("qwen2", "NFC"), ("deepseek-coder", "none")]
)
def test_ways_to_split_are_recognised(tmp_path: Path, pre: str, normalizer: str) -> None:
    found = read(tmp_path, **split_tokenizer(pre))
    assert (found.model, found.pre, found.normalizer) == ("gpt2", pre, normalizer)
    assert found.merges
    assert not found.scores


def test_carriage_returns_may_be_escaped(tmp_path: Path) -> None:
    data = split_tokenizer("deepseek-coder")
    step = data["pre_tokenizer"]["pretokenizers"][0]
    assert step["pattern"] == {"Regex": "[\r\n]"}
    step["pattern"] = {"Regex": r"[\r\n]"}
    assert read(tmp_path, **data).pre == "deepseek-coder"


def test_a_llama_3_without_ignore_merges_is_another_kind(tmp_path: Path) -> None:
    data = split_tokenizer("llama-bpe")
    data["model"]["ignore_merges"] = False
    assert read(tmp_path, **data).pre == "smaug-bpe"


def test_a_split_that_is_turned_round_is_another(tmp_path: Path) -> None:
    data = split_tokenizer("qwen2")
    data["pre_tokenizer"]["pretokenizers"][0]["invert"] = True
    with pytest.raises(InputError, match="not known to reproduce"):
        read(tmp_path, **data)


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        ({"tokenizer_class": "LlamaTokenizerFast"}, True),
        ({"tokenizer_class": "LlamaTokenizer", "add_bos_token": True}, True),
        ({"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": False}, False),
        ({"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": True}, False),
        ({"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False}, False),
        ({}, False),
    ],
)
def test_classes_that_begin_a_text_by_their_own_setting(
    tmp_path: Path, settings: dict[str, Any], begins: bool
) -> None:
    write_json(tmp_path / "tokenizer_config.json", settings)
    assert read(tmp_path).add_bos == begins


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalizer": {"type": "NFKC"}}, "normalises text by NFKC"),
        ({"normalizer": {"type": ["NFC"]}}, "normalises text by"),
        ({"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"},
                                                             {"type": "Lowercase"}]}}, "Lowercase"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "splits text by Whitespace"),
        ({"pre_tokenizer": None}, "splits text by nothing"),
        ({"pre_tokenizer": BYTE_LEVEL | {"add_prefix_space": True}}, "adds a space"),
        ({"pre_tokenizer": BYTE_LEVEL | {"use_regex": False}}, "splits text by ByteLevel"),
        ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits"}, BYTE_LEVEL]}}, "splits text by Digits, ByteLevel"),
        ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "x"}, "behavior": "Isolated"},
            BYTE_LEVEL | {"use_regex": False}]}}, "splits text by Split"),
        ({"model": {"type": "Unigram"}}, "Unigram"),
        ({"model": None}, "of no known type"),
        ({"model": model(byte_fallback=True)}, "normalises text by NFC"),
        ({"model": model(ignore_merges=True)}, "ignore_merges"),
        ({"model": model(end_of_word_suffix="</w>")}, "end_of_word_suffix"),
        ({"model": model(vocab={})}, "no vocabulary"),
        ({"model": model(merges=["a"])}, "the merge 'a'"),
        ({"model": model(merges=["a b c"])}, "the merge 'a b c'"),
        ({"model": model(merges=[["a", " "]])}, "the merge"),
        ({"model": model(merges=["q q"])}, "makes a token that does not exist"),
        ({"model": model(vocab={"a": -1})}, "token 'a' has number -1"),
        ({"model": model(vocab={"a": 1, "b": 1}, merges=[])}, "token 1 is both 'a' and 'b'"),
        ({"added_tokens": [added("x", 7), added("x", 8)]}, "both 7 and 8"),
        ({"added_tokens": [{"content": "x", "id": "7"}]}, "the added token 'x'"),
    ],
)  # fmt: skip
def test_tokenizers_that_llama_cpp_cannot_reproduce_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, **changes)
    assert message in caught.value.message
    assert str(tmp_path / "tokenizer.json") in caught.value.message
    assert "\n" not in caught.value.message


def test_half_a_character_is_no_token(tmp_path: Path) -> None:
    data = byte_level_tokenizer(added_tokens=[added("<|endoftext|>", 0), added("\ud800", 297)])
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="has half a character"):
        read_tokenizer(tmp_path, EOS, 320)


def test_numbers_beyond_reason_are_no_tokens(tmp_path: Path) -> None:
    decoder = {"9" * 5000: {"content": "x"}}
    write_json(tmp_path / "tokenizer_config.json", {"added_tokens_decoder": decoder})
    assert read(tmp_path).tokens


def test_no_end_of_text_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="end-of-text"):
        read(tmp_path, config={})


def test_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tokenizer\.json: no such file") as caught:
        read_tokenizer(tmp_path, EOS, 320)
    assert "save_pretrained" in caught.value.hint


def test_missing_bytes_are_reported(tmp_path: Path) -> None:
    vocab = {
        letter: number
        for letter, number in byte_level_tokenizer(merges=0)["model"]["vocab"].items()
        if letter not in (byte_letters()[0xE2], byte_letters()[0xC0])
    }
    tokenizer = read(tmp_path, model=model(vocab=vocab, merges=[]))
    assert tokenizer.warnings == ["the vocabulary lacks 1 bytes; characters with them are dropped"]
