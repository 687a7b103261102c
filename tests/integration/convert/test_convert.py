"""Conversions of small checkpoints: the content of the file, and llama.cpp's results with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader, quants

from llmsuggestd.convert import RECIPES, convert
from llmsuggestd.convert.evaluate import log_probabilities, tokenize_all
from llmsuggestd.convert.metadata import Source
from llmsuggestd.engine.llama import Llama
from tests.integration.convert.reference import neox_log_probabilities
from tests.unit.convert import checkpoints
from tests.unit.convert.checkpoints import (
    CONFIG,
    Tensors,
    config,
    make_checkpoint,
    random_weights,
    stored_bits,
)

PROMPT = "[GOAL]h : p ∧ q\n⊢ q ∧ p[PROOFSTEP]exact"


def contents(path: Path) -> tuple[dict[str, Any], dict[str, tuple[str, bytes]]]:
    """A file's metadata, and each tensor's type and bytes."""
    reader = GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    tensors = {
        tensor.name: (tensor.tensor_type.name, np.asarray(tensor.data).tobytes())
        for tensor in reader.tensors
    }
    return fields, tensors


def values(path: Path) -> dict[str, Any]:
    """Each tensor's values, as float32."""
    return {
        tensor.name: quants.dequantize(np.asarray(tensor.data), tensor.tensor_type)
        for tensor in GGUFReader(path).tensors
    }


def expected_values(weights: Tensors, heads: int = 4) -> dict[str, Any]:
    """The weights by their GGUF names, with query, key and value apart."""
    result = {}
    for name, value in weights.items():
        short = name.removeprefix("gpt_neox.").replace("layers.", "blk.")
        for theirs, ours in (
            ("embed_in", "token_embd"), ("embed_out", "output"),
            ("final_layer_norm", "output_norm"),
            ("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm"),
            ("attention.query_key_value", "attn_qkv"), ("attention.dense", "attn_output"),
            ("mlp.dense_h_to_4h", "ffn_up"), ("mlp.dense_4h_to_h", "ffn_down"),
        ):  # fmt: skip
            short = short.replace(theirs, ours)
        if "attn_qkv" in short:
            size = value.shape[0] // (3 * heads)
            apart = value.reshape(heads, 3, size, -1).swapaxes(0, 1)
            value = apart.reshape(value.shape)
        result[short] = value
    return result


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float16 checkpoint in one safetensors file."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_f16_holds_the_checkpoints_values(tmp_path: Path, dtype: str) -> None:
    weights = random_weights(config())
    make_checkpoint(tmp_path / "c", tensors=weights, dtype=dtype)
    convert(tmp_path / "c", tmp_path / "m.gguf", "F16")
    found = values(tmp_path / "m.gguf")
    if dtype == "BF16":
        weights = {
            name: (stored_bits(value, dtype).astype(np.uint32) << 16).view(np.float32)
            for name, value in weights.items()
        }
    expected = expected_values(weights)
    assert set(found) == set(expected)
    for name, value in expected.items():
        kept = value if value.ndim == 1 and dtype != "F16" else value.astype(np.float16)
        np.testing.assert_array_equal(found[name], kept.astype(np.float32), err_msg=name)


