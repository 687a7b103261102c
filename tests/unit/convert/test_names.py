"""Names of tensors: wrappers are removed, and other kinds of models are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llmsuggestd.convert.architectures.gptneox import NeoX
from llmsuggestd.convert.architectures.llama import Llama
from llmsuggestd.convert.names import plain_names
from llmsuggestd.convert.stored import StoredTensor
from llmsuggestd.errors import InputError
from tests.unit.convert.checkpoints import LLAMA_CONFIG, config, random_weights

PLAIN = list(random_weights(config()))
LAYER = "gpt_neox.layers.0.attention.dense"


def stored(names: list[str]) -> dict[str, StoredTensor]:
    """Tensors with these names, without data."""
    return {name: StoredTensor(name, Path("f"), 0, "F16", (2,), (1,)) for name in names}


def before(prefix: str) -> Callable[[str], str]:
    """A renaming that adds a prefix to each name."""
    return lambda name: prefix + name


def bare(name: str) -> str:
    """The name in a model that was saved without its head."""
    return name.removeprefix("gpt_neox.")


def test_plain_names_stay() -> None:
    assert plain_names(stored(PLAIN), "here", NeoX.names) == (stored(PLAIN), [])


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (before("_orig_mod."), "_orig_mod."),
        (before("module."), "module."),
        (before("module._orig_mod."), "module."),
        (before("_fsdp_wrapped_module.module."), "FSDP"),
        (before("model."), "removed model. from"),
        (before("base_model.model."), "removed base_model.model. from"),
        (before("module.pretrained_model."), "removed pretrained_model. from"),
        (lambda name: name.replace("layers.0.", "layers.0._checkpoint_wrapped_module."),
         "activation checkpointing"),
        (bare, ""),
        (lambda name: "model." + bare(name), "removed model. from"),
    ],
)  # fmt: skip
def test_wrappers_come_off(change: Callable[[str], str], warning: str) -> None:
    names = [change(name) for name in PLAIN]
    found, warnings = plain_names(stored(names), "here", NeoX.names)
    assert list(found) == PLAIN
    assert [tensor.name for tensor in found.values()] == names
    assert warning in "\n".join(warnings)


def test_a_value_head_is_left_out() -> None:
    heads = ["v_head.summary.weight", "v_head.summary.bias"]
    found, warnings = plain_names(stored([*PLAIN, *heads]), "here", NeoX.names)
    assert list(found) == PLAIN
    assert warnings == ["left out v_head.*: a value head, which only training uses"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([*PLAIN, "score.weight"], "score.weight is the head of a classifier or reward model"),
        ([*PLAIN, "classifier.weight"], "classifier.weight is the head of a classifier"),
        ([*PLAIN, f"{LAYER}.qweight"], "quantised already (GPTQ or AWQ)"),
        ([*PLAIN, f"{LAYER}.weight.absmax"], "quantised already (bitsandbytes, 4 bits)"),
        ([*PLAIN, f"{LAYER}.weight.quant_state.bitsandbytes__nf4"], "bitsandbytes"),
        ([*PLAIN, f"{LAYER}.SCB"], "quantised already (bitsandbytes, 8 bits)"),
        ([*PLAIN, f"{LAYER}.weight_scale_inv"], "quantised already (FP8)"),
        ([*PLAIN, f"{LAYER}.weight_packed"], "quantised already (compressed-tensors)"),
        ([*PLAIN, f"{LAYER}.W_q"], "quantised already (HQQ)"),
        ([*PLAIN, f"{LAYER}.scales"], "quantised already (MLX, GPTQ or AWQ)"),
        ([*PLAIN, f"base_model.model.{LAYER}.lora_A.default.weight"], "adapter (LoRA) that is not"),
        ([*PLAIN, f"{LAYER}.base_layer.weight"], "adapter (LoRA) that is not merged"),
        ([*map(before("policy."), PLAIN), *map(before("reference."), PLAIN)],
         "several models in one checkpoint, under policy.gpt_neox., reference.gpt_neox."),
        ([*PLAIN, "module.embed_out.weight"], "are the same tensor"),
    ],
)  # fmt: skip
def test_other_kinds_of_models_are_named(names: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        plain_names(stored(names), "here", NeoX.names)
    assert words in caught.value.message
    assert caught.value.message.startswith("here: ")


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (lambda name: name, ""),
        (before("module._orig_mod."), "torch.compile"),
        (before("model."), "removed model. from"),
        (before("base_model.model."), "removed base_model.model. from"),
        (lambda name: name.removeprefix("model."), ""),
        (lambda name: name.replace("layers.0.", "layers.0._checkpoint_wrapped_module."),
         "activation checkpointing"),
    ],
)  # fmt: skip
def test_wrappers_come_off_a_llama(change: Callable[[str], str], warning: str) -> None:
    plain = list(random_weights(config(LLAMA_CONFIG)))
    found, warnings = plain_names(stored([change(name) for name in plain]), "here", Llama.names)
    assert list(found) == plain
    assert warning in "\n".join(warnings)
