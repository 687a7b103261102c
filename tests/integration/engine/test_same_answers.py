"""With our kernels, the same question gets the same answer to the last bit."""

from __future__ import annotations

import random

import numpy as np
import pytest

from llmsuggestd.convert import convert
from llmsuggestd.engine import kernels, protocol
from llmsuggestd.engine.engine import Engine
from llmsuggestd.engine.llama import PROMPT_CHUNK, Llama
from llmsuggestd.engine.search import Floats
from llmsuggestd.engine.threads import Threads
from llmsuggestd.models import store
from tests.benchmarks import same_answers
from tests.support.engine_requests import request
from tests.unit.convert.checkpoints import config, make_checkpoint

pytestmark = pytest.mark.skipif(bool(kernels.why_not()), reason=kernels.why_not())


@pytest.fixture(scope="module", params=["starter", "rows of 96", "rows of 336"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Llama:
    """The shipped model, and random models with types of weights that `multiply.h` lacks.

    In a Q4_K_M file, rows of 96 weights are Q5_0 and Q8_0, and rows of 336 weights are F16.
    """
    path = store.SHIPPED
    if request.param != "starter":
        hidden = int(request.param.removeprefix("rows of "))
        settings = config(hidden_size=hidden, num_attention_heads=hidden // 48)
        folder = make_checkpoint(tmp_path_factory.mktemp("checkpoint"), settings)
        path = folder / "model.gguf"
        convert(folder, path, "Q4_K_M")
    return Llama(path, gpu_layers=0, threads=2, context=2048, kernels="own")


@pytest.fixture
def prompt(model: Llama) -> list[int]:
    """A prompt that is decoded in more than one batch."""
    chance = np.random.default_rng(1)
    return [int(n) for n in chance.integers(1, model.vocabulary, 2 * PROMPT_CHUNK - 50)]


def test_a_prompts_output_does_not_depend_on_its_reused_cells(
    model: Llama, prompt: list[int]
) -> None:
    model.forget()
    expected = model.start([prompt])
    chance = np.random.default_rng(2)
    for cut in (1, 2, 3, 31, 100, PROMPT_CHUNK - 1, PROMPT_CHUNK + 1, len(prompt) - 1):
        model.use_threads(Threads(int(chance.integers(1, 4)), int(chance.integers(1, 4))))
        if chance.random() < 0.5:
            model.forget()
        for length in (cut, int(chance.integers(2, 300))):  # other prompts scatter the free cells
            model.start([prompt[:cut] + chance.integers(1, model.vocabulary, length).tolist()])
            model.step([0] * 3, [1, 2, 3])
        np.testing.assert_array_equal(model.start([prompt]), expected)
        assert model.reused >= cut


def test_a_candidates_output_does_not_depend_on_the_rest_of_the_batch(
    model: Llama, prompt: list[int]
) -> None:
    chance = np.random.default_rng(3)
    tokens = chance.integers(1, model.vocabulary, 6).tolist()

    def rows(width: int, place: int) -> list[Floats]:
        """The output after each token of the candidate at `place`, beside random candidates."""
        model.start([prompt[: int(chance.integers(1, 40))]])
        model.start([prompt[:60]])
        parents = [0] * width
        found: list[Floats] = []
        for token in tokens:
            batch = chance.integers(1, model.vocabulary, width).tolist()
            batch[place] = token
            parents[place] = 0 if not found else place
            found.append(model.step(parents, batch)[place])
            parents = chance.integers(0, width, width).tolist()
        return found

    model.forget()
    expected = rows(1, 0)
    for width in (2, 3, 5, 8, 9, 17, 32):
        model.use_threads(Threads(int(chance.integers(1, 4)), int(chance.integers(1, 4))))
        for found, wanted in zip(rows(width, int(chance.integers(width))), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_prompts_in_one_batch_have_the_output_that_each_has_alone(model: Llama) -> None:
    chance = np.random.default_rng(4)
    stem = chance.integers(1, model.vocabulary, 90).tolist()
    prompts = [
        stem[:cut] + chance.integers(1, model.vocabulary, length).tolist()
        for cut, length in ((0, 20), (90, 5), (90, 5), (40, 30), (90, 1), (1, 300), (60, 60))
    ]
    prompts.append(list(prompts[1]))
    tokens = chance.integers(1, model.vocabulary, (4, len(prompts))).tolist()
    expected: list[list[Floats]] = []
    for i, prompt in enumerate(prompts):
        model.forget()
        rows = [model.start([prompt])[0]]
        expected.append(rows + [model.step([0], [row[i]])[0] for row in tokens])
    for _ in range(2):  # first without prompts in the cache, then with all of them
        found = [model.start(prompts)]
        found += [model.step(range(len(prompts)), row) for row in tokens]
        for i, rows in enumerate(expected):
            np.testing.assert_array_equal([row[i] for row in found], rows)
    assert model.reused == sum(map(len, prompts)) - len(prompts)


@pytest.mark.timeout(300)
def test_thirty_goals_get_the_same_answer_six_times() -> None:
    """Up to two other questions are asked between two rounds of a goal."""
    assert same_answers.measure(store.SHIPPED, protocol.KERNELS) == (0, 0, 0.0)


@pytest.mark.timeout(300)
def test_goals_in_one_request_get_the_answers_that_each_gets_alone() -> None:
    """The goals, one longer than the context, are of several proofs and need several batches."""
    engine = Engine(protocol.Load(str(store.SHIPPED), "off", 0, 1024))
    context = "".join(f"a{i} b{i} : Nat\nh{i} : a{i} = b{i}\n" for i in range(9))
    long = "".join(f"u{i} v{i} : Nat\nk{i} : u{i} = v{i}\n" for i in range(30))
    goals = [
        *(f"{context}⊢ {target}" for target in ("a1 = b1", "b1 = a1", "a2 + a3 = b2 + b3")),
        "p q : Prop\nh : p ∧ q\n⊢ q ∧ p",
        "⊢ 2 + 2 = 4",
        "".join(f"x{i} : Nat\nhx{i} : x{i} < {i}\n" for i in range(200)) + "⊢ x1 < 9",
        *(f"n : Nat\n⊢ n + {i} = {i} + n" for i in range(8)),
        *(f"{long}⊢ {target}" for target in ("u1 = v1", "u1 = v1 ∧ u2 = v2", "v3 + 0 = u3")),
    ]
    chance = random.Random(1)
    for changes in (
        {"n": 4, "max_tokens": 32},
        {"n": 1, "max_tokens": 64},
        {"n": 5, "max_tokens": 24, "prefix": "exact h"},
        {"n": 3, "max_tokens": 24, "mode": "sample", "seed": 7, "temperature": 1.2},
        {"n": 32, "max_tokens": 8},
    ):
        alone = [engine.suggest(request(goal, **changes)).found[0] for goal in goals]
        assert alone[5].truncated
        for _ in range(2):
            order = chance.sample(range(len(goals)), len(goals))
            if chance.random() < 0.5:
                engine.llama.forget()
            together = engine.suggest(request(*(goals[i] for i in order), **changes))
            assert together.found == [alone[i] for i in order]
