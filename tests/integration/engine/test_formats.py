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
from tests.support.gguf_models import reference_tokenizer, write_model
from tests.unit.convert.checkpoints import neox_tokenizer

MARKS = ("[GOAL]", "[PROOFSTEP]", ":::", "[STATE]", "[/STATE]", "[TAC]", "[/TAC]", "[CTX]", "DECL ",
         "<|im_start|>", "<|im_end|>", "<|endoftext|>", "{state}", "```", "---\n", "STATE_BEFORE: ",
         "Assistant:", "\nTACTIC: ")  # fmt: skip
WORDS = ("⊢", "h₁", ":", "ℕ", "→", "∀", "x", "Nat.succ", "n + 1", "  ", "\n", "α", "'s", "'S",
         "1234", "e\u0301", "∣", "⟨a, b⟩", "\n\n", "\t", "List.map", "’")  # fmt: skip


def texts(count: int) -> Iterator[str]:
    """Tactic states and what looks like them, the same ones each time."""
    chooser = random.Random(18)
    for _ in range(count):
        pieces = chooser.choices((*WORDS, *WORDS, " ", " ", *MARKS), k=chooser.randint(1, 30))
        yield "".join(pieces) + "\n⊢ p"


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def real_vocabulary(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Engine, Tokenizer]:
    """A model with GPT-NeoX's merges that splits text as its kind does, and Hugging Face's."""
    data = neox_tokenizer()
    del data["added_tokens"][1:]
    specials = CHAT.special
    path = tmp_path_factory.mktemp(request.param) / "m.gguf"
    pre = {"llama": "llama-bpe"}.get(request.param, request.param)
    write_model(path, request.param, data=data, specials=specials, bos=request.param == "llama")
    return loaded(path, LLMSTEP, 512), reference_tokenizer(pre, specials, data)


def prompter(engine: Engine, asked: Format) -> Prompter:
    """A maker of prompts in a format for a model that is loaded in another."""
    engine._format = asked
    return engine._make_prompter()


def loaded(path: Path, asked: Format, context: int = 2048) -> Engine:
    return Engine(protocol.Load(str(path), "off", 1, context, ("plain",), format=asked))


def expected_tokens(
    tokenizer: Tokenizer, asked: Format, question: Question, begin: list[int]
) -> list[int]:
    """The prompt by Hugging Face's tokenizer, in pieces at the template's special tokens only."""
    state, prefix, context, name = question
    blank = asked.text("\0", "\1", context="\2", name="\3")
    values = {"\0": state, "\1": prefix, "\2": context, "\3": name}
    pieces = [blank]
    for mark in asked.special:
        pieces = [part for piece in pieces for part in split_at(piece, mark)]
    tokens = list(begin)
    tokenizer.encode_special_tokens = True
    for piece in pieces:
        if piece in asked.special:
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
    """Of 1,000 states; the marks of templates are in what users write, too."""
    engine, tokenizer = real_vocabulary
    asked = FORMATS[name]
    made = prompter(engine, asked)
    is_llama = engine.llama.description.startswith("llama")
    begin = [0] if asked.bos is None and is_llama else []
    chooser = random.Random(19)
    for text in texts(1000):
        cut = chooser.randrange(len(text))
        question = Question(text, text[:cut][-9:], text[cut:], "Nat.add_comm")
        found = made.tokens(question)
        assert found == expected_tokens(tokenizer, asked, question, begin), question


def test_special_tokens_are_those_that_the_tokenizer_finds(
    real_vocabulary: tuple[Engine, Tokenizer],
) -> None:
    """In a prompt whose users wrote no marks, Hugging Face's tokenizer finds them by itself."""
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
    values: dict[str, Any] = {
        "id": 1, "prefix": "", "n": 5, "max_tokens": 12, "mode": "beam", "temperature": 0.5,
        "seed": None,
    } | fields  # fmt: skip
    result = engine.suggest(protocol.Suggest(goals=[goal], **values))
    (found,) = result.found
    return Answer(found.suggestions, found.truncated, result.prompt_tokens, result.reused_tokens)


