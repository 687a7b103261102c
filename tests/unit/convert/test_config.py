"""The layouts of config.json, and unsupported configurations."""

from __future__ import annotations

from typing import Any

import pytest

from llmsuggestd.convert.architectures import parse_model
from llmsuggestd.convert.architectures.gptneox import NeoX
from llmsuggestd.convert.architectures.llama import Llama, Qwen2
from llmsuggestd.convert.config import Config, check_not_quantised
from llmsuggestd.errors import InputError
from tests.unit.convert.checkpoints import LLAMA_CONFIG, QWEN2_CONFIG, config


def parse(raw: dict[str, Any], where: str) -> NeoX:
    """The model of a GPT-NeoX configuration."""
    config = Config(raw, where)
    check_not_quantised(config)
    model = parse_model(config)
    assert isinstance(model, NeoX)
    return model


def test_the_layouts_of_transformers_4_and_5_mean_the_same() -> None:
    old = parse(config(rotary_pct=0.5, rotary_emb_base=20000), "old")
    new = parse(
        config(
            rotary_pct=None,
            rotary_emb_base=None,
            rope_parameters={
                "partial_rotary_factor": 0.5, "rope_theta": 20000, "rope_type": "default"
            },
        ),
        "new",
    )  # fmt: skip
    between = parse(
        config(rotary_pct=None, rotary_emb_base=None, partial_rotary_factor=0.5, rope_theta=20000),
        "between",
    )
    assert old == new == between
    assert (old.rotary_dims, old.rope.base, old.head_dim) == (32, 20000.0, 64)


def test_the_newer_layout_wins_where_a_file_holds_both() -> None:
    both = config(rope_parameters={"partial_rotary_factor": 0.5, "rope_theta": 5000.0})
    parsed = parse(both, "both")
    assert (parsed.rotary_dims, parsed.rope.base) == (32, 5000.0)


def test_defaults_are_those_of_transformers() -> None:
    bare = {
        key: value
        for key, value in config().items()
        if key not in {"rotary_pct", "rotary_emb_base", "layer_norm_eps", "use_parallel_residual",
                       "tie_word_embeddings", "hidden_act", "max_position_embeddings"}
    }  # fmt: skip
    parsed = parse(bare, "bare")
    assert parsed.rotary_dims == 16
    assert parsed.rope.base == 10000.0
    assert parsed.norm_eps == 1e-5
    assert parsed.context == 2048
    assert parsed.parallel_residual
    assert parsed.attention_bias
    assert not parsed.tied


@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_linear_scaling_is_kept(key: str) -> None:
    scaled = config(**{key: {"type": "linear", "factor": 4.0}})
    assert parse(scaled, "scaled").rope.parameters == {"factor": 4.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["BloomForCausalLM"], "model_type": "bloom"}, "BloomForCausalLM"),
        ({"architectures": ["GPTNeoXForSequenceClassification"]}, "it rates or sorts texts"),
        ({"architectures": ["GPTNeoXForTokenClassification"]}, "it labels words"),
        ({"architectures": ["GPTNeoXModel"]}, "it has no output matrix"),
        ({"model_type": None, "architectures": None}, "which cannot be converted"),
        ({"model_type": "llama"}, "this is model_type 'llama'"),
        ({"model_type": "gpt_neox_japanese"}, "this is model_type 'gpt_neox_japanese'"),
        ({"hidden_act": "relu"}, "relu"),
        ({"hidden_act": ["gelu"]}, "hidden_act"),
        ({"num_attention_heads": 5}, "multiple of 5 heads"),
        ({"rotary_pct": 0.01}, "rotary channels"),
        ({"rotary_pct": 1.5}, "more than the whole head"),
        ({"rotary_pct": "most"}, "rotary_pct"),
        ({"rotary_emb_base": -1}, "rotary_emb_base"),
        ({"rope_scaling": {"type": "longrope", "factor": 2.0}}, "longrope"),
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
        parse(config(**changes), "here/config.json")
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
        parse(config(**changes, _name_or_path="me/original"), "c")
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
    assert parse(config(**changes), "c") == parse(config(), "c")


def llama(raw: dict[str, Any]) -> Llama:
    """The model of a Llama's or a Qwen2's configuration."""
    model = parse_model(Config(raw, "here/config.json"))
    assert isinstance(model, Llama)
    return model


