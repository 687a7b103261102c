"""Beam search and sampling, on models small enough to enumerate."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import numpy as np
import pytest

from llmsuggestd.engine.search import (
    Floats,
    Hypothesis,
    Search,
    beam_search,
    log_softmax,
    run,
    sample,
)

END = 0
LETTERS = ".abcdefgh"


class ToyModel:
    """A model whose next-token probabilities are a random function of all tokens so far."""

    def __init__(self, vocabulary: int, seed: int) -> None:
        self.vocabulary = vocabulary
        self.seed = seed
        self.candidates: list[tuple[int, ...]] = [()]
        self.steps: list[int] = []

    def row(self, tokens: tuple[int, ...]) -> Floats:
        generator = np.random.default_rng([self.seed, *tokens])
        return log_softmax(generator.normal(scale=2, size=self.vocabulary).astype(np.float32))

    def step(self, parents: Sequence[int], tokens: Sequence[int]) -> Floats:
        self.steps.append(len(tokens))
        self.candidates = [
            (*self.candidates[parent], token) for parent, token in zip(parents, tokens, strict=True)
        ]
        return np.stack([self.row(tokens) for tokens in self.candidates])


def alone(search: Search, model: ToyModel) -> list[Hypothesis]:
    (found,) = run([search], model.step)
    return found


def text(tokens: Sequence[int]) -> str | None:
    return "".join(LETTERS[token] for token in tokens) or None


def every_continuation(model: ToyModel, max_tokens: int) -> list[tuple[float, str, bool]]:
    """All continuations with their mean log probabilities, best first."""
    found = []
    for length in range(1, max_tokens + 1):
        for tokens in itertools.product(range(1, model.vocabulary), repeat=length):
            total = sum(float(model.row(tokens[:i])[tokens[i]]) for i in range(length))
            if length < max_tokens:
                end = float(model.row(tokens)[END])
                found.append(((total + end) / (length + 1), text(tokens) or "", True))
            else:
                found.append((total / length, text(tokens) or "", False))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("seed", range(20))
def test_a_beam_as_wide_as_the_tree_finds_the_best_of_all(seed: int) -> None:
    model = ToyModel(vocabulary=4, seed=seed)
    search = beam_search(model.row(()), width=81, max_tokens=4, end={END}, text=text)
    found = alone(search, model)
    expected = every_continuation(model, 4)[:81]
    # the search may stop before long, unlikely candidates have ended, so only the best are compared
    for hypothesis, (score, tactic, finished) in zip(found[:10], expected[:10], strict=True):
        assert (hypothesis.text, hypothesis.finished) == (tactic, finished)
        assert hypothesis.score == pytest.approx(score, abs=1e-5)


def test_results_are_ranked_distinct_and_as_many_as_asked_for() -> None:
    model = ToyModel(vocabulary=9, seed=7)
    search = beam_search(model.row(()), width=5, max_tokens=12, end={END}, text=text)
    found = alone(search, model)
    assert len(found) == len({h.text for h in found}) == 5
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


@pytest.mark.parametrize("possible", [3, 40, 2_000, 60_001])
@pytest.mark.parametrize("vocabulary", [3, 100, 2_000, 60_001])
def test_the_best_tokens_of_a_large_vocabulary(vocabulary: int, possible: int) -> None:
    row = np.full(vocabulary, -np.inf, np.float32)
    generator = np.random.default_rng(0)
    some = generator.permutation(vocabulary)[:possible]
    row[some] = log_softmax(generator.normal(size=len(some)).astype(np.float32))
    search = beam_search(row, width=16, max_tokens=1, end=(), text=lambda tokens: str(*tokens))
    found = alone(search, ToyModel(vocabulary, seed=0))
    best = np.argsort(-row)[: min(16, len(some))]
    assert [int(one.text) for one in found] == best.tolist()


def test_equal_tokens_are_ranked_in_order() -> None:
    row = log_softmax(np.zeros(5000, np.float32))
    search = beam_search(row, width=3, max_tokens=1, end=(), text=lambda tokens: str(*tokens))
    found = alone(search, ToyModel(5000, seed=0))
    assert [one.text for one in found] == ["0", "1", "2"]


def test_padding_takes_no_time() -> None:
    """Padding has probability zero. So has what disagrees with a prefix that ends in a token."""
    rows = np.full((16, 150_000), -np.inf, np.float32)
    rows[:, :50_000] = np.random.default_rng(0).normal(size=(16, 50_000)) - 12
    took = []
    for _ in range(3):
        search = beam_search(rows[0], width=16, max_tokens=3, end=(), text=str)
        next(search)
        began = time.process_time()
        search.send(rows)
        took.append(time.process_time() - began)
    assert min(took) < 0.1  # it takes 3 ms; np.argpartition takes 400


def test_a_small_vocabulary_takes_no_time_either() -> None:
    """Many candidates get more extensions than a small vocabulary has groups."""
    rows = log_softmax(np.random.default_rng(0).normal(size=(32, 2424)).astype(np.float32))
    took = []
    for _ in range(3):
        search = beam_search(rows[0], width=32, max_tokens=3, end=(0,), text=str)
        next(search)
        began = time.process_time()
        search.send(rows)
        took.append(time.process_time() - began)
    assert min(took) < 0.03  # it takes 3 ms, and 70 with all tokens of all candidates


def test_texts_that_differ_by_white_space_take_one_place() -> None:
    def row(tokens: tuple[int, ...]) -> Floats:
        # two tokens spell the same words, "a b" and "a  b"; the end token follows each
        logits = np.full(4, -20.0, np.float32)
        if tokens == ():
            logits[[1, 2, 3]] = [3.0, 2.9, 1.0]
        else:
            logits[END] = 5.0
        return log_softmax(logits)

    spellings: dict[tuple[int, ...], str] = {(1,): "a b", (2,): "a  b", (3,): "c"}
    model = ToyModel(vocabulary=4, seed=0)
    model.row = row  # type: ignore[method-assign]
    search = beam_search(
        row(()), width=3, max_tokens=5, end={END},
        text=lambda tokens: spellings.get(tuple(tokens)),
    )  # fmt: skip
    found = alone(search, model)
    assert [h.text for h in found] == ["a b", "c"]


def test_the_search_stops_when_no_open_beam_can_enter() -> None:
    """If the model ends each candidate after one token, the search takes at most two steps."""

    def row(tokens: tuple[int, ...]) -> Floats:
        logits = np.zeros(6, np.float32)
        logits[END] = 15.0 if tokens else -15.0
        return log_softmax(logits)

    model = ToyModel(vocabulary=6, seed=0)
    model.row = row  # type: ignore[method-assign]
    found = alone(beam_search(row(()), width=3, max_tokens=64, end={END}, text=text), model)
    assert [len(h.text) for h in found] == [1, 1, 1]
    assert len(model.steps) <= 2


def test_a_candidate_at_the_token_limit_is_not_finished() -> None:
    logits = np.zeros(3, np.float32)
    logits[END] = -30.0
    row = log_softmax(logits)
    model = ToyModel(vocabulary=3, seed=0)
    model.row = lambda tokens: row  # type: ignore[method-assign]
    found = alone(beam_search(row, width=2, max_tokens=3, end={END}, text=text), model)
    assert [(len(h.text), h.finished) for h in found] == [(3, False), (3, False)]


def test_draws_are_reproducible_and_scored_by_the_models_own_probabilities() -> None:
    def draw(seed: int) -> list[tuple[str, float]]:
        model = ToyModel(vocabulary=5, seed=5)
        search = sample(
            model.row(()), count=8, max_tokens=6, end={END}, text=text, temperature=0.7, seed=seed
        )
        found = alone(search, model)
        for hypothesis in found:
            tokens = tuple(LETTERS.index(letter) for letter in hypothesis.text)
            path = (*tokens, END) if hypothesis.finished else tokens
            total = sum(float(model.row(path[:i])[path[i]]) for i in range(len(path)))
            assert hypothesis.score == pytest.approx(total / len(path), abs=1e-5)
        return [(h.text, h.score) for h in found]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_sampling_follows_the_distribution() -> None:
    row = log_softmax(np.log(np.array([1e-9, 0.7, 0.2, 0.1], np.float32)))
    counts = {"a": 0, "b": 0, "c": 0}
    model = ToyModel(vocabulary=4, seed=0)
    for seed in range(600):
        search = sample(
            row, count=1, max_tokens=1, end={END}, text=text, temperature=1.0, seed=seed
        )
        counts[alone(search, model)[0].text] += 1
    assert counts["a"] / 600 == pytest.approx(0.7, abs=0.07)
    assert counts["b"] / 600 == pytest.approx(0.2, abs=0.06)


@pytest.mark.parametrize("temperature", [1e-4, 1e-50, 1e-300])
def test_a_low_temperature_takes_the_likeliest(temperature: float) -> None:
    model = ToyModel(vocabulary=6, seed=11)
    search = sample(
        model.row(()), count=4, max_tokens=5, end={END}, text=text, temperature=temperature, seed=0
    )
    found = alone(search, model)
    greedy: tuple[int, ...] = ()
    while len(greedy) < 5 and (token := int(np.argmax(model.row(greedy)))) != END:
        greedy += (token,)
    assert [h.text for h in found] == [text(greedy)]


class SeveralPrompts:
    """Toy models whose candidates `run` decodes in one batch."""

    def __init__(self, models: Sequence[ToyModel]) -> None:
        self.candidates = [(model, model.candidates[0]) for model in models]
        self.batches: list[int] = []

    def step(self, parents: Sequence[int], tokens: Sequence[int]) -> Floats:
        self.batches.append(len(tokens))
        extended = []
        for parent, token in zip(parents, tokens, strict=True):
            model, before = self.candidates[parent]
            extended.append((model, (*before, token)))
        self.candidates = extended
        return np.stack([model.row(tokens) for model, tokens in extended])


def test_searches_in_one_batch_find_what_each_finds_alone() -> None:
    """The batch has beam searches and draws of several widths and lengths."""

    def searches(model: ToyModel) -> list[Search]:
        row = model.row(())
        return [
            beam_search(row, width=4, max_tokens=12, end={END}, text=text),
            beam_search(row, width=1, max_tokens=3, end={END}, text=text),
            sample(row, count=5, max_tokens=7, end={END}, text=text, temperature=0.8, seed=3),
            beam_search(row, width=2, max_tokens=1, end={END}, text=text),
        ]

    models = [ToyModel(vocabulary=9, seed=seed) for seed in range(6)]
    count = len(searches(models[0]))
    expected = []
    steps = []
    for model in models:
        for number in range(count):
            fresh = ToyModel(model.vocabulary, model.seed)
            expected.append(alone(searches(fresh)[number], fresh))
            steps.append(fresh.steps)
    together = SeveralPrompts([model for model in models for _ in range(count)])
    found = run([search for model in models for search in searches(model)], together.step)
    assert found == expected
    # one batch per step, without the candidates of searches that have ended
    by_step = itertools.zip_longest(*steps, fillvalue=0)
    assert together.batches == [sum(widths) for widths in by_step]


def test_nothing_is_decoded_without_a_search_or_for_a_single_token() -> None:
    def never(parents: Sequence[int], tokens: Sequence[int]) -> Floats:
        raise AssertionError

    assert run([], never) == []
    row = log_softmax(np.zeros(4, np.float32))
    one = beam_search(row, width=2, max_tokens=1, end={END}, text=text)
    (found,) = run([one], never)
    assert [len(hypothesis.text) for hypothesis in found] == [1, 1]


class TestStopStrings:
    """A stop string ends a candidate like an end token, wherever it begins and ends in tokens."""

    pieces: tuple[str, ...] = (".", "a", "[", "]", "b[", "]c")  # the stop string is `[]`
    stop = "[]"
    max_tokens = 4

    def spelt(self, tokens: Sequence[int]) -> str:
        return "".join(self.pieces[token] for token in tokens)

    def text(self, tokens: Sequence[int]) -> str | None:
        return self.spelt(tokens).partition(self.stop)[0] or None

    def stopped(self, tokens: Sequence[int]) -> bool:
        return self.stop in self.spelt(tokens)

    def search(self, model: ToyModel, width: int, end: set[int]) -> list[tuple[str, float, bool]]:
        search = beam_search(
            model.row(()), width=width, max_tokens=self.max_tokens, end=end,
            text=self.text, stopped=self.stopped,
        )  # fmt: skip
        found = alone(search, model)
        return [(h.text, h.score, h.finished) for h in found]

    def every_continuation(self, model: ToyModel) -> dict[str, tuple[float, bool]]:
        """The best mean log probability of each text, and whether it has ended."""
        found: dict[str, tuple[float, bool]] = {}
        open_: list[tuple[tuple[int, ...], float]] = [((), 0.0)]

        def add(tokens: tuple[int, ...], mean: float, finished: bool) -> None:
            if (text := self.text(tokens)) and mean > found.get(text, (-np.inf, False))[0]:
                found[text] = (mean, finished)

        for length in range(1, self.max_tokens + 1):
            longer = []
            for tokens, total in open_:
                row = model.row(tokens)
                add(tokens, (total + float(row[END])) / length, True)
                for token in range(1, model.vocabulary):
                    extended, sum_ = (*tokens, token), total + float(row[token])
                    if self.stopped(extended):
                        add(extended, sum_ / length, True)
                    elif length == self.max_tokens:
                        add(extended, sum_ / length, False)
                    else:
                        longer.append((extended, sum_))
            open_ = longer
        return found

    @pytest.mark.parametrize("seed", range(20))
    def test_a_beam_as_wide_as_the_tree_finds_the_best_of_all(self, seed: int) -> None:
        model = ToyModel(vocabulary=6, seed=seed)
        every = self.every_continuation(model)
        best = sorted(every.items(), key=lambda entry: -entry[1][0])[:10]
        found = self.search(model, width=700, end={END})[:10]
        for (text, score, finished), (expected, (mean, ended)) in zip(found, best, strict=True):
            assert (text, finished) == (expected, ended)
            assert score == pytest.approx(mean, abs=1e-5)

    def like_transformers(
        self, model: ToyModel, width: int, end: set[int]
    ) -> list[tuple[str, float, bool]]:
        """The same search, in the order of transformers' `GenerationMixin._beam_search`."""
        running: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
        done: dict[str, tuple[float, bool]] = {}
        for length in range(1, self.max_tokens + 1):
            extensions = sorted(
                (
                    ((*tokens, token), total + float(model.row(tokens)[token]))
                    for tokens, total in running
                    for token in range(model.vocabulary)
                ),
                key=lambda entry: -entry[1],
            )[: max(2, 1 + len(end)) * width]
            ended = [tokens[-1] in end or self.stopped(tokens) for tokens, _ in extensions]
            over = [e for e, is_over in zip(extensions[:width], ended, strict=False) if is_over]
            running = [e for e, is_over in zip(extensions, ended, strict=True) if not is_over]
            running = running[:width]
            for tokens, total in over + (running if length == self.max_tokens else []):
                text = self.text(tokens[:-1] if tokens[-1] in end else tokens)
                if text and total / length > done.get(text, (-9e9, False))[0]:
                    done[text] = (total / length, (tokens, total) in over)
            worst = sorted((mean for mean, _ in done.values()), reverse=True)[:width]
            if not running or (len(worst) == width and running[0][1] / length <= worst[-1]):
                break
        ranked = sorted(done.items(), key=lambda entry: -entry[1][0])[:width]
        return [(text, mean, finished) for text, (mean, finished) in ranked]

    @pytest.mark.parametrize("end", [{END}, set()])
    @pytest.mark.parametrize("width", [1, 2, 3, 5])
    @pytest.mark.parametrize("seed", range(20))
    def test_a_narrow_beam_finds_what_transformers_finds(
        self, seed: int, width: int, end: set[int]
    ) -> None:
        model = ToyModel(vocabulary=6, seed=seed)
        found = self.search(model, width, end)
        expected = self.like_transformers(model, width, end)
        assert [(text, finished) for text, _, finished in found] == [
            (text, finished) for text, _, finished in expected
        ]
        np.testing.assert_allclose([s for _, s, _ in found], [s for _, s, _ in expected], atol=1e-5)

    def test_a_stop_string_ends_a_draw(self) -> None:
        model = ToyModel(vocabulary=6, seed=3)
        search = sample(
            model.row(()), count=16, max_tokens=12, end=set(), text=self.text,
            stopped=self.stopped, temperature=1.0, seed=0,
        )  # fmt: skip
        found = alone(search, model)
        finished = [hypothesis for hypothesis in found if hypothesis.finished]
        assert finished
        assert model.steps[-1] < model.steps[0] == 16  # ended draws are not decoded further
