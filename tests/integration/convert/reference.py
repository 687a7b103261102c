"""Forward passes in numpy, as transformers computes them, to compare llama.cpp with.

The GPT-NeoX is written from `modeling_gpt_neox.py`: parallel or sequential residual, rotary
embedding on the first channels of each head (halves, not pairs), exact (erf) GELU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import erf, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


def neox_log_probabilities(
    config: Mapping[str, Any], weights: Mapping[str, Floats], tokens: Sequence[int]
) -> Floats:
    """The log probabilities of the token after each token, of shape (tokens, vocabulary)."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    eps, heads = config["layer_norm_eps"], config["num_attention_heads"]
    x = w["gpt_neox.embed_in.weight"][list(tokens)]
    for layer in range(config["num_hidden_layers"]):
        part = {
            name.removeprefix(f"gpt_neox.layers.{layer}."): value
            for name, value in w.items()
            if name.startswith(f"gpt_neox.layers.{layer}.")
        }
        attended = _attention(config, part, _norm(x, part, "input_layernorm", eps), heads)
        if config["use_parallel_residual"]:
            x = x + attended + _mlp(part, _norm(x, part, "post_attention_layernorm", eps))
        else:
            x = x + attended
            x = x + _mlp(part, _norm(x, part, "post_attention_layernorm", eps))
    final = {name.removeprefix("gpt_neox."): value for name, value in w.items()}
    output = "gpt_neox.embed_in.weight" if config["tie_word_embeddings"] else "embed_out.weight"
    logits = _norm(x, final, "final_layer_norm", eps) @ w[output].T
    logits -= logits.max(axis=1, keepdims=True)
    result: Floats = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return result


def _norm(x: Floats, weights: Mapping[str, Floats], name: str, eps: float) -> Floats:
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    result: Floats = scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]
    return result


def _linear(x: Floats, weights: Mapping[str, Floats], name: str) -> Floats:
    result: Floats = x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0.0)
    return result


def _mlp(weights: Mapping[str, Floats], x: Floats) -> Floats:
    wide = _linear(x, weights, "mlp.dense_h_to_4h")
    gelu = wide * 0.5 * (1 + np.vectorize(erf)(wide / sqrt(2)))
    return _linear(gelu, weights, "mlp.dense_4h_to_h")


def _attention(
    config: Mapping[str, Any], weights: Mapping[str, Floats], x: Floats, heads: int
) -> Floats:
    length, hidden = x.shape
    size = hidden // heads
    joint = _linear(x, weights, "attention.query_key_value").reshape(length, heads, 3, size)
    query, key, value = (joint[:, :, i].transpose(1, 0, 2) for i in range(3))
    rotated = int(size * config["rotary_pct"])
    query, key = (_rotate(part, rotated, config["rotary_emb_base"]) for part in (query, key))
    scores = query @ key.transpose(0, 2, 1) / sqrt(size)
    scores = np.where(np.tril(np.ones((length, length), bool)), scores, -np.inf)
    share = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = (share / share.sum(axis=-1, keepdims=True)) @ value
    return _linear(mixed.transpose(1, 0, 2).reshape(length, hidden), weights, "attention.dense")


def _rotate(x: Floats, count: int, base: float) -> Floats:
    angles = np.outer(np.arange(x.shape[1]), base ** (-np.arange(0, count, 2) / count))
    cos, sin = (np.tile(f(angles), 2) for f in (np.cos, np.sin))
    turning, rest = x[..., :count], x[..., count:]
    half = count // 2
    turned = np.concatenate([-turning[..., half:], turning[..., :half]], axis=-1)
    return np.concatenate([turning * cos + turned * sin, rest], axis=-1)