def test_a_llamas_defaults_are_those_of_transformers() -> None:
    keys = ("num_key_value_heads", "rms_norm_eps", "rope_theta", "tie_word_embeddings",
            "attention_bias", "mlp_bias", "hidden_act", "max_position_embeddings")  # fmt: skip
    found = llama(config(LLAMA_CONFIG, **dict.fromkeys(keys)))
    assert (found.cached_heads, found.norm_eps, found.rope.base, found.context) == (
        4, 1e-6, 10000.0, 2048
    )  # fmt: skip
    assert not any((found.tied, found.query_bias, found.output_bias, found.mlp_bias))


def test_a_qwen2_has_biases_at_queries_keys_and_values_only() -> None:
    found = llama(config(QWEN2_CONFIG))
    assert isinstance(found, Qwen2)
    assert (found.query_bias, found.output_bias, found.mlp_bias) == (True, False, False)


def test_the_sliding_window_of_a_qwen2_limits_its_context() -> None:
    window = {"max_position_embeddings": 4096, "sliding_window": 1024}
    assert llama(config(QWEN2_CONFIG, use_sliding_window=True, **window)).context == 1024
    assert llama(config(QWEN2_CONFIG, use_sliding_window=False, **window)).context == 4096


@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
@pytest.mark.parametrize("name", ["type", "rope_type"])
@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        ("linear", {"factor": 4.0}),
        ("llama3", {"factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 8192.0}),
        ("yarn", {"factor": 4.0, "original_max_position_embeddings": 32768.0}),
        ("yarn", {"factor": 4.0, "original_max_position_embeddings": 32768.0,
                  "attention_factor": 1.2}),
        ("dynamic", {}),
    ],
)  # fmt: skip
def test_scalings_of_a_llama_are_kept(
    key: str, name: str, kind: str, numbers: dict[str, float]
) -> None:
    rope = llama(config(LLAMA_CONFIG, **{key: {name: kind, **numbers}})).rope
    assert (rope.kind, rope.parameters) == (kind, numbers)


def test_yarns_original_context_is_the_models_if_nothing_else_is_said() -> None:
    scaling = {"rope_type": "yarn", "factor": 2.0}
    rope = llama(config(LLAMA_CONFIG, rope_scaling=scaling)).rope
    assert rope.parameters["original_max_position_embeddings"] == 512


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["LlamaForSequenceClassification"]}, "it rates or sorts texts"),
        ({"architectures": ["LlamaModel"]}, "it has no output matrix"),
        ({"architectures": ["Qwen2ForCausalLM"]}, "this is model_type 'llama'"),
        ({"architectures": ["MambaForCausalLM"], "model_type": "mamba"},
         "this is MambaForCausalLM; its architecture, mamba, keeps one state"),
        ({"architectures": ["FalconH1ForCausalLM"], "model_type": "falcon_h1"}, "keeps one state"),
        ({"hidden_size": 250}, "hidden_size 250 is not a multiple of 4 heads"),
        ({"num_key_value_heads": 3}, "4 attention heads are not a multiple of 3"),
        ({"num_key_value_heads": 0}, "num_key_value_heads is 0"),
        ({"head_dim": 63}, "heads of 63 channels"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu' is not one llama.cpp computes for Llama"),
        ({"partial_rotary_factor": 0.5}, "llama.cpp rotates all channels of a Llama"),
        ({"rope_scaling": {"rope_type": "longrope", "factor": 2.0}}, "rotary scaling 'longrope'"),
        ({"rope_scaling": {"type": "of-tomorrow"}}, "rotary scaling 'of-tomorrow' is not"),
        ({"rope_scaling": {"type": ["linear"]}}, "rotary scaling ['linear'] is not"),
        ({"rope_scaling": {"type": "yarn"}}, "rope_scaling.factor is None"),
        ({"rope_scaling": {"type": "linear", "factor": 0}}, "rope_scaling.factor is 0"),
        ({"rope_scaling": {"type": "yarn", "factor": 2, "mscale": 0.7}}, "YaRN with mscale 0.7"),
        ({"rope_scaling": {"type": "yarn", "factor": 2, "beta_fast": 8}}, "YaRN with beta_fast 8"),
        ({"mlp_bias": 1}, "mlp_bias is 1"),
        ({"rms_norm_eps": None, "vocab_size": "many"}, "vocab_size is 'many'"),
    ],
)  # fmt: skip
def test_unsupported_llamas_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_model(Config(config(LLAMA_CONFIG, **changes), "here/config.json"))
    assert message in caught.value.message
    assert caught.value.message.startswith("here/config.json: ")
    assert caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rotary scaling 'llama3'"),
        ({"head_dim": 32}, "4 heads of 32 channels are not hidden_size 256"),
    ],
)
def test_what_llama_cpps_qwen2_does_not_compute_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        llama(config(QWEN2_CONFIG, **changes))
    assert message in caught.value.message