@pytest.mark.parametrize("quant", list(RECIPES))
def test_every_quant_loads_and_stays_near(checkpoint: Path, tmp_path: Path, quant: str) -> None:
    model = tmp_path / "m.gguf"
    summary = convert(checkpoint, model, quant.lower())
    assert summary.quant == quant
    assert summary.bytes == model.stat().st_size
    assert sum(summary.tensor_types.values()) == 28
    found = values(model)
    for name, value in expected_values(random_weights(config())).items():
        distance = np.linalg.norm(found[name] - value) / np.linalg.norm(value)
        assert distance < (0.001 if quant == "F16" else 0.1), name
    fields, _ = contents(model)
    assert fields["general.file_type"] == int(RECIPES[quant].file_type)
    [tokens] = tokenize_all(model, [PROMPT])
    [found_log] = log_probabilities(model, [tokens], 2)
    expected = neox_log_probabilities(CONFIG, random_weights(config()), tokens)
    divergence = (np.exp(expected) * (expected - found_log)).sum(axis=1).mean()
    assert divergence < (1e-6 if quant == "F16" else 0.02)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"use_parallel_residual": False},
        {"tie_word_embeddings": True},
        {"attention_bias": False},
        {"rotary_pct": 1.0},
        {"rotary_emb_base": 500},
        {"hidden_act": "gelu_new"},
    ],
    ids=str,
)
def test_llama_cpp_computes_what_transformers_does(tmp_path: Path, changes: dict[str, Any]) -> None:
    settings = config(**changes)
    weights = random_weights(settings)
    if changes.get("tie_word_embeddings"):
        del weights["embed_out.weight"]
    if changes.get("attention_bias") is False:
        for name in [n for n in weights if ".attention." in n and n.endswith(".bias")]:
            del weights[name]
    make_checkpoint(tmp_path / "c", settings, weights, dtype="F32")
    convert(tmp_path / "c", tmp_path / "m.gguf", "F16")
    [tokens] = tokenize_all(tmp_path / "m.gguf", [PROMPT])
    [found] = log_probabilities(tmp_path / "m.gguf", [tokens], 2)
    expected = neox_log_probabilities(settings, weights, tokens)
    # differences come from float16 weights, and from GELU's tanh form in place of its erf form
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.95


def unindexed(folder: Path, tensors: Tensors, dtype: str) -> None:
    """Shards without their index."""
    checkpoints.sharded_safetensors(folder, tensors, dtype)
    (folder / "model.safetensors.index.json").unlink()


def compiled(folder: Path, tensors: Tensors, dtype: str) -> None:
    """The tensor names of a compiled model in DistributedDataParallel."""
    wrapped = {f"module._orig_mod.{name}": values for name, values in tensors.items()}
    checkpoints.single_safetensors(folder, wrapped, dtype)


def with_value_head(folder: Path, tensors: Tensors, dtype: str) -> None:
    """A checkpoint as saved by reinforcement learning."""
    head = {"v_head.summary.weight": np.ones((1, 256), np.float32)}
    checkpoints.single_safetensors(folder, {**tensors, **head}, dtype)


def among_a_trainers_state(folder: Path, tensors: Tensors, dtype: str) -> None:
    """A checkpoint as saved by a trainer, under the usual name."""
    checkpoints.save_pickle(folder / "pytorch_model.bin", tensors, dtype, inside="state_dict")


@pytest.mark.parametrize(
    "write",
    [
        checkpoints.sharded_safetensors,
        checkpoints.single_pickle,
        checkpoints.sharded_pickle,
        unindexed,
        compiled,
        with_value_head,
        among_a_trainers_state,
    ],
)
@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_every_way_to_store_a_checkpoint_gives_the_same_file(
    tmp_path: Path, write: Callable[[Path, Tensors, str], None], dtype: str
) -> None:
    convert(make_checkpoint(tmp_path / "a" / "c", dtype=dtype), tmp_path / "one.gguf")
    convert(make_checkpoint(tmp_path / "b" / "c", dtype=dtype, write=write), tmp_path / "two.gguf")
    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "two.gguf").read_bytes()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("run", [257, 100_000])
def test_neither_threads_nor_runs_change_the_file(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, run: int
) -> None:
    convert(checkpoint, tmp_path / "one.gguf")
    monkeypatch.setattr("llmsuggestd.convert.conversion.RUN_ELEMENTS", run)
    convert(checkpoint, tmp_path / "two.gguf", threads=threads)
    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "two.gguf").read_bytes()


def test_quantising_passes_through_float16(tmp_path: Path) -> None:
    weights = random_weights(config())
    halves = {name: value.astype(np.float16).astype(np.float32) for name, value in weights.items()}
    halves |= {name: value for name, value in weights.items() if value.ndim == 1}
    convert(
        make_checkpoint(tmp_path / "a" / "c", tensors=weights, dtype="F32"), tmp_path / "1.gguf"
    )
    convert(make_checkpoint(tmp_path / "b" / "c", tensors=halves, dtype="F32"), tmp_path / "2.gguf")
    assert (tmp_path / "1.gguf").read_bytes() == (tmp_path / "2.gguf").read_bytes()


def test_stored_tied_embeddings_are_ignored(tmp_path: Path) -> None:
    settings = config(tie_word_embeddings=True)
    convert(make_checkpoint(tmp_path / "c", settings), tmp_path / "m.gguf", "F16")
    found = values(tmp_path / "m.gguf")
    np.testing.assert_array_equal(found["output.weight"], found["token_embd.weight"])


