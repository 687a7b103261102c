"""Both layouts of config.json, and unsupported configurations."""

from __future__ import annotations

from typing import Any

import pytest

from llmsuggestd.convert.config import parse_config
from llmsuggestd.errors import InputError
from tests.unit.convert.checkpoints import config


def test_the_layouts_of_transformers_4_and_5_mean_the_same() -> None:
    old = parse_config(config(rotary_pct=0.5, rotary_emb_base=20000), "old")
    new = parse_config(
        config(
            rotary_pct=None,
            rotary_emb_base=None,
            rope_parameters={
                "partial_rotary_factor": 0.5, "rope_theta": 20000, "rope_type": "default"
            },
        ),
        "new",
    )  # fmt: skip
    between = parse_config(
        config(rotary_pct=None, rotary_emb_base=None, partial_rotary_factor=0.5, rope_theta=20000),
        "between",
    )
    assert old == new == between
    assert (old.rotary_dims, old.rope_base, old.head_dim) == (32, 20000.0, 64)


def test_the_newer_layout_wins_where_a_file_holds_both() -> None:
    both = config(rope_parameters={"partial_rotary_factor": 0.5, "rope_theta": 5000.0})
    parsed = parse_config(both, "both")
    assert (parsed.rotary_dims, parsed.rope_base) == (32, 5000.0)


def test_defaults_are_those_of_transformers() -> None:
    bare = {
        key: value
        for key, value in config().items()
        if key not in {"rotary_pct", "rotary_emb_base", "layer_norm_eps", "use_parallel_residual",
                       "tie_word_embeddings", "hidden_act", "max_position_embeddings"}
    }  # fmt: skip
    parsed = parse_config(bare, "bare")
    assert parsed.rotary_dims == 16
    assert parsed.rope_base == 10000.0
    assert parsed.norm_eps == 1e-5
    assert parsed.context == 2048
    assert parsed.parallel_residual
    assert parsed.attention_bias
    assert not parsed.tied


@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_linear_scaling_is_kept(key: str) -> None:
    scaled = config(**{key: {"type": "linear", "factor": 4.0}})
    assert parse_config(scaled, "scaled").rope_linear == 4.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}, "LlamaForCausalLM"),
        ({"architectures": ["GPTNeoXForSequenceClassification"]}, "it rates or sorts texts"),
        ({"architectures": ["GPTNeoXForTokenClassification"]}, "it labels words"),
        ({"architectures": ["GPTNeoXModel"]}, "it has no output matrix"),
        ({"model_type": None, "architectures": None}, "not a GPT-NeoX"),
        ({"model_type": "gpt_neox_japanese"}, "this is model_type 'gpt_neox_japanese'"),
        ({"hidden_act": "relu"}, "relu"),
        ({"hidden_act": ["gelu"]}, "hidden_act"),
        ({"num_attention_heads": 5}, "multiple of 5 heads"),
        ({"rotary_pct": 0.01}, "rotary channels"),
        ({"rotary_pct": 1.5}, "more than the whole head"),
        ({"rotary_pct": "most"}, "rotary_pct"),
        ({"rotary_emb_base": -1}, "rotary_emb_base"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "dynamic"),
        ({"rope_scaling": "linear"}, "rope_scaling"),
        ({"hidden_size": None}, "hidden_size"),
        ({"hidden_size": 2**40}, "hidden_size"),
        ({"num_hidden_layers": True}, "num_hidden_layers"),
        ({"num_hidden_layers": 513}, "more than 512"),
        ({"vocab_size": 2_000_000_000}, "vocab_size"),
        ({"vocab_size": 3.5}, "vocab_size"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps"),
        ({"layer_norm_eps": 10**400}, "layer_norm_eps"),
        ({"layer_norm_eps": 1e39}, "layer_norm_eps"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings"),
    ],
)
def test_unsupported_configurations_are_refused_by_name(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        parse_config(config(**changes), "here/config.json")
    assert message in caught.value.message
    assert caught.value.message.startswith("here/config.json: ")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "gptq, 4 bits"),
        ({"quantization_config": {"quant_method": "awq", "w_bit": 4}}, "awq, 4 bits"),
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
         "bitsandbytes, 4 bits"),
        ({"quantization_config": {"load_in_8bit": True, "load_in_4bit": False}},
         "bitsandbytes, 8 bits"),
        ({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}, "fp8"),
        ({"quantization_config": {"quant_method": "compressed-tensors"}}, "compressed-tensors"),
        ({"compression_config": {"quant_method": "compressed-tensors"}}, "compressed-tensors"),
        ({"quantization_config": {"quant_method": "eetq", "weights": "int8"}}, "eetq"),
        ({"quantization_config": {"quant_method": "hqq", "nbits": 3}}, "hqq, 3 bits"),
        ({"quantization_config": {"quant_method": "of-tomorrow"}}, "of-tomorrow"),
        ({"quantization": {"group_size": 64, "bits": 4}}, "MLX, 4 bits"),
        ({"quantization_config": {"group_size": 64, "bits": 8}}, "MLX, 8 bits"),
    ],
)  # fmt: skip
def test_quantised_weights_are_refused(changes: dict[str, Any], how: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_config(config(**changes, _name_or_path="me/original"), "c")
    assert f"the weights are quantised already ({how})" in caught.value.message
    assert caught.value.hint.endswith("made from, me/original")


@pytest.mark.parametrize(
    "changes",
    [
        {"quantization_config": None},
        {"quantization_config": {}},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": False}},
        {"model_type": None},
    ],
)
def test_keys_without_an_effect_are_accepted(changes: dict[str, Any]) -> None:
    assert parse_config(config(**changes), "c") == parse_config(config(), "c")
