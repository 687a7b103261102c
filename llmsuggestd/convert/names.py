"""Restores transformers' names of tensors, if a wrapper has changed them.

torch.compile, DistributedDataParallel, FSDP and trainers add parts to the names. These are removed
if the rest is one complete model. Other kinds of models (quantised weights, adapters, other heads)
are refused with an error that names the kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from llmsuggestd.convert.files import quantised_refusal
from llmsuggestd.convert.model import Names
from llmsuggestd.convert.stored import StoredTensor
from llmsuggestd.errors import InputError

_WRAPPERS: Final = {
    "_orig_mod": "torch.compile",
    "module": "DistributedDataParallel or DeepSpeed",
    "_fsdp_wrapped_module": "FSDP",
    "_checkpoint_wrapped_module": "activation checkpointing",
}
"""Parts that no name of a model has, and the wrappers that add them."""

_QUANTISED: Final = {
    "qweight": "GPTQ or AWQ", "qzeros": "GPTQ or AWQ", "g_idx": "GPTQ",
    "absmax": "bitsandbytes, 4 bits", "quant_map": "bitsandbytes, 4 bits",
    "quant_state": "bitsandbytes, 4 bits", "SCB": "bitsandbytes, 8 bits", "W_q": "HQQ",
    "weight_packed": "compressed-tensors", "weight_scale": "FP8 or compressed-tensors",
    "weight_scale_inv": "FP8",
    "weight_scales": "EETQ", "scales": "MLX, GPTQ or AWQ",
}  # fmt: skip
"""Last parts of the names of quantisation's own tensors, and the methods."""

_VALUE_HEAD: Final = "v_head."
"""The prefix of tensors that reinforcement learning adds to a complete language model."""

_HEADS: Final = re.compile(
    r"(score|classifier|classification_head|qa_outputs|reward_head|value_head|regression_head)\b"
)


def plain_names(
    stored: Mapping[str, StoredTensor], where: str, naming: Names
) -> tuple[dict[str, StoredTensor], list[str]]:
    """The tensors under transformers' names, which `naming` describes, and warnings.

    Raises `InputError`, naming `where`, if they are quantised, contain several models or an adapter
    that is not merged, or have a head that does not write text.
    """
    _check_kind(stored, where)
    names, warnings = _unwrapped(stored, where, naming)
    result: dict[str, StoredTensor] = {}
    for old, new in names.items():
        if new.startswith(_VALUE_HEAD):
            continue
        if new in result:
            raise InputError(f"{where}: {old} and {result[new].name} are the same tensor")
        result[new] = stored[old]
    if len(result) < len(names):
        warnings.append(f"left out {_VALUE_HEAD}*: a value head, which only training uses")
    if head := next(filter(_HEADS.match, result), None):
        raise InputError(
            f"{where}: {head} is the head of a classifier or reward model, which writes no text",
            "only language models can be converted",
        )
    return result, warnings


def _check_kind(names: Iterable[str], where: str) -> None:
    for name in names:
        parts = name.split(".")
        if how := _QUANTISED.get(parts[-1]) or _QUANTISED.get(parts[-2] if parts[1:] else ""):
            raise quantised_refusal(f"{where}: {name}", how)
        if any(part.startswith("lora_") or part == "base_layer" for part in parts):
            raise InputError(
                f"{where}: {name} belongs to an adapter (LoRA) that is not merged",
                "merge it first: merge_and_unload() of peft, then save_pretrained()",
            )


def _unwrapped(
    stored: Iterable[str], where: str, naming: Names
) -> tuple[dict[str, str], list[str]]:
    """Map each name to the name without wrappers. Returns the map, and a warning per wrapper."""
    parts = {name: [p for p in name.split(".") if p not in _WRAPPERS] for name in stored}
    names = {name: ".".join(rest) for name, rest in parts.items()}
    removed = {p for name in names for p in name.split(".") if p in _WRAPPERS}
    warnings = [
        f"removed {part}. from the names of tensors ({_WRAPPERS[part]})" for part in removed
    ]
    embedding = naming.embedding
    roots = {n.removesuffix(embedding) for n in names.values() if n.endswith(embedding)}
    if len(roots) > 1:
        found = ", ".join(sorted(root or "(none)" for root in roots))
        raise InputError(
            f"{where}: several models in one checkpoint, under {found}",
            "save the one that you want separately, with save_pretrained()",
        )
    if roots:
        outer = roots.pop().removesuffix(naming.root)
        if outer:
            warnings.append(f"removed {outer} from the names of tensors")
        names = {old: _inside(new.removeprefix(outer), naming) for old, new in names.items()}
    return names, sorted(warnings)


def _inside(name: str, naming: Names) -> str:
    """A tensor's name in the whole model, if the checkpoint was saved without the head."""
    return f"{naming.root}{name}" if name.startswith(naming.parts) else name
