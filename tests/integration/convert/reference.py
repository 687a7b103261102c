"""A GPT-NeoX forward pass in numpy, as transformers computes it, to compare llama.cpp with.

Written from `modeling_gpt_neox.py` of transformers: parallel or sequential residual, rotary
embedding on the first channels of each head (halves, not pairs), exact (erf) GELU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import erf, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


def log_probabilities(
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
