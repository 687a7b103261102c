"""The context that prompts and candidates share, with the shipped model in this process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest

from llmsuggestd.engine import engine as engine_module
from llmsuggestd.engine import llama, protocol
from llmsuggestd.engine.devices import Device
from llmsuggestd.engine.engine import Engine
from llmsuggestd.engine.llama import Cancelled, Llama
from llmsuggestd.engine.llama_log import LlamaError
from llmsuggestd.engine.protocol import KERNELS
from llmsuggestd.engine.threads import Spinning
from llmsuggestd.formats import LLMSTEP
from llmsuggestd.models import store
from tests.support.engine_requests import request
from tests.support.gguf_models import edited_starter

LOADS = """
from llmsuggestd.engine.protocol import KERNELS
from llmsuggestd.engine import protocol
from llmsuggestd.engine.engine import Engine
Engine(protocol.Load({path!r}, "off", 1, 1024, True))
"""


@pytest.fixture(scope="module")
def engine() -> Engine:
    path = str(store.SHIPPED)
    # without llama.cpp's extra buffers, which would crash this process on some machines
    probe = [sys.executable, "-c", LOADS.format(path=path)]
    works = subprocess.run(probe, capture_output=True, timeout=60, check=False).returncode == 0
    return Engine(protocol.Load(path, "off", 1, 1024, KERNELS if works else ("plain",)))


def test_a_prompt_reuses_the_beginning_that_it_shares_with_the_last(engine: Engine) -> None:
    context = "".join(f"a{i} b{i} : Nat\nh{i} : a{i} = b{i}\n" for i in range(12))
    reused = []
    for target in ("a1 = b1", "b1 = a1", "b1 = a1"):
        result = engine.suggest(request(f"{context}⊢ {target}"))
        reused.append(result.reused_tokens / result.prompt_tokens)
    assert reused[0] < 0.1
    assert reused[1] > 0.9
    assert 0.9 < reused[2] < 1  # the last token is decoded for its output


def test_reused_cells_give_the_output_of_fresh_ones(engine: Engine) -> None:
    model = engine.llama
    tokens = model.tokenize(LLMSTEP.text("p q : Prop\nh : p ∧ q\n⊢ q ∧ p"))
    model.forget()
    fresh = model.start([tokens])
    model.start([model.tokenize(LLMSTEP.text("p q : Prop\nh : p ∨ q\n⊢ q"))])
    kept = model.start([tokens])
    assert 0 < model.reused < len(tokens)
    np.testing.assert_allclose(kept, fresh, atol=0.05)


def test_alternating_proofs_keep_their_cells(engine: Engine) -> None:
    """Lean elaborates theorems at the same time, so their calls alternate."""
    model = engine.llama
    model.forget()
    proofs = [
        "".join(f"{letter}{i} : Nat\nh{letter}{i} : {letter}{i} = {i}\n" for i in range(9))
        for letter in "abc"
    ]
    reused = []
    for target in ("1 = 2", "2 = 3"):
        for proof in proofs:
            tokens = model.tokenize(LLMSTEP.text(f"{proof}⊢ {target}"))
            model.start([tokens])
            reused.append(model.reused / len(tokens))
    assert max(reused[:3]) < 0.1
    assert min(reused[3:]) > 0.8


def test_prompts_of_all_lengths_take_turns_in_one_context(engine: Engine) -> None:
    """Prompts of any length find room, and the cells that they reuse change only the rounding."""
    model = engine.llama
    model.forget()
    random = np.random.default_rng(3)
    end = min(model.ends)
    longest = model.context // 2  # the candidates may take the other half
    words = [token for token in range(300, 700) if token != end]
    prompts: list[list[int]] = []
    rows = []
    shared = 0
    for _ in range(60):
        length = int(random.choice([8, 60, 200, longest]))
        beginning = prompts[-int(random.integers(1, 6))] if len(prompts) > 5 else []
        prompt = beginning[: int(random.integers(0, length))]
        prompt = prompt + random.choice(words, length - len(prompt)).tolist()
        prompts.append(prompt)
        rows.append(model.start([prompt]))
        shared += model.reused
        for _ in range(3):  # candidates use cells and free them
            model.step([0] * 5, random.choice(words, 5).tolist())
    assert shared > sum(map(len, prompts)) / 10
    for prompt, row in zip(prompts[::7], rows[::7], strict=True):
        model.forget()
        fresh = model.start([prompt])
        assert model.reused == 0
        np.testing.assert_allclose(np.exp(row), np.exp(fresh), atol=0.05)


def test_llama_cpp_itself_stops_a_decode(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The flag is raised after our own check of it, so only the abort callback stops the decode."""
    model = engine.llama
    tokens = model.tokenize(LLMSTEP.text("⊢ 2 = 2"))
    model.forget()
    before = model.start([tokens])
    model.forget()
    decode = llama_cpp.llama_decode

    def stop_and_decode(*arguments: Any) -> int:
        model.stop.raise_()
        code: int = decode(*arguments)
        return code

    with monkeypatch.context() as patch:
        patch.setattr(llama_cpp, "llama_decode", stop_and_decode)
        with pytest.raises(Cancelled):
            model.start([tokens])
    model.stop.lower()
    assert capfd.readouterr().err == ""  # a requested stop is no error
    np.testing.assert_allclose(model.start([tokens]), before, atol=1e-5)