@pytest.mark.parametrize("mode", ["beam", "sample"])
@pytest.mark.parametrize("prefix", ["", "exa"])
def test_stop_strings_end_suggestions(small: Path, mode: str, prefix: str) -> None:
    plain = loaded(small, Format(name="plain", template="{state}:::"))
    every = [s.text for s in ask(plain, prefix=prefix, mode=mode, seed=1).suggestions]
    assert every
    # a text of two tokens that some of them have behind the prefix
    stop = every[0][len(prefix) + 3 : len(prefix) + 5]
    assert len(stop) == 2
    engine = loaded(small, Format(name="stops", template="{state}:::", stop=(stop,)))
    found = ask(engine, prefix=prefix, mode=mode, seed=1).suggestions
    assert not any(stop in suggestion.text[len(prefix) :] for suggestion in found)
    assert all(suggestion.text.startswith(prefix) for suggestion in found)
    ended = [suggestion for suggestion in found if suggestion.finished]
    assert any(every[0].startswith(suggestion.text) for suggestion in ended)


def test_a_prefix_behind_a_space_of_the_template_is_healed(small: Path) -> None:
    """` e` is one token, ` ` and `e` are two; with the space as a token of its own, none."""
    asked = Format(name="space", template="{state}\nTACTIC: ")
    engine = loaded(small, asked)
    tokens = engine.llama.tokenize("⊢ p\nTACTIC: e")
    assert engine.llama.pieces[tokens[-1]] == b" e"
    for prefix in ("", "e", "exact hp"):
        found = ask(engine, prefix=prefix)
        assert found.suggestions
        assert all(s.text.startswith(prefix) for s in found.suggestions)
        assert not any(s.text.startswith(" ") for s in found.suggestions)
    # the space is decoded together with what follows it
    assert ask(engine).prompt_tokens == len(engine.llama.tokenize("⊢ p\nTACTIC:"))


def test_scores_are_those_of_the_tokens_behind_the_prefix(small: Path) -> None:
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


def test_the_file_above_stays_in_memory_between_two_calls(small: Path) -> None:
    engine = loaded(small, FORMATS["ntp-mathlib-context"], 2048)
    file = "".join(f"theorem t{n} : {n} + 0 = {n} := by simp\n" for n in range(400))
    calls = [
        (file, "n : Nat\n⊢ n + 0 = n"),
        (file + "theorem last (n : Nat) : n + 0 = n := by\n  ", "n : Nat\nh : n = n\n⊢ n + 0 = n"),
        (file + "theorem last (n : Nat) : n + 0 = n := by\n  have h : n = n := rfl\n  ", "⊢ p"),
    ]
    results = [ask(engine, goal, context=context, max_tokens=16) for context, goal in calls]
    asked = FORMATS["ntp-mathlib-context"]
    header = len(engine.llama.tokenize(asked.text("").partition("[CTX]\n\n")[0] + "[CTX]\n"))
    for (_, goal), before, result in zip(calls, results, results[1:], strict=False):
        shown = before.prompt_tokens - ask(engine, goal, max_tokens=16).prompt_tokens
        assert shown > 600
        assert result.reused_tokens - header >= 0.9 * shown
        assert not result.truncated


def test_a_model_in_llmsteps_format_does_not_look_at_the_file(small: Path) -> None:
    engine = loaded(small, LLMSTEP)
    assert ask(engine, context="x" * 1000).prompt_tokens == ask(engine).prompt_tokens


def test_text_is_normalised_where_the_tokenizer_does(tmp_path: Path) -> None:
    composed, apart = Question("⊢ \u00e9"), Question("⊢ e\u0301")
    for architecture, same in (("qwen2", True), ("llama", False)):
        path = write_model(tmp_path / f"{architecture}.gguf", architecture)
        made = loaded(path, FORMATS["bfs-prover"])._prompter
        assert (made.tokens(composed) == made.tokens(apart)) is same
