"""Formats in real engines: the tokens of their prompts, stop strings, prefixes, reused cells."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tokenizers import Tokenizer

from llmsuggestd.engine import protocol
from llmsuggestd.engine.engine import Engine
from llmsuggestd.engine.llama_log import LlamaError
from llmsuggestd.engine.prompt import Prompter, Question
from llmsuggestd.formats import CHAT, FORMATS, LLMSTEP, Format
from tests.support.engine_requests import request
from tests.support.gguf_models import reference_tokenizer, write_model
from tests.unit.convert.checkpoints import neox_tokenizer

MARKS = ("[GOAL]", "[PROOFSTEP]", ":::", "[STATE]", "[/STATE]", "[TAC]", "[/TAC]", "[CTX]", "DECL ",
         "<|im_start|>", "<|im_end|>", "<|endoftext|>", "{state}", "```", "---\n", "STATE_BEFORE: ",
         "Assistant:", "\nTACTIC: ")  # fmt: skip
WORDS = ("⊢", "h₁", ":", "ℕ", "→", "∀", "x", "Nat.succ", "n + 1", "  ", "\n", "α", "'s", "'S",
         "1234", "e\u0301", "∣", "⟨a, b⟩", "\n\n", "\t", "List.map", "’")  # fmt: skip


def texts(count: int) -> Iterator[str]:
    """Random texts that resemble tactic states, the same ones in each run."""
    chooser = random.Random(18)
    for _ in range(count):
        pieces = chooser.choices((*WORDS, *WORDS, " ", " ", *MARKS), k=chooser.randint(1, 30))
        yield "".join(pieces) + "\n⊢ p"


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def real_vocabulary(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Engine, Tokenizer]:
    """An engine with real merges and a model's rule to split text, and Hugging Face's tokenizer."""
    data = neox_tokenizer()
    del data["added_tokens"][1:]
    specials = CHAT.special
    path = tmp_path_factory.mktemp(request.param) / "m.gguf"
    pre = {"llama": "llama-bpe"}.get(request.param, request.param)
    write_model(path, request.param, data=data, specials=specials, bos=request.param == "llama")
    return loaded(path, LLMSTEP, 512), reference_tokenizer(pre, specials, data)


def prompter(engine: Engine, prompt_format: Format) -> Prompter:
    """The prompter of an engine for another format than the one that it was loaded with."""
    engine._format = prompt_format
    return engine._make_prompter()


def loaded(path: Path, prompt_format: Format, context: int = 2048) -> Engine:
    return Engine(protocol.Load(str(path), "off", 1, context, ("plain",), format=prompt_format))


def expected_tokens(
    tokenizer: Tokenizer, prompt_format: Format, question: Question, begin: list[int]
) -> list[int]:
    """The prompt by Hugging Face's tokenizer. Only the template's special tokens are special."""
    state, prefix, context, name = question
    blank = prompt_format.text("\0", "\1", context="\2", name="\3")
    values = {"\0": state, "\1": prefix, "\2": context, "\3": name}
    pieces = [blank]
    for mark in prompt_format.special:
        pieces = [part for piece in pieces for part in split_at(piece, mark)]
    tokens = list(begin)
    tokenizer.encode_special_tokens = True
    for piece in pieces:
        if piece in prompt_format.special:
            number = tokenizer.token_to_id(piece)
            assert number is not None
            tokens.append(number)
            continue
        for blank, value in values.items():
            piece = piece.replace(blank, value)
        tokens += tokenizer.encode(piece, add_special_tokens=False).ids
    return tokens


def split_at(text: str, mark: str) -> list[str]:
    pieces = [piece for part in text.split(mark) for piece in (part, mark)][:-1]
    return [piece for piece in pieces if piece]


@pytest.mark.parametrize("name", FORMATS)
def test_prompts_have_the_tokens_of_hugging_faces_tokenizer(
    name: str, real_vocabulary: tuple[Engine, Tokenizer]
) -> None:
    """Some of the 1,000 states contain marks of templates as plain text."""
    engine, tokenizer = real_vocabulary
    prompt_format = FORMATS[name]
    made = prompter(engine, prompt_format)
    is_llama = engine.llama.description.startswith("llama")
    begin = [0] if prompt_format.bos is None and is_llama else []
    chooser = random.Random(19)
    for text in texts(1000):
        cut = chooser.randrange(len(text))
        question = Question(text, text[:cut][-9:], text[cut:], "Nat.add_comm")
        found = made.tokens(question)
        assert found == expected_tokens(tokenizer, prompt_format, question, begin), question


def test_special_tokens_are_those_that_the_tokenizer_finds(
    real_vocabulary: tuple[Engine, Tokenizer],
) -> None:
    """The goal contains no marks, so Hugging Face's tokenizer finds those of the template."""
    engine, tokenizer = real_vocabulary
    made = prompter(engine, msgspec.structs.replace(CHAT, bos=False))
    tokenizer.encode_special_tokens = False
    state = "p q : Prop\nh : p ∧ q\n⊢ q ∧ p"
    expected = tokenizer.encode(CHAT.text(state, "exact"), add_special_tokens=False).ids
    assert made.tokens(Question(state, "exact")) == expected


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("small") / "m.gguf")