def test_the_metadata_is_complete(tmp_path: Path) -> None:
    tokens = [checkpoints.added("<|endoftext|>", 0), checkpoints.added("[PAD]", 297)]
    folder = make_checkpoint(
        tmp_path / "tuned-model",
        config(rotary_emb_base=20000, pad_token_id=297),
        tokenizer=checkpoints.byte_level_tokenizer(added_tokens=tokens),
    )
    (folder / "README.md").write_text(
        "---\nlicense: mit\nbase_model: EleutherAI/pythia-70m\n---\n# Model\n", encoding="utf-8"
    )
    source = Source("someone/tuned-model", "f" * 40)
    convert(folder, tmp_path / "m.gguf", source=source)
    fields, _ = contents(tmp_path / "m.gguf")
    assert {
        "general.architecture": "gptneox",
        "general.type": "model",
        "general.name": "tuned-model",
        "general.license": "mit",
        "general.source.repo_url": "https://huggingface.co/someone/tuned-model",
        "general.base_model.0.name": "Pythia 70m",
        "general.file_type": 15,
        "general.quantization_version": 2,
        "gptneox.context_length": 512,
        "gptneox.embedding_length": 256,
        "gptneox.block_count": 2,
        "gptneox.feed_forward_length": 512,
        "gptneox.attention.head_count": 4,
        "gptneox.attention.layer_norm_epsilon": pytest.approx(1e-5),
        "gptneox.rope.dimension_count": 16,
        "gptneox.rope.freq_base": 20000.0,
        "gptneox.use_parallel_residual": True,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "olmo",
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 0,
        "tokenizer.ggml.padding_token_id": 297,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.add_eos_token": False,
        "llmsuggestd.prompt_template": "[GOAL]{goal}[PROOFSTEP]{prefix}",
        "llmsuggestd.normalizer": "NFC",
        "llmsuggestd.source_revision": "f" * 40,
    }.items() <= fields.items()
    assert fields["llmsuggestd.converter_version"]
    assert len(fields["tokenizer.ggml.tokens"]) == len(fields["tokenizer.ggml.token_type"]) == 320
    assert fields["tokenizer.ggml.tokens"][297:299] == ["[PAD]", "[PAD298]"]
    assert fields["tokenizer.ggml.token_type"][:2] == [3, 1]
    assert fields["tokenizer.ggml.token_type"][297:299] == [3, 5]
    assert len(fields["tokenizer.ggml.merges"]) == 40


@pytest.mark.parametrize(
    ("card", "key", "expected"),
    [
        ("license: [mit", "license", None),
        ("tags: [lean4, 2024]", "tags", ["lean4", "2024"]),
        ("tags: [[a], {b: c}]", "tags", None),
        ("version: 1.0", "version", "1.0"),
        ("license: 2020-01-01", "license", "2020-01-01"),
        ("license: [mit, 2]", "license", "mit,2"),
        ("license_name: [mit]", "license_name", None),
        ("organization: 4", "organization", "4"),
        ("author: {a: b}", "author", None),
        ("description: 4", "description", "4"),
        ('description: "\\uD800"', "description", "?"),
        ("base_model: [{name: a, version: 1.0, url: [b]}]", "base_model.0.version", "1.0"),
        ("datasets: [4]", "dataset.count", 1),
    ],
)
def test_a_broken_model_card_costs_only_its_facts(
    tmp_path: Path, card: str, key: str, expected: object
) -> None:
    folder = make_checkpoint(tmp_path / "c")
    (folder / "README.md").write_text(f"---\n{card}\n---\n", encoding="utf-8")
    convert(folder, tmp_path / "m.gguf")
    fields = contents(tmp_path / "m.gguf")[0]
    assert fields["general.name"] == "c"
    assert fields.get(f"general.{key}") == expected


@pytest.mark.parametrize("value", ["50.0", '"0.7"', "1e300", "[1]"])
def test_settings_of_generation_are_left_out(tmp_path: Path, value: str) -> None:
    folder = make_checkpoint(tmp_path / "c")
    text = f'{{"do_sample": true, "top_k": {value}, "temperature": {value}}}'
    (folder / "generation_config.json").write_text(text)
    convert(folder, tmp_path / "m.gguf")
    assert not [key for key in contents(tmp_path / "m.gguf")[0] if "sampling" in key]


