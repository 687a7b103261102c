"""With our kernels, the same question gets the same answer, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from llmsuggestd.convert import convert
from llmsuggestd.engine import kernels, protocol
from llmsuggestd.engine.llama import PROMPT_CHUNK, Llama
from llmsuggestd.engine.search import Floats
from llmsuggestd.engine.threads import Threads
from llmsuggestd.models import store
from tests.benchmarks import same_answers
from tests.unit.convert.checkpoints import config, make_checkpoint

pytestmark = pytest.mark.skipif(bool(kernels.why_not()), reason=kernels.why_not())


@pytest.fixture(scope="module", params=["starter", "rows of 96", "rows of 336"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Llama:
    """The shipped model, and models of random weights of types that `multiply.h` has not.

    In a Q4_K_M file, rows of 96 weights are Q5_0 and Q8_0, and those of 336 F16.
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


def test_a_prompt_is_decoded_the_same_whatever_of_it_is_reused(
    model: Llama, prompt: list[int]
) -> None:
    model.forget()
    expected = model.start(prompt)
    chance = np.random.default_rng(2)
    for cut in (1, 2, 3, 31, 100, PROMPT_CHUNK - 1, PROMPT_CHUNK + 1, len(prompt) - 1):
        model.use_threads(Threads(int(chance.integers(1, 4)), int(chance.integers(1, 4))))
        if chance.random() < 0.5:
            model.forget()
        for length in (cut, int(chance.integers(2, 300))):  # the cells lie between others'
            model.start(prompt[:cut] + chance.integers(1, model.vocabulary, length).tolist())
            model.step([0] * 3, [1, 2, 3])
        np.testing.assert_array_equal(model.start(prompt), expected)
        assert model.reused >= cut


def test_a_candidate_is_decoded_the_same_whatever_is_decoded_with_it(
    model: Llama, prompt: list[int]
) -> None:
    chance = np.random.default_rng(3)
    tokens = chance.integers(1, model.vocabulary, 6).tolist()

    def rows(width: int, place: int) -> list[Floats]:
        """After each token, for one of some candidates, of which the others are any."""
        model.start(prompt[: int(chance.integers(1, 40))])
        model.start(prompt[:60])
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


def test_thirty_goals_are_answered_the_same_six_times() -> None:
    """Of two or three hypotheses, with none to two other questions between."""
    assert same_answers.measure(store.SHIPPED, protocol.KERNELS) == (0, 0, 0.0)
