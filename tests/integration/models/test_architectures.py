"""Checkpoints of Llama and Qwen2, from a repository of the hub to suggestions, in one command."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmsuggestd.convert.samples import BUILT_IN
from llmsuggestd.errors import ExitCode
from tests.conftest import make_home
from tests.support.hub import serving
from tests.unit.convert import checkpoints
from tests.unit.convert.checkpoints import (
    LLAMA_CONFIG,
    QWEN2_CONFIG,
    config,
    in_letters,
    make_checkpoint,
    random_weights,
    split_tokenizer,
)

from .conftest import Puller

NTP = "l3lab/ntp-mathlib-st-deepseek-coder-1.3b"
QWEN = "someone/qwen2-prover"
GOAL = "p q : Prop\nh : p ∧ q\n⊢ q ∧ p"


def deepseek_coder(folder: Path, **changes: Any) -> Path:
    """A repository as of a fine-tuned DeepSeek-Coder 1.3B, small: one pickle of bfloat16."""
    settings = config(
        LLAMA_CONFIG,
        rope_scaling={"type": "linear", "factor": 4.0},
        rope_theta=100000,
        num_key_value_heads=4,
        max_position_embeddings=16384,
        torch_dtype="bfloat16",
        **changes,
    )
    make_checkpoint(
        folder,
        settings,
        in_letters(random_weights(settings)),
        dtype="BF16",
        tokenizer=split_tokenizer("deepseek-coder"),
        write=checkpoints.single_pickle,
    )
    checkpoints.write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": True,
         "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"},
    )  # fmt: skip
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    (folder / "trainer_state.json").write_text("{}")
    return folder


def qwen2(folder: Path) -> Path:
    """A repository of a sharded Qwen2."""
    settings = config(QWEN2_CONFIG)
    return make_checkpoint(
        folder,
        settings,
        in_letters(random_weights(settings)),
        tokenizer=split_tokenizer("qwen2"),
        write=checkpoints.sharded_safetensors,
    )


def llama2(folder: Path) -> Path:
    """A repository with SentencePiece's own file, and no tokenizer.json."""
    lines = [line for sample in BUILT_IN for line in (*sample.goal.split("\n"), sample.tactic)]
    settings = config(LLAMA_CONFIG, vocab_size=448, bos_token_id=1, eos_token_id=2)
    make_checkpoint(folder, settings, in_letters(random_weights(settings)))
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_bytes(checkpoints.sentencepiece_model(lines))
    return folder


@pytest.fixture
def puller(tmp_path: Path) -> Iterator[Puller]:
    """An empty home, and a hub with both."""
    folders = {NTP: deepseek_coder(tmp_path / "ntp"), QWEN: qwen2(tmp_path / "qwen")}
    with serving(folders) as hub, contextlib.contextmanager(make_home)() as home:
        yield Puller(home, hub)


def suggest(puller: Puller, **fields: Any) -> dict[str, Any]:
    code, answer = puller.home.curl("/v1/suggest", body={"goal": GOAL, "max_tokens": 8} | fields)
    assert code == 200, answer
    found: dict[str, Any] = answer
    return found