def test_a_special_token_that_the_vocabulary_lacks_is_named(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf", specials=("<|im_start|>",))
    with pytest.raises(LlamaError, match=r"no token '<\|im_end\|>', which the format chat needs"):
        loaded(path, CHAT)


@dataclass
class Answer:
    """A result for one goal."""

    suggestions: list[protocol.Suggestion]
    truncated: bool
    prompt_tokens: int
    reused_tokens: int


def ask(engine: Engine, goal: str = "⊢ p", **fields: Any) -> Answer:
    result = engine.suggest(request(goal, **({"n": 5, "max_tokens": 12} | fields)))
    (found,) = result.found
    return Answer(found.suggestions, found.truncated, result.prompt_tokens, result.reused_tokens)


@pytest.mark.parametrize("mode", ["beam", "sample"])
@pytest.mark.parametrize("prefix", ["", "exa"])
def test_stop_strings_end_suggestions(small: Path, mode: str, prefix: str) -> None:
    plain = loaded(small, Format(name="plain", template="{state}:::"))
    every = [s.text for s in ask(plain, prefix=prefix, mode=mode, seed=1).suggestions]
    assert every
    # two tokens that some of the suggestions have after the prefix
    stop = every[0][len(prefix) + 3 : len(prefix) + 5]
    assert len(stop) == 2
    engine = loaded(small, Format(name="stops", template="{state}:::", stop=(stop,)))
    found = ask(engine, prefix=prefix, mode=mode, seed=1).suggestions
    assert not any(stop in suggestion.text[len(prefix) :] for suggestion in found)
    assert all(suggestion.text.startswith(prefix) for suggestion in found)
    ended = [suggestion for suggestion in found if suggestion.finished]
    assert any(every[0].startswith(suggestion.text) for suggestion in ended)


def test_a_prefix_after_a_space_of_the_template_is_healed(small: Path) -> None:
    """The template ends with a space, and ` e` is one token, so the space is healed, too."""
    prompt_format = Format(name="space", template="{state}\nTACTIC: ")
    engine = loaded(small, prompt_format)
    tokens = engine.llama.tokenize("⊢ p\nTACTIC: e")
    assert engine.llama.pieces[tokens[-1]] == b" e"
    for prefix in ("", "e", "exact hp"):
        found = ask(engine, prefix=prefix)
        assert found.suggestions
        assert all(s.text.startswith(prefix) for s in found.suggestions)
        assert not any(s.text.startswith(" ") for s in found.suggestions)
    # the space is not part of the prompt, but of the first token after it
    assert ask(engine).prompt_tokens == len(engine.llama.tokenize("⊢ p\nTACTIC:"))


def test_a_score_is_the_mean_over_a_suggestions_tokens_and_its_stop_string(small: Path) -> None:
    template = "<|im_start|>{state}:::"
    special = ("<|im_start|>",)
    plain = loaded(small, Format(name="plain", template=template, special=special))
    stop = ask(plain).suggestions[0].text[3:5]
    engine = loaded(small, Format(name="s", template=template, special=special, stop=(stop,)))
    best = max((s for s in ask(engine).suggestions if s.finished), key=lambda s: s.score)
    tokens = engine._prompter.tokens(Question("⊢ p"))
    spelt = engine.llama.tokenize(best.text + stop)
    row = engine.llama.start([tokens])[0]
    total = 0.0
    for token in spelt:
        total += float(row[token])
        row = engine.llama.step([0], [token])[0]
    assert best.score == pytest.approx(total / len(spelt), abs=2e-3)


def test_consecutive_calls_reuse_the_cells_of_the_file(small: Path) -> None:
    engine = loaded(small, FORMATS["ntp-mathlib-context"], 2048)
    file = "".join(f"theorem t{n} : {n} + 0 = {n} := by simp\n" for n in range(400))
    calls = [
        (file, "n : Nat\n⊢ n + 0 = n"),
        (file + "theorem last (n : Nat) : n + 0 = n := by\n  ", "n : Nat\nh : n = n\n⊢ n + 0 = n"),
        (file + "theorem last (n : Nat) : n + 0 = n := by\n  have h : n = n := rfl\n  ", "⊢ p"),
    ]
    results = [ask(engine, goal, context=context, max_tokens=16) for context, goal in calls]
    prompt_format = FORMATS["ntp-mathlib-context"]
    header = len(
        engine.llama.tokenize(prompt_format.text("").partition("[CTX]\n\n")[0] + "[CTX]\n")
    )
    for (_, goal), before, result in zip(calls, results, results[1:], strict=False):
        shown = before.prompt_tokens - ask(engine, goal, max_tokens=16).prompt_tokens
        assert shown > 600
        assert result.reused_tokens - header >= 0.9 * shown
        assert not result.truncated


def test_llmsteps_format_ignores_the_file(small: Path) -> None:
    engine = loaded(small, LLMSTEP)
    assert ask(engine, context="x" * 1000).prompt_tokens == ask(engine).prompt_tokens


def test_text_is_normalised_if_the_models_tokenizer_does_that(tmp_path: Path) -> None:
    composed, apart = Question("⊢ \u00e9"), Question("⊢ e\u0301")
    for architecture, same in (("qwen2", True), ("llama", False)):
        path = write_model(tmp_path / f"{architecture}.gguf", architecture)
        made = loaded(path, FORMATS["bfs-prover"])._prompter
        assert (made.tokens(composed) == made.tokens(apart)) is same
