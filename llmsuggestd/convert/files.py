"""Recognises the files of a checkpoint in a folder or repository, by their names.

An incomplete checkpoint, or another kind of folder, is refused before anything is downloaded or
read. The error says what it is instead.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from llmsuggestd.errors import InputError

MODEL_FILE: Final = "tokenizer.model"
"""The name of a tokenizer of SentencePiece."""

SMALL_FILES: Final = (
    "config.json",
    "generation_config.json",  # the tokens that end a text
    "tokenizer.json",
    MODEL_FILE,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "README.md",  # the licence and the base model
)

WEIGHTS: Final = ("model.safetensors", "pytorch_model.bin")
"""The names of the weights, perhaps in shards, in the order in which transformers prefers them."""

_SHARD: Final = r"-(\d{5})-of-(\d{5})"

_QUANTISED: Final = {
    "quantize_config.json": "GPTQ",
    "quant_config.json": "AWQ",
    "hf_quant_config.json": "ModelOpt",
}
"""Files beside quantised weights, by tools that do not change config.json."""

_INSTEAD: Final = (
    (r"layer_\d+-model_\d+-model_states\.pt", "weights as the GPT-NeoX library saves them",
     "its tools/ckpts/convert_neox_to_hf.py converts them to Hugging Face layout"),
    (r"zero_to_fp32\.py|(.*/)?\w*mp_rank_\d+\w*\.pt|global_step\d+/.*",
     "weights as DeepSpeed saves them", "`python zero_to_fp32.py . .` there joins them"),
    (r"(.*/)?\w+\.distcp|pytorch_model_fsdp.*", "weights as FSDP saves them",
     "`accelerate merge-weights` joins them"),
    (r"tf_model.*\.h5", "weights for TensorFlow",
     "save them as safetensors: from_pretrained(…, from_tf=True) in transformers 4"),
    (r"flax_model.*\.msgpack", "weights for Flax",
     "save them as safetensors: from_pretrained(…, from_flax=True) in transformers 4"),
    (r".*\.gguf", "a GGUF file", "`llmsuggestd models import`, or `models pull` of a repository,"
     " accepts it as it is"),
    (r".*\.safetensors|.*\.(bin|pt|pth|ckpt)", "weights under another name",
     "save the model with save_pretrained(), or give the file one of those names"),
)  # fmt: skip
"""Files in place of weights: a pattern of their names, what they are, and the remedy."""


def wanted_files(files: Sequence[str]) -> list[str]:
    """The files of a repository that a conversion reads, safetensors in preference to pickles.

    Only files at the top are chosen, never names such as `model/../../x.safetensors`.
    """
    return [f for f in files if f in SMALL_FILES] + weights_of(files)


def weights_of(files: Iterable[str]) -> list[str]:
    """The files with the weights, and their index; none if there are no weights."""
    names = list(files)
    for whole in WEIGHTS:
        stem, _, suffix = whole.partition(".")
        pattern = re.compile(rf"{stem}({_SHARD})?\.{suffix}(\.index\.json)?")
        found = [name for name in names if pattern.fullmatch(name)]
        if whole in found:  # shards beside it are left from another save
            return [whole]
        if any(not name.endswith(".index.json") for name in found):
            return found
    return []


def check_names(where: str, files: Iterable[str]) -> None:
    """Check that files with these names, of a folder or repository `where`, can be a checkpoint.

    Names are relative to `where`, and include files in its folders. Raises `InputError`, which says
    what is missing, or what is there instead.
    """
    names = list(files)
    weights = weights_of(names)
    if not weights and "adapter_config.json" in names:
        raise adapter_refusal(where)
    if "config.json" not in names and (folders := _checkpoints_below(names)):
        raise InputError(
            f"{where}: no config.json, but checkpoints in {', '.join(folders)}", "give one of them"
        )
    for name, tool in _QUANTISED.items():
        if name in names:
            raise quantised_refusal(f"{where}: {name}", tool)
    if not weights:
        what, remedy = _instead(names)
        raise InputError(
            f"{where} has no checkpoint (neither {' nor '.join(WEIGHTS)}){what}", remedy
        )
    _check_shards(where, weights)


def adapter_refusal(where: str, kind: str = "LoRA", base: str = "") -> InputError:
    """The error about an adapter without its model, whose name is `base`."""
    return InputError(
        f"{where}: an adapter ({kind}){base and f' of {base}'}, not a whole model",
        "merge it into its model first: in Python, peft's AutoPeftModelForCausalLM"
        ".from_pretrained(FOLDER).merge_and_unload().save_pretrained(RESULT); then convert RESULT",
    )


def quantised_refusal(where: str, how: str, made_from: str = "") -> InputError:
    """The error about quantised weights; `made_from` is the name of the original."""
    return InputError(
        f"{where}: the weights are quantised already ({how})",
        "only unquantised weights can be converted:"
        f" give the checkpoint that this one was made from{made_from and f', {made_from}'}",
    )


def unindexed_shards(where: str, names: Iterable[str], whole: str) -> list[str]:
    """The shards of the weights `whole`, in order, if they have no index.

    Raises `InputError` if the shards are from several saves.
    """
    stem, _, suffix = whole.partition(".")
    shards = _shards(name for name in names if re.fullmatch(rf"{stem}{_SHARD}\.{suffix}", name))
    if len(shards) > 1:
        raise InputError(
            f"{where}: shards of several saves, and no {whole}.index.json to tell them apart",
            "download the index too, or remove the older ones",
        )
    return sorted(name for numbers in shards.values() for name in numbers.values())


def _check_shards(where: str, weights: Sequence[str]) -> None:
    """Check that no shard is missing. Shards of several saves need their index for that."""
    shards = _shards(weights)
    if len(shards) != 1:
        return
    ((count, present),) = shards.items()
    missing = [number for number in range(1, count + 1) if number not in present]
    if missing:
        name = re.sub(_SHARD, f"-{missing[0]:05}-of-{count:05}", next(iter(present.values())))
        others = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{where}: the shard {name} is missing{others}", "download the whole checkpoint"
        )


def _shards(names: Iterable[str]) -> dict[int, dict[int, str]]:
    """The shards by the total number in their names, and by their own number."""
    result: dict[int, dict[int, str]] = defaultdict(dict)
    for name in names:
        if match := re.search(_SHARD, name):
            result[int(match[2])][int(match[1])] = name
    return result


def _checkpoints_below(names: Sequence[str]) -> list[str]:
    """The folders with a config.json, such as checkpoint-500 in a training's output."""
    return [name.removesuffix("/config.json") for name in names if name.endswith("/config.json")][
        :8
    ]


def _instead(names: Sequence[str]) -> tuple[str, str]:
    for pattern, what, remedy in _INSTEAD:
        if found := next((name for name in names if re.fullmatch(pattern, name)), None):
            return f", but {found}: {what}", remedy
    return "", "check that this is the right place, and that nothing is missing"