def test_a_llama_in_a_pickle_of_a_known_repository(puller: Puller) -> None:
    result = puller.run("pull", NTP, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["format"] == "ntp-mathlib-st"
    assert sorted(puller.hub.asked) == sorted(
        ["README.md", "config.json", "pytorch_model.bin", "tokenizer.json", "tokenizer_config.json"]
    )
    puller.home.serve("--model", NTP.rpartition("/")[2])
    answer = suggest(puller)
    assert len(answer["suggestions"]) == 5
    # the prompt of this format, with the token that begins a text
    assert answer["timings"]["prompt_tokens"] > 200
    prefixed = suggest(puller, prefix="exact h")
    assert all(s["text"].startswith("exact h") for s in prefixed["suggestions"])
    [model] = puller.home.client.request("GET", "/v1/models")["models"]
    assert (model["format"], model["quantisation"]) == ("ntp-mathlib-st", "Q4_K_M")


def test_a_qwen2_needs_its_format_before_its_weights_are_fetched(puller: Puller) -> None:
    result = puller.run("pull", QWEN)
    assert result.returncode == ExitCode.INPUT
    assert result.stderr.startswith(
        f"llmsuggestd: {QWEN} does not name its prompt format\n"
        "  → name the format that it was trained on with --format: llmstep, "
    )
    assert len(result.stderr.splitlines()) == 2
    assert not [name for name in puller.hub.asked if name.endswith(".safetensors")]
    result = puller.run("pull", QWEN, "--format", "bfs-prover", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["format"] == "bfs-prover"
    puller.home.serve("--model", "qwen2-prover")
    assert len(suggest(puller)["suggestions"]) == 5


def test_a_llama_2_has_the_tokenizer_of_sentencepiece(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    with (
        serving({QWEN: llama2(tmp_path / "served")}) as hub,
        contextlib.contextmanager(make_home)() as home,
    ):
        puller = Puller(home, hub)
        result = puller.run("pull", QWEN, "--format", "ntp-mathlib-context", "--name", "llama2")
        assert result.returncode == 0, result.stderr
        assert "tokenizer.model" in hub.asked
        home.serve("--model", "llama2")
        assert len(suggest(puller)["suggestions"]) == 5
        prefixed = suggest(puller, prefix="exact h", context="import A\n\n")
        assert all(s["text"].startswith("exact h") for s in prefixed["suggestions"])


def test_the_file_of_a_conversion_names_its_format(puller: Puller, tmp_path: Path) -> None:
    converted = puller.home.run(
        "convert", str(tmp_path / "qwen"), "-o", str(tmp_path / "q.gguf"), "--format", "bfs-prover"
    )
    assert converted.returncode == 0, converted.stderr
    assert "warning" not in converted.stderr
    imported = puller.run("import", str(tmp_path / "q.gguf"), "--json")
    assert imported.returncode == 0, imported.stderr
    assert json.loads(imported.stdout)["format"] == "bfs-prover"
    wrong = puller.home.run("convert", str(tmp_path / "qwen"), "--format", "bsf")
    assert wrong.returncode == ExitCode.USAGE
    assert "there is no format 'bsf'" in wrong.stderr


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden_size": 250}, "config.json: hidden_size 250 is not a multiple of 4 heads"),
        ({"model_type": "mamba", "architectures": ["MambaForCausalLM"]},
         "config.json: this is MambaForCausalLM; its architecture, mamba, keeps one state"),
        ({"rope_scaling": {"type": "su"}}, "config.json: rotary scaling 'su' is not supported"),
    ],
)  # fmt: skip
def test_what_cannot_be_converted_is_one_line_and_fetches_no_weights(
    puller: Puller, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    path = tmp_path / "ntp" / "config.json"
    checkpoints.write_json(path, json.loads(path.read_text()) | changes)
    result = puller.run("pull", NTP)
    assert result.returncode == ExitCode.INPUT
    assert result.stderr.startswith(f"llmsuggestd: {NTP}/{words}")
    assert len(result.stderr.splitlines()) == 2
    assert "pytorch_model.bin" not in puller.hub.asked
    assert not list(puller.home.paths.models.glob("*"))


def test_a_tokenizer_of_an_unknown_kind_is_one_line(puller: Puller, tmp_path: Path) -> None:
    data = split_tokenizer("deepseek-coder")
    data["pre_tokenizer"]["pretokenizers"][1]["pattern"] = {"Regex": r"\p{L}+"}
    checkpoints.write_json(tmp_path / "ntp" / "tokenizer.json", data)
    result = puller.run("pull", NTP)
    assert result.returncode == ExitCode.INPUT
    assert "tokenizer.json: the tokenizer splits text by Split, Split, " in result.stderr
    assert "llama-bpe, " in result.stderr
    assert len(result.stderr.splitlines()) == 2
    assert "pytorch_model.bin" not in puller.hub.asked
