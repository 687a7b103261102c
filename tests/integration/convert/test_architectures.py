"""Conversions of small Llamas and Qwen2s: the file's tensors, and llama.cpp's results with it.

`tests/benchmarks/convert_exact.py` compares such files with those of llama.cpp's own converter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
from gguf import GGUFReader

from llmsuggestd.convert import RECIPES, convert
from llmsuggestd.convert.conversion import NO_FORMAT
from llmsuggestd.convert.evaluate import log_probabilities, tokenize_all
from llmsuggestd.formats import FORMATS
from tests.integration.convert.reference import llama_log_probabilities
from tests.unit.convert import checkpoints
from tests.unit.convert.checkpoints import (
    LLAMA_CONFIG,
    QWEN2_CONFIG,
    Tensors,
    config,
    make_checkpoint,
    random_weights,
    split_tokenizer,
)

LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}

CASES: dict[str, dict[str, Any]] = {
    "llama": config(LLAMA_CONFIG),
    "llama, one head of keys": config(LLAMA_CONFIG, num_key_value_heads=1),
    "llama, no grouped queries": config(LLAMA_CONFIG, num_key_value_heads=None),
    "llama, wide heads": config(LLAMA_CONFIG, head_dim=128),
    "llama, biases": config(LLAMA_CONFIG, attention_bias=True, mlp_bias=True),
    "llama, tied": config(LLAMA_CONFIG, tie_word_embeddings=True),
    "llama, linear": config(LLAMA_CONFIG, rope_scaling={"type": "linear", "factor": 4.0}),
    "llama, llama3": config(LLAMA_CONFIG, rope_scaling=LLAMA3, rope_theta=500.0),
    "llama, yarn": config(LLAMA_CONFIG, rope_scaling=YARN),
    "llama, yarn's numbers": config(
        LLAMA_CONFIG,
        rope_scaling={**YARN, "beta_fast": 32, "beta_slow": 1, "attention_factor": 1.5},
    ),
    "llama, dynamic": config(LLAMA_CONFIG, rope_scaling={"type": "dynamic", "factor": 2.0}),
    "llama, 16 layers": config(LLAMA_CONFIG, num_hidden_layers=16),
    "qwen2": config(QWEN2_CONFIG),
    "qwen2, tied": config(QWEN2_CONFIG, tie_word_embeddings=True),
    "qwen2, yarn": config(QWEN2_CONFIG, rope_scaling=YARN, rope_theta=1000000.0),
    "qwen2, linear": config(QWEN2_CONFIG, rope_scaling={"type": "linear", "factor": 2.0}),
}

PROMPT = FORMATS["ntp-mathlib-st"].text("h : p ∧ q\n⊢ q ∧ p")


def make(folder: Path, settings: dict[str, Any], weights: Tensors, dtype: str = "F16") -> Path:
    """A checkpoint with a tokenizer of its kind, and an F16 file of it."""
    tokenizer = split_tokenizer("qwen2" if settings["model_type"] == "qwen2" else "deepseek-coder")
    make_checkpoint(folder / "c", settings, weights, dtype=dtype, tokenizer=tokenizer)
    convert(folder / "c", folder / "f16.gguf", "F16", prompt_format=FORMATS["ntp-mathlib-st"])
    return folder / "f16.gguf"


def tensors(path: Path) -> dict[str, tuple[str, bytes]]:
    """Each tensor's type and bytes."""
    return {
        tensor.name: (tensor.tensor_type.name, np.asarray(tensor.data).tobytes())
        for tensor in GGUFReader(path).tensors
    }


