"""Recognising a complete checkpoint by the names of its files."""

from __future__ import annotations

import pytest

from llmsuggestd.convert.files import check_names, unindexed_shards, wanted_files
from llmsuggestd.errors import InputError

SMALL = ["config.json", "tokenizer.json"]


def test_safetensors_are_preferred_to_pickles() -> None:
    small = ["README.md", "config.json", "tokenizer.json"]
    pickles = ["pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"]
    tensors = ["model-00001-of-00002.safetensors", "model.safetensors.index.json"]
    others = ["modeling_x.py", "flax_model.msgpack", "optimizer.bin", "onnx/model.safetensors"]
    others += ["model_old.safetensors", "model.fp16.safetensors", "pytorch_model_ema.bin"]
    assert wanted_files(small + pickles + tensors + others) == small + tensors
    assert wanted_files(small + pickles + others) == small + pickles


def test_a_shard_that_is_left_beside_the_whole_weights_does_not_count() -> None:
    left = ["model-00001-of-00002.safetensors", "model.safetensors.index.json"]
    files = [*SMALL, "model.safetensors", *left]
    check_names("x", files)
    assert wanted_files(files) == [*SMALL, "model.safetensors"]


def test_names_that_lead_elsewhere_are_not_wanted() -> None:
    files = ["model/../../x.safetensors", "model\\..\\x.safetensors", "pytorch_model/../x.bin"]
    assert wanted_files(files) == []


@pytest.mark.parametrize(
    "weights",
    [
        ["model.safetensors"],
        ["pytorch_model.bin", "adapter_config.json"],
        ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
        ["model-00001-of-00001.safetensors", "model.safetensors.index.json"],
        ["model-00001-of-00001.safetensors", "model-00001-of-00003.safetensors"],
    ],
)
def test_a_complete_checkpoint_passes(weights: list[str]) -> None:
    check_names("here", [*SMALL, *weights, "checkpoint-500/config.json"])


@pytest.mark.parametrize(
    ("names", "words", "hint"),
    [
        (["adapter_config.json", "adapter_model.safetensors"], "an adapter (LoRA)", "merge it"),
        ([*SMALL, "adapter_config.json"], "here: an adapter (LoRA)", "merge_and_unload"),
        (["a/config.json", "b/config.json"], "but checkpoints in a, b", "one of them"),
        ([*SMALL, "model.safetensors", "quantize_config.json"], "already (GPTQ)", "made from"),
        ([*SMALL, "model.safetensors", "quant_config.json"], "already (AWQ)", "made from"),
        ([*SMALL, "model.safetensors", "hf_quant_config.json"], "already (ModelOpt)", "made from"),
        (SMALL, "here has no checkpoint (neither model.safetensors nor", "the right place"),
        ([*SMALL, "tf_model.h5"], "but tf_model.h5: weights for TensorFlow", "from_tf"),
        ([*SMALL, "flax_model-00001-of-00002.msgpack"], "weights for Flax", "from_flax"),
        ([*SMALL, "m.Q4_K_M.gguf"], "but m.Q4_K_M.gguf: a GGUF file", "models import"),
        ([*SMALL, "gptq_model-4bit-128g.safetensors"], "under another name", "save_pretrained"),
        ([*SMALL, "consolidated.00.pth"], "weights under another name", "save_pretrained"),
        ([*SMALL, "zero_to_fp32.py", "latest"], "as DeepSpeed saves them", "zero_to_fp32.py"),
        ([*SMALL, "global_step9/mp_rank_00_model_states.pt"], "as DeepSpeed saves", "zero_to_fp32"),
        (["layer_00-model_00-model_states.pt"], "as the GPT-NeoX library", "convert_neox_to_hf"),
        ([*SMALL, "__0_0.distcp"], "as FSDP saves them", "accelerate merge-weights"),
        ([*SMALL, "pytorch_model-00002-of-00004.bin"],
         "the shard pytorch_model-00001-of-00004.bin is missing, and 2 more", "whole checkpoint"),
        ([*SMALL, "model-00001-of-00002.safetensors", "model.safetensors.index.json"],
         "the shard model-00002-of-00002.safetensors is missing", "whole checkpoint"),
    ],
)  # fmt: skip
def test_an_incomplete_checkpoint_is_named(names: list[str], words: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        check_names("here", names)
    assert words in caught.value.message
    assert hint in caught.value.hint


def test_shards_of_several_saves_need_an_index() -> None:
    names = ["model-00001-of-00001.safetensors", "model-00001-of-00002.safetensors"]
    with pytest.raises(InputError, match=r"several saves, and no model\.safetensors\.index\.json"):
        unindexed_shards("here", names, "model.safetensors")
    assert unindexed_shards("here", names[1:], "model.safetensors") == names[1:]
    assert unindexed_shards("here", names, "pytorch_model.bin") == []