def test_linear_rotary_scaling_is_written(tmp_path: Path) -> None:
    settings = config(rope_scaling={"type": "linear", "factor": 2.0})
    convert(make_checkpoint(tmp_path / "c", settings), tmp_path / "m.gguf")
    fields, _ = contents(tmp_path / "m.gguf")
    assert fields["gptneox.rope.scaling.type"] == "linear"
    assert fields["gptneox.rope.scaling.factor"] == 2.0


def test_a_vocabulary_larger_than_the_embedding_by_added_tokens(tmp_path: Path) -> None:
    tokens = [checkpoints.added("<|endoftext|>", 0), checkpoints.added("[PAD]", 297)]
    folder = make_checkpoint(
        tmp_path / "c",
        config(vocab_size=297),
        tokenizer=checkpoints.byte_level_tokenizer(added_tokens=tokens),
    )
    summary = convert(folder, tmp_path / "m.gguf")
    assert summary.warnings == ["left out added tokens without a row in the embedding: '[PAD]'"]
    assert tokenize_all(tmp_path / "m.gguf", ["x[PAD]x"])


def test_rows_of_partial_blocks(tmp_path: Path) -> None:
    # For example, Pythia 14M has rows of 128 elements, and blocks of K types have 256.
    settings = config(hidden_size=128, intermediate_size=512)
    folder = make_checkpoint(tmp_path / "c", settings)
    summary = convert(folder, tmp_path / "m.gguf")
    assert summary.tensor_types == {
        "Q5_0": 6, "Q8_0": 2, "Q4_K": 1, "Q6_K": 1, "F32": 18
    }  # fmt: skip
    assert tokenize_all(tmp_path / "m.gguf", [PROMPT])


def test_progress_reaches_the_end_and_never_goes_back(checkpoint: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    summary = convert(
        checkpoint, tmp_path / "m.gguf", progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (summary.parameters, summary.parameters)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_an_older_file_is_replaced(checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "m.gguf"
    target.write_bytes(b"an older model")
    convert(checkpoint, target)
    assert target.read_bytes()[:4] == b"GGUF"
    assert list(tmp_path.iterdir()) == [target]


def test_the_file_is_synced_before_it_is_renamed(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        done.append("fsync")
        sync(descriptor)

    def replaced(path: Path, target: Path) -> Path:
        done.append("replace")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    convert(checkpoint, tmp_path / "m.gguf")
    assert done == ["fsync", "replace", "fsync"]  # the file, the rename, the folder


def test_a_checkpoint_of_links_converts(checkpoint: Path, tmp_path: Path) -> None:
    # The Hugging Face cache consists of links to its blobs.
    blobs = tmp_path / "blobs"
    shutil.copytree(checkpoint, blobs)
    folder = tmp_path / "snapshot"
    folder.mkdir()
    for blob in blobs.iterdir():
        (folder / blob.name).symlink_to(blob)
    assert convert(folder, tmp_path / "m.gguf").parameters


def test_every_end_token_ends_a_text(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "c", config(eos_token_id=[0, 5, 7]))
    convert(checkpoint, tmp_path / "m.gguf")
    fields = GGUFReader(tmp_path / "m.gguf").fields
    roles = {role: fields[f"tokenizer.ggml.{role}_token_id"].contents() for role in
             ("eos", "eot", "eom")}  # fmt: skip
    assert roles == {"eos": 0, "eot": 5, "eom": 7}
    llama = Llama(tmp_path / "m.gguf", gpu_layers=0, threads=1, context=512, kernels="plain")
    assert llama.ends == {0, 5, 7}


def test_a_missing_bias_is_written_as_zeros(tmp_path: Path) -> None:
    settings = config(attention_bias=False)
    weights = random_weights(settings)
    for name in [n for n in weights if ".attention." in n and n.endswith(".bias")]:
        del weights[name]
    convert(make_checkpoint(tmp_path / "c", settings, weights), tmp_path / "m.gguf")
    found = values(tmp_path / "m.gguf")
    assert found["blk.0.attn_qkv.bias"].shape == (768,)
    assert not found["blk.0.attn_qkv.bias"].any()
    assert not found["blk.1.attn_output.bias"].any()