def expected(settings: dict[str, Any], weights: Tensors) -> dict[str, Any]:
    """The weights by their GGUF names, with the rows of a Llama's queries and keys reordered."""
    heads = settings["num_attention_heads"]
    cached = settings.get("num_key_value_heads", heads)
    result = {}
    for name, value in weights.items():
        short = name.removeprefix("model.").replace("layers.", "blk.")
        for theirs, ours in (
            ("embed_tokens", "token_embd"), ("lm_head", "output"),
            ("post_attention_layernorm", "ffn_norm"), ("input_layernorm", "attn_norm"),
            ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"),
            ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down"),
        ):  # fmt: skip
            short = short.replace(theirs, ours)
        short = "output_norm.weight" if short == "norm.weight" else short
        if settings["model_type"] == "llama" and ("attn_q." in short or "attn_k." in short):
            count = heads if "attn_q." in short else cached
            halves = value.reshape(count, 2, value.shape[0] // count // 2, -1)
            value = halves.swapaxes(1, 2).reshape(value.shape)
        result[short] = value
    return result


@pytest.mark.parametrize("case", CASES)
def test_f16_holds_the_checkpoints_values(tmp_path: Path, case: str) -> None:
    weights = random_weights(CASES[case])
    found = tensors(make(tmp_path, CASES[case], weights))
    if "llama3" in case:
        kind, factors = found.pop("rope_freqs.weight")
        assert (kind, len(factors)) == ("F32", 4 * 32)
    wanted = {
        name: value.astype(np.float16) for name, value in expected(CASES[case], weights).items()
    }
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        kind = "F32" if value.ndim == 1 else "F16"
        stored = value.astype(np.float32) if kind == "F32" else value
        assert found[name] == (kind, stored.tobytes()), name


@pytest.mark.parametrize("quant", [quant for quant in RECIPES if quant != "F16"])
@pytest.mark.parametrize(
    "case", ["llama, one head of keys", "llama, tied", "llama, llama3", "llama, 16 layers", "qwen2"]
)
def test_the_quantised_tensors_are_those_of_llama_cpps_quantiser(
    tmp_path: Path, case: str, quant: str
) -> None:
    f16 = make(tmp_path, CASES[case], random_weights(CASES[case]))
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = int(RECIPES[quant].file_type), 1
    theirs, ours = tmp_path / "theirs.gguf", tmp_path / "ours.gguf"
    assert llama_cpp.llama_model_quantize(bytes(f16), bytes(theirs), params) == 0
    convert(tmp_path / "c", ours, quant)
    assert tensors(ours) == tensors(theirs)


def attentive(settings: dict[str, Any]) -> Tensors:
    """Weights with which attention depends on positions more than with others."""
    return {
        name: value * 2 if name.endswith(("q_proj.weight", "k_proj.weight")) else value
        for name, value in random_weights(settings).items()
    }


@pytest.mark.parametrize("case", CASES)
def test_llama_cpp_computes_what_transformers_does(tmp_path: Path, case: str) -> None:
    settings = CASES[case]
    weights = attentive(settings)
    model = make(tmp_path, settings, weights, "F32")
    [tokens] = tokenize_all(model, [PROMPT])
    assert len(tokens) > 200
    [found] = log_probabilities(model, [tokens], 2)
    wanted = llama_log_probabilities(settings, weights, tokens)
    # differences come from float16
    divergence = (np.exp(wanted) * (wanted - found)).sum(axis=1)
    assert divergence.max() < 1e-3
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).mean() > 0.97


@pytest.mark.parametrize("case", ["llama, linear", "llama, llama3", "llama, yarn's numbers"])
def test_unscaled_positions_would_give_other_results(case: str) -> None:
    # Otherwise, the test above would not show that positions are scaled.
    weights = attentive(CASES[case])
    tokens = list(range(1, 301))
    scaled = llama_log_probabilities(CASES[case], weights, tokens)
    plain = llama_log_probabilities(CASES[case] | {"rope_scaling": None}, weights, tokens)
    assert (np.exp(plain) * (plain - scaled)).sum(axis=1).max() > 0.1


@pytest.mark.parametrize(
    "write",
    [checkpoints.sharded_safetensors, checkpoints.single_pickle, checkpoints.sharded_pickle],
)
def test_every_way_to_store_a_checkpoint_gives_the_same_file(tmp_path: Path, write: Any) -> None:
    settings, tokenizer = CASES["llama"], split_tokenizer("deepseek-coder")
    for folder, way in (("a", None), ("b", write)):
        made = make_checkpoint(tmp_path / folder / "c", settings, write=way, tokenizer=tokenizer)
        convert(made, tmp_path / f"{folder}.gguf")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_a_stored_output_matrix_is_left_out_where_the_embedding_is_one(tmp_path: Path) -> None:
    settings = CASES["qwen2, tied"]
    stored = random_weights(settings | {"tie_word_embeddings": False})
    assert "lm_head.weight" in stored
    assert "output.weight" not in tensors(make(tmp_path, settings, stored))


def test_the_metadata_of_a_llama(tmp_path: Path) -> None:
    settings = CASES["llama, yarn's numbers"]
    fields = {
        name: field.contents()
        for name, field in GGUFReader(
            make(tmp_path, settings, random_weights(settings))
        ).fields.items()
    }
    assert {
        "general.architecture": "llama",
        "llama.context_length": 512,
        "llama.embedding_length": 256,
        "llama.block_count": 2,
        "llama.feed_forward_length": 512,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.key_length": 64,
        "llama.attention.layer_norm_rms_epsilon": pytest.approx(1e-6),
        "llama.vocab_size": 320,
        "llama.rope.dimension_count": 64,
        "llama.rope.freq_base": 10000.0,
        "llama.rope.scaling.type": "yarn",
        "llama.rope.scaling.factor": 4.0,
        "llama.rope.scaling.original_context_length": 128,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "deepseek-coder",
        "llmsuggestd.prompt_template": FORMATS["ntp-mathlib-st"].template.replace(
            "{state}", "{goal}"
        ),
        "llmsuggestd.normalizer": "none",
    }.items() <= fields.items()


def test_without_a_format_the_file_names_none_and_a_warning_says_so(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "c", CASES["qwen2"], tokenizer=split_tokenizer("qwen2"))
    summary = convert(tmp_path / "c", tmp_path / "m.gguf")
    assert summary.warnings == [NO_FORMAT]
    assert "llmsuggestd.prompt_template" not in GGUFReader(tmp_path / "m.gguf").fields
