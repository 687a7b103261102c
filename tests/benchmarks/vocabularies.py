"""Real tokenizers of Llamas and Qwen2s, made from the vocabularies in llama.cpp's sources.

`vendor/llama.cpp/models` has files without weights for tests of llama.cpp. From each, the files are
written that a checkpoint with this tokenizer has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gguf import GGUFReader, TokenType

from tests.unit.convert.checkpoints import added, split_tokenizer, write_json

NAMES = ("deepseek-coder", "llama-bpe", "qwen2", "llama-spm")


def write_tokenizer(folder: Path, llama_cpp: Path, name: str) -> dict[str, Any]:
    """Write the files of a tokenizer. Returns what a config.json says of it."""
    path = llama_cpp / "models" / f"ggml-vocab-{name}.gguf"
    facts = {
        key.removeprefix("tokenizer.ggml."): field.contents()
        for key, field in GGUFReader(path).fields.items()
        if key.startswith("tokenizer.ggml.")
    }
    folder.mkdir(parents=True, exist_ok=True)
    write = _write_sentencepiece if name == "llama-spm" else _write_byte_level
    write(folder, name, facts)
    return {
        "vocab_size": len(facts["tokens"]),
        "bos_token_id": facts["bos_token_id"],
        "eos_token_id": facts["eos_token_id"],
    }


def _write_byte_level(folder: Path, name: str, facts: dict[str, Any]) -> None:
    tokens, types = facts["tokens"], facts["token_type"]
    kinds = (TokenType.CONTROL, TokenType.USER_DEFINED)
    data = split_tokenizer(name)
    data["model"] |= {
        "vocab": {t: n for n, t in enumerate(tokens) if types[n] == TokenType.NORMAL},
        "merges": facts["merges"],
    }
    data["added_tokens"] = [
        added(token, number, special=types[number] == TokenType.CONTROL)
        for number, token in enumerate(tokens)
        if types[number] in kinds
    ]
    begin, end = (tokens[facts[f"{role}_token_id"]] for role in ("bos", "eos"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": end}
    if name != "qwen2":
        settings["bos_token"] = begin
        data["post_processor"] = _begins_with(begin, facts["bos_token_id"])
    write_json(folder / "tokenizer.json", data)
    write_json(folder / "tokenizer_config.json", settings)


def _begins_with(token: str, number: int) -> dict[str, Any]:
    begin, text = (
        {"SpecialToken": {"id": token, "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
    )
    other = {"Sequence": {"id": "B", "type_id": 1}}
    return {
        "type": "TemplateProcessing",
        "single": [begin, text],
        "pair": [begin, text, begin, other],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}},
    }


def _write_sentencepiece(folder: Path, _: str, facts: dict[str, Any]) -> None:
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    for text, score, kind in zip(
        facts["tokens"], facts["scores"], facts["token_type"], strict=True
    ):
        model.pieces.add(piece=text, score=score, type=kind)
    model.trainer_spec.model_type = 2  # BPE
    model.trainer_spec.byte_fallback = True
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.remove_extra_whitespaces = False
    (folder / "tokenizer.model").write_bytes(model.SerializeToString())
    settings = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"}
    write_json(folder / "tokenizer_config.json", settings)
