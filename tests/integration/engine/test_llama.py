"""The context that prompts and candidates share, with the shipped model in this process."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import llama_cpp
import numpy as np
import pytest

from llmsuggestd.engine import protocol
from llmsuggestd.engine.__main__ import Engine
from llmsuggestd.engine.llama import Cancelled
from llmsuggestd.engine.prompt import build_prompt
from llmsuggestd.models import store

LOADS = """
from llmsuggestd.engine import protocol
from llmsuggestd.engine.__main__ import Engine
Engine(protocol.Load({path!r}, "off", 1, 1024, True))
"""


@pytest.fixture(scope="module")
def engine() -> Engine:
    path = str(store.SHIPPED)
    # where llama.cpp crashes with its extra buffers, this process must not be the one to find out
    probe = [sys.executable, "-c", LOADS.format(path=path)]
    works = subprocess.run(probe, capture_output=True, timeout=60, check=False).returncode == 0
    return Engine(protocol.Load(path, "off", 1, 1024, works))


def test_a_prompt_keeps_what_it_shares_with_the_last(engine: Engine) -> None:
    context = "".join(f"a{i} b{i} : Nat\nh{i} : a{i} = b{i}\n" for i in range(12))
    reused = []
    for target in ("a1 = b1", "b1 = a1", "b1 = a1"):
        request = protocol.Suggest(1, f"{context}⊢ {target}", "", 3, 16, "beam", 0.5, None)
        result = engine.suggest(request)
        reused.append(result.reused_tokens / result.prompt_tokens)
    assert reused[0] < 0.1
    assert reused[1] > 0.9
    assert 0.9 < reused[2] < 1  # the last token is decoded for its output


def test_kept_cells_answer_as_fresh_ones(engine: Engine) -> None:
    llama = engine.llama
    tokens = llama.tokenize(build_prompt("p q : Prop\nh : p ∧ q\n⊢ q ∧ p", ""))
    llama.forget()
    fresh = llama.start(tokens)
    llama.start(llama.tokenize(build_prompt("p q : Prop\nh : p ∨ q\n⊢ q", "")))
    kept = llama.start(tokens)
    assert 0 < llama.reused < len(tokens)
    np.testing.assert_allclose(kept, fresh, atol=0.05)


def test_llama_cpp_itself_stops_a_decode(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Our own look at the flag is over when it is raised: what stops is the abort callback."""
    llama = engine.llama
    tokens = llama.tokenize(build_prompt("⊢ 2 = 2", ""))
    llama.forget()
    before = llama.start(tokens)
    llama.forget()
    decode = llama_cpp.llama_decode

    def stop_and_decode(*arguments: Any) -> int:
        llama.stop.raise_()
        code: int = decode(*arguments)
        return code

    with monkeypatch.context() as patch:
        patch.setattr(llama_cpp, "llama_decode", stop_and_decode)
        with pytest.raises(Cancelled):
            llama.start(tokens)
    llama.stop.lower()
    assert capfd.readouterr().err == ""  # what was asked for is no error
    np.testing.assert_allclose(llama.start(tokens), before, atol=1e-5)


def test_a_seed_draws_the_same_again(engine: Engine) -> None:
    def draw(seed: int) -> list[tuple[str, float]]:
        engine.llama.forget()  # the same arithmetic, to the last bit
        request = protocol.Suggest(1, "⊢ 2 + 2 = 4", "", 5, 32, "sample", 1.0, seed)
        return [(s.text, s.score) for s in engine.suggest(request).suggestions]

    first = draw(1)
    assert draw(2) != first
    assert draw(1) == first