def llama_log_probabilities(
    config: Mapping[str, Any], weights: Mapping[str, Floats], tokens: Sequence[int]
) -> Floats:
    """The same of a Llama or Qwen2, written from `modeling_llama.py` and `modeling_qwen2.py`."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    eps = config["rms_norm_eps"]
    x = w["model.embed_tokens.weight"][list(tokens)]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        part = {n.removeprefix(prefix): v for n, v in w.items() if n.startswith(prefix)}
        x = x + _grouped(config, part, _rms(x, part["input_layernorm.weight"], eps))
        normed = _rms(x, part["post_attention_layernorm.weight"], eps)
        gate = _linear(normed, part, "mlp.gate_proj")
        gated = gate / (1 + np.exp(-gate)) * _linear(normed, part, "mlp.up_proj")
        x = x + _linear(gated, part, "mlp.down_proj")
    tied = config["tie_word_embeddings"]
    output = w["model.embed_tokens.weight" if tied else "lm_head.weight"]
    logits = _rms(x, w["model.norm.weight"], eps) @ output.T
    logits -= logits.max(axis=1, keepdims=True)
    result: Floats = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return result


def _rms(x: Floats, weight: Floats, eps: float) -> Floats:
    result: Floats = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps) * weight
    return result


def _grouped(config: Mapping[str, Any], weights: Mapping[str, Floats], x: Floats) -> Floats:
    """Attention in which several heads of queries share one of keys and values."""
    length, heads = len(x), config["num_attention_heads"]
    cached = config.get("num_key_value_heads", heads)
    size = config.get("head_dim") or config["hidden_size"] // heads
    query, key, value = (
        _linear(x, weights, f"self_attn.{name}").reshape(length, count, size).swapaxes(0, 1)
        for name, count in (("q_proj", heads), ("k_proj", cached), ("v_proj", cached))
    )
    frequencies, factor = _frequencies(config, size)
    angles = np.outer(np.arange(length), frequencies)
    cos, sin = (factor * np.tile(f(angles), 2) for f in (np.cos, np.sin))
    query, key = (
        part * cos + np.concatenate([-part[..., size // 2 :], part[..., : size // 2]], -1) * sin
        for part in (query, key)
    )
    key, value = (part.repeat(heads // cached, axis=0) for part in (key, value))
    scores = query @ key.swapaxes(1, 2) / sqrt(size)
    scores = np.where(np.tril(np.ones((length, length), bool)), scores, -np.inf)
    share = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = (share / share.sum(axis=-1, keepdims=True)) @ value
    return _linear(mixed.swapaxes(0, 1).reshape(length, heads * size), weights, "self_attn.o_proj")


def _frequencies(config: Mapping[str, Any], size: int) -> tuple[Floats, float]:
    """The frequencies of rotary positions, and what queries and keys are multiplied by.

    Written from transformers' `modeling_rope_utils.py`.
    """
    scaling = config.get("rope_scaling") or {}
    base, kind = config["rope_theta"], scaling.get("rope_type", scaling.get("type"))
    plain = base ** (-np.arange(0, size, 2) / size)
    factor = scaling.get("factor", 1.0)
    if kind == "linear":
        return plain / factor, 1.0
    if kind == "llama3":
        original = scaling["original_max_position_embeddings"]
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        turns = original * plain / (2 * np.pi)
        smooth = np.clip((turns - low) / (high - low), 0, 1)
        return (1 - smooth) * plain / factor + smooth * plain, 1.0
    if kind == "yarn":
        original = scaling["original_max_position_embeddings"]
        first, last = (
            size * np.log(original / (turns * 2 * np.pi)) / (2 * np.log(base))
            for turns in (scaling.get("beta_fast", 32), scaling.get("beta_slow", 1))
        )
        first, last = max(np.floor(first), 0), min(np.ceil(last), size - 1)
        ramp = np.clip((np.arange(size // 2) - first) / max(last - first, 0.001), 0, 1)
        usual = 1 + 0.1 * np.log(factor)
        found = plain / factor * ramp + plain * (1 - ramp)
        return found, scaling.get("attention_factor", usual)
    return plain, 1.0
