"""Which files of a folder or repository are a checkpoint, judged by their names.

What is no checkpoint, or no whole one, is refused here by what it is instead: before anything is
downloaded, and before anything is read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from llmsuggestd.errors import InputError

SMALL_FILES: Final = (
    "config.json",
    "generation_config.json",  # which tokens end a text
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "README.md",  # the licence and the base model stand there
)

WEIGHTS: Final = ("model.safetensors", "pytorch_model.bin")
"""The weights' names, each possibly in shards, in the order that transformers prefers them."""

_SHARD: Final = r"-(\d{5})-of-(\d{5})"

_QUANTISED: Final = {
    "quantize_config.json": "GPTQ",
    "quant_config.json": "AWQ",
    "hf_quant_config.json": "ModelOpt",
}
"""Files beside weights that were quantised by tools which leave config.json as it was."""

_INSTEAD: Final = (
    (r"layer_\d+-model_\d+-model_states\.pt", "weights as the GPT-NeoX library saves them",
     "its tools/ckpts/convert_neox_to_hf.py makes a checkpoint in Hugging Face layout of them"),
    (r"zero_to_fp32\.py|(.*/)?\w*mp_rank_\d+\w*\.pt|global_step\d+/.*",
     "weights as DeepSpeed saves them", "`python zero_to_fp32.py . .` there joins them"),
    (r"(.*/)?\w+\.distcp|pytorch_model_fsdp.*", "weights as FSDP saves them",
     "`accelerate merge-weights` joins them"),
    (r"tf_model.*\.h5", "weights for TensorFlow",
     "save them as safetensors: from_pretrained(…, from_tf=True) in transformers 4"),
    (r"flax_model.*\.msgpack", "weights for Flax",
     "save them as safetensors: from_pretrained(…, from_flax=True) in transformers 4"),
    (r".*\.gguf", "a GGUF file", "`llmsuggestd models import`, or `models pull` of a repository,"
     " takes that as it is"),
    (r".*\.safetensors|.*\.(bin|pt|pth|ckpt)", "weights under another name",
     "save the model with save_pretrained(), or give the file one of those names"),
)  # fmt: skip
"""Pattern of names, what such a file is, what to do; of what a folder has instead of weights."""


def wanted_files(files: Sequence[str]) -> list[str]:
    """Choose the files of a repository that a conversion reads; safetensors before pickles.

    Only files at its top: what is called `model/../../x.safetensors` is no file to take.
    """
    return [f for f in files if f in SMALL_FILES] + weights_of(files)


def weights_of(files: Iterable[str]) -> list[str]:
    """Choose the files that hold the weights, with their index; none if there are no weights."""
    names = list(files)
    for whole in WEIGHTS:
        stem, _, suffix = whole.partition(".")
        pattern = re.compile(rf"{stem}({_SHARD})?\.{suffix}(\.index\.json)?")
        found = [name for name in names if pattern.fullmatch(name)]
        if any(not name.endswith(".index.json") for name in found):
            return found
    return []


def check_names(where: str, files: Iterable[str]) -> None:
    """Check that files with these names, of a folder or repository `where`, can be a checkpoint.

    Names are relative to `where`, those of files in its folders among them. Raises `InputError`
    saying what is missing, or what is there instead.
    """
    names = list(files)
    weights = weights_of(names)
    if not weights and "adapter_config.json" in names:
        raise adapter_refusal(where)
    if "config.json" not in names and (folders := _checkpoints_below(names)):
        raise InputError(
            f"{where}: no config.json, but checkpoints in {', '.join(folders)}", "Give one of them."
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
    """The error about an adapter without its model, of which `base` is the name."""
    return InputError(
        f"{where}: an adapter ({kind}){base and f' of {base}'}, not a whole model",
        "Merge it into its model first: in Python, peft's AutoPeftModelForCausalLM"
        ".from_pretrained(FOLDER).merge_and_unload().save_pretrained(RESULT); then convert RESULT.",
    )


def quantised_refusal(where: str, how: str, made_from: str = "") -> InputError:
    """The error about weights that are quantised; `made_from` is the name of the original."""
    return InputError(
        f"{where}: the weights are quantised already ({how})",
        "Only weights as they were trained can be converted:"
        f" give the checkpoint that this one was made from{made_from and f', {made_from}'}.",
    )


def unindexed_shards(where: str, names: Iterable[str], whole: str) -> list[str]:
    """List the shards of weights called `whole` for which there is no index, in order.

    Raises `InputError` if one is missing, or if there are those of several saves.
    """
    stem, _, suffix = whole.partition(".")
    shards = _shards(name for name in names if re.fullmatch(rf"{stem}{_SHARD}\.{suffix}", name))
    if len(shards) > 1:
        raise InputError(
            f"{where}: shards of several saves, and no {whole}.index.json to tell them apart",
            "Download the index too, or remove the older ones.",
        )
    return sorted(name for numbers in shards.values() for name in numbers.values())


def _check_shards(where: str, weights: Sequence[str]) -> None:
    """Check that no shard is missing; where there are several saves, their index says more."""
    shards = _shards(weights)
    if len(shards) != 1:
        return
    ((count, present),) = shards.items()
    missing = [number for number in range(1, count + 1) if number not in present]
    if missing:
        name = re.sub(_SHARD, f"-{missing[0]:05}-of-{count:05}", next(iter(present.values())))
        others = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{where}: the shard {name} is missing{others}", "Download the whole checkpoint."
        )


def _shards(names: Iterable[str]) -> dict[int, dict[int, str]]:
    """Sort shards by how many there are of the whole, and by their number."""
    result: dict[int, dict[int, str]] = defaultdict(dict)
    for name in names:
        if match := re.search(_SHARD, name):
            result[int(match[2])][int(match[1])] = name
    return result


def _checkpoints_below(names: Sequence[str]) -> list[str]:
    """Folders with a config.json of their own: a training's output has checkpoint-500 and so on."""
    return [name.removesuffix("/config.json") for name in names if name.endswith("/config.json")][
        :8
    ]


def _instead(names: Sequence[str]) -> tuple[str, str]:
    for pattern, what, remedy in _INSTEAD:
        if found := next((name for name in names if re.fullmatch(pattern, name)), None):
            return f", but {found}: {what}", remedy[:1].upper() + remedy[1:] + "."
    return "", "Is it the right place, and is everything there?"