def test_equal_seeds_give_equal_draws(engine: Engine) -> None:
    """Draws are equal to the last bit, even if they reuse cells of earlier prompts."""

    def draw(seed: int | None, goal: str = "⊢ 2 + 2 = 4") -> list[tuple[str, float]]:
        drawn = request(goal, n=5, max_tokens=32, mode="sample", temperature=1.0, seed=seed)
        return [(s.text, s.score) for s in engine.suggest(drawn).found[0].suggestions]

    first = draw(1)
    assert draw(2) != first
    for goal in ("n : Nat\n⊢ n = n", "⊢ 2 + 2 = 5", "⊢ 2 + 2 = 4 ∧ 1 = 1"):
        draw(None, goal)
        assert draw(1) == first


def test_a_model_that_does_not_fit_the_gpu_is_tried_with_fewer_layers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a fake GPU, since this build ignores the number of layers on a GPU."""
    big = Device("CUDA0", "a GPU", is_gpu=True, integrated=False, free=2**40, total=2**40)
    monkeypatch.setattr(engine_module, "gpus", lambda: [big])
    tried: list[int] = []
    load_model = llama._load_model

    def load_if_it_fits(path: Path, gpu_layers: int, **options: Any) -> Any:
        tried.append(gpu_layers)
        if gpu_layers > 0:
            raise LlamaError("out of memory")
        return load_model(path, gpu_layers, **options)

    monkeypatch.setattr(llama, "_load_model", load_if_it_fits)
    load = protocol.Load(str(store.SHIPPED), "auto", 1, 1024, ("plain",))
    assert Engine(load).loaded.device == "CPU"
    assert tried == [8, 5, 3, 0]


NO_PRE = (b"tokenizer.ggml.pre", b"tokenizer.ggml.prE")
NO_END = (b"ggml.eos_token_id", b"ggml.eos_tokeN_id")


def test_a_missing_part_of_the_tokenizer_is_completed(engine: Engine, tmp_path: Path) -> None:
    text = LLMSTEP.text("a b c : Nat\nh₁ : a < b\nh₂ : b < c\n⊢ a + 123 < c")
    path = str(edited_starter(tmp_path, NO_PRE, NO_END))
    found = Engine(protocol.Load(path, "off", 1, 512, ("plain",))).llama
    assert found.tokenize(text) == engine.llama.tokenize(text)
    assert found.ends == engine.llama.ends
    uncorrected = Llama(Path(path), gpu_layers=0, threads=1, context=512, kernels="plain")
    assert uncorrected.tokenize(text) != engine.llama.tokenize(text)
    assert uncorrected.ends != engine.llama.ends


def test_a_tokenizer_with_an_unknown_rule_is_refused(tmp_path: Path) -> None:
    path = str(edited_starter(tmp_path, (b"olmo", b"dbrx")))
    with pytest.raises(LlamaError, match="its text is split as by dbrx") as caught:
        Engine(protocol.Load(path, "off", 1, 512, ("plain",)))
    assert "llmsuggestd convert" in caught.value.hint


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(LlamaError, match=r"m\.gguf is a pointer of git-lfs") as caught:
        Engine(protocol.Load(str(path), "off", 1, 512, ("plain",)))
    assert "git lfs pull" in caught.value.hint


def test_a_model_without_a_context_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that stayed in memory would leave none for the next try with fewer GPU layers."""
    freed = []
    free = llama_cpp.llama_model_free
    monkeypatch.setattr(llama_cpp, "llama_init_from_model", lambda *_: None)
    monkeypatch.setattr(llama_cpp, "llama_model_free", lambda model: freed.append(free(model)))
    with pytest.raises(LlamaError, match="context"):
        Llama(store.SHIPPED, gpu_layers=0, threads=1, context=1024, kernels="plain")
    assert len(freed) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="libgomp is Linux's")
def test_a_pool_of_sleeping_threads_turns_spinning_off(engine: Engine) -> None:
    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    assert engine.llama.parameters  # llama.cpp is loaded, and libgomp with it
    spinning = Spinning()
    spinning.set(True)
    before = threads()
    for _ in range(3):
        spinning.set(False)
        spinning.set(False)
        assert threads() >= before + (os.cpu_count() or 1)
        spinning.set(True)
        deadline = time.monotonic() + 10  # the threads end by themselves, in a moment
        while threads() > before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert threads() <= before
