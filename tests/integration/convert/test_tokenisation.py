"""llama.cpp with our file tokenises every text as Hugging Face's tokenizers do.

The engine normalises text, since llama.cpp does not. So the strings for llama.cpp go through the
engine's normalisation, and those for Hugging Face's tokenizers do not.
"""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from llmsuggestd.convert import convert
from llmsuggestd.convert.evaluate import tokenize_all
from llmsuggestd.convert.samples import BUILT_IN
from llmsuggestd.engine.tokenizer import nfc
from llmsuggestd.formats import LLMSTEP
from tests.unit.convert import checkpoints
from tests.unit.convert.checkpoints import (
    added,
    config,
    make_checkpoint,
    neox_tokenizer,
    sentencepiece_json,
    sentencepiece_model,
    split_tokenizer,
)

# The Unicode blocks of Lean's and Mathlib's notation: first and last code point.
BLOCKS = {
    "Basic Latin": (0x20, 0x7E), "Latin-1": (0xA0, 0xFF), "Latin Extended": (0x100, 0x24F),
    "IPA": (0x250, 0x2AF), "Modifiers": (0x2B0, 0x2FF), "Combining": (0x300, 0x36F),
    "Greek": (0x370, 0x3FF), "Cyrillic": (0x400, 0x4FF), "Hebrew": (0x5D0, 0x5EA),
    "Phonetic": (0x1D00, 0x1DBF), "Greek Extended": (0x1F00, 0x1FFF),
    "Punctuation": (0x2000, 0x206F), "Super- and subscripts": (0x2070, 0x209F),
    "Combining for symbols": (0x20D0, 0x20FF), "Letterlike": (0x2100, 0x214F),
    "Number forms": (0x2150, 0x218F), "Arrows": (0x2190, 0x21FF),
    "Operators": (0x2200, 0x22FF), "Technical": (0x2300, 0x23FF), "Enclosed": (0x2460, 0x24FF),
    "Box drawing": (0x2500, 0x257F), "Shapes": (0x25A0, 0x25FF), "Symbols": (0x2600, 0x26FF),
    "Dingbats": (0x2700, 0x27BF), "More brackets": (0x27C0, 0x27EF),
    "More arrows": (0x27F0, 0x27FF), "Arrows B": (0x2900, 0x297F),
    "Brackets B": (0x2980, 0x29FF), "Operators B": (0x2A00, 0x2AFF), "Arrows C": (0x2B00, 0x2BFF),
    "Latin Extended C": (0x2C60, 0x2C7F), "CJK punctuation": (0x3000, 0x303F),
    "Kana": (0x3040, 0x30FF), "CJK": (0x4E00, 0x4FFF), "Latin Extended D": (0xA720, 0xA7FF),
    "Fullwidth": (0xFF00, 0xFFEF), "Mathematical letters": (0x1D400, 0x1D7FF),
    "Emoji": (0x1F300, 0x1F5FF),
}  # fmt: skip
NOTATION = (
    "→↔∀∃∧∨¬⊢≤≥≠∈∉⊆⊂∪∩∅ℕℤℚℝℂαβγδεικλμπστφψωΓΔΣΠΩ⟨⟩⟪⟫⁻¹"
    "²³₀₁₂ₙᵢ×∘•∣∑∏∫∞⊤⊥⊓⊔⋂⋃‖⌊⌋⌈⌉↦⇑↑↥✝∃!⁅⁆𝓝𝕜ᶜᵒᵖ‹›▸·←⊕⊗≃≅≡"
)
VOCABULARY = """theorem lemma example by intro exact apply simp rw cases induction with fun have
show from Nat.add_comm List.map Finset.sum_range_succ Continuous.comp h h₁ hx' ih n.succ x.1 α β
inst✝ Type u_1 Prop ℕ ℝ f g (n + 1) [Group G] {x : α} ⟨a, b⟩ 0 1 42 1_000 3.14 λ ∑ i ∈ range n, --
"""
WORDS = VOCABULARY.split()
LEAN_SOURCE = """/-- Doc comment with `code`, "quotes", it's, we're, I'll, you'd — and ½ + ⅓. -/
@[simp, to_additive (attr := gcongr) "additive"]
theorem foo.bar' {α : Type*} [inst : LinearOrderedField α] (s t : Finset ℕ) ⦃x y : α⦄ (h₁ : x ≤ y)
    (hf : ∀ ε > 0, ∃ δ > 0, ∀ ⦃z⦄, |z - x| < δ → ‖f z - f x‖ < ε) :
    ∑ i ∈ s, x ^ i ≤ ∏ j ∈ t, y⁻¹ := by
  rcases lt_or_ge x 0 with (hx | hx) <;> simp_all [← mul_assoc, Nat.succ_le_iff, (· + ·)]
  · calc _ = (x + 1) ^ 2 - 2 * x := by ring
      _ ≤ y := by nlinarith [sq_nonneg (x - y), mul_pos ‹0 < x› hy.2.1]
\t\t-- tabs\r\n  refine' ⟨_, fun _ _ => ?_, le_rfl.trans_lt (by omega : (3 : ℤ) < 5)⟩   
        induction' n using Nat.strong_induction_on with n ih generalizing m «weird name»
#eval s!"{1 + 1} \\n" -- end
"""  # noqa: W291
SPECIAL = (
    "<|endoftext|>",
    "<|padding|>",
    "[PAD]",
    "«x»",
    "««x»»",
    "<|endoftext",
    "|>",
    "[GOAL]",
    "[PROOFSTEP]",
)
COMBINING = ("e\u0301", "A\u030a", "\u1100\u1161\u11a8", "\u212b", "\u2126", "\u03b1\u0301",
             "n\u0303", "q\u0307\u0323", "\u0344", "\u2adc", "\u1e9b\u0323", "\ufb01",
             "\u0958", "\U0001d15e")  # fmt: skip


def one_character(chooser: random.Random) -> str:
    """A character of a random block, assigned or not."""
    first, last = chooser.choice(list(BLOCKS.values()))
    return chr(chooser.randint(first, last))


def any_character(chooser: random.Random) -> str:
    """Any code point except surrogates and NUL."""
    while True:
        code = chooser.choice((chooser.randint(1, 0x2FF), chooser.randint(1, 0x10FFFF)))
        if not 0xD800 <= code <= 0xDFFF:
            return chr(code)


def strings() -> Iterator[str]:
    """About 13,000 strings, the same in each run."""
    chooser = random.Random(2024)
    yield ""
    yield from SPECIAL
    yield from COMBINING
    yield LEAN_SOURCE
    yield from LEAN_SOURCE.split("\n")
    yield from (sample.goal for sample in BUILT_IN)
    yield from (sample.tactic for sample in BUILT_IN)
    for first, last in BLOCKS.values():
        yield "".join(map(chr, range(first, last + 1)))
        for start in range(first, last + 1, 16):
            yield " ".join(map(chr, range(start, min(start + 16, last + 1))))
    for width in range(1, 120):  # indents: the vocabulary has tokens for 2 to 24 spaces
        yield " " * width
        yield " " * width + "x"
        yield "a\n" + " " * width + "· simp\n" + "\t" * (width % 9)
        yield "\n" * (width % 7) + " \t" * (width % 5) + "\u00a0" * (width % 3) + "y"
    for _ in range(3000):
        words = chooser.choices(WORDS, k=chooser.randint(1, 25))
        yield chooser.choice((" ", "  ", "\n", "")).join(words)
    for _ in range(2000):
        yield "".join(chooser.choices(NOTATION + " ()[]{}:=.,'_", k=chooser.randint(1, 40)))
    for _ in range(2500):
        yield "".join(one_character(chooser) for _ in range(chooser.randint(1, 30)))
    for _ in range(2000):
        yield "".join(any_character(chooser) for _ in range(chooser.randint(1, 20)))
    for _ in range(1000):  # text that is not in NFC
        parts = [chooser.choice((*COMBINING, " ", "x", "→", "h₁")) for _ in range(12)]
        parts += [unicodedata.normalize("NFD", "éàçñ ἄλφα ǖ ệ")]
        chooser.shuffle(parts)
        yield "".join(parts)
    for _ in range(800):
        parts = chooser.choices((*SPECIAL, " ", "  ", "\n", "x", "⊢ p", "|", "<"), k=8)
        yield "".join(parts)
    for _ in range(700):
        yield "".join(
            chooser.choices("aAsSdDtTmMlLvVeErR'’ 0123456789½²٣", k=chooser.randint(1, 25))
        )


def tiny(rows: int) -> dict[str, Any]:
    """The configuration of a model that only holds a tokenizer."""
    return config(
        vocab_size=rows, hidden_size=8, num_attention_heads=1, num_hidden_layers=1,
        intermediate_size=8, rotary_pct=1.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def neox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with the real GPT-NeoX tokenizer, [PAD] and padding rows, and two channels."""
    folder = tmp_path_factory.mktemp("neox")
    data = neox_tokenizer()
    data["added_tokens"] += [added("[PAD]", 50277), added("«x»", 50278, special=False)]
    make_checkpoint(folder, tiny(50304), tokenizer=data)
    convert(folder, folder / "m.gguf", "F16")
    return folder


def different(folder: Path, texts: list[str], *, normalise: bool = True) -> list[str]:
    """The texts that llama.cpp and `tokenizers` tokenise differently.

    With `normalise`, llama.cpp gets them in NFC, as from the engine.
    """
    reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
    reference.encode_special_tokens = True  # a user's text is never a special token
    prompts = [LLMSTEP.text(text) for text in texts]
    expected = reference.encode_batch(prompts, add_special_tokens=False)
    found = tokenize_all(
        folder / "m.gguf", [nfc(prompt) if normalise else prompt for prompt in prompts]
    )
    return [
        text
        for text, ours, theirs in zip(texts, found, expected, strict=True)
        if ours != theirs.ids
    ]


def test_the_gpt_neox_tokenizer_on_more_than_ten_thousand_strings(neox: Path) -> None:
    texts = list(strings())
    assert len(set(texts)) > 10_000
    assert different(neox, texts) == []


@pytest.mark.parametrize("pre", ["llama-bpe", "qwen2", "deepseek-coder"])
def test_other_ways_to_split_on_more_than_ten_thousand_strings(tmp_path: Path, pre: str) -> None:
    data = neox_tokenizer()
    del data["added_tokens"][2:]  # GPT-NeoX's tokens for indents, which the others lack
    make_checkpoint(tmp_path, tiny(50254), tokenizer=split_tokenizer(pre, data))
    convert(tmp_path, tmp_path / "m.gguf", "F16")
    found = different(tmp_path, list(strings()), normalise=pre == "qwen2")
    if pre == "deepseek-coder":
        # One of its expressions is a range that contains Unicode's odd spaces. llama.cpp replaces
        # these before it compares. With the merges of DeepSeek-Coder itself that has no effect.
        found = [text for text in found if not re.search(r"[\u2000-\u200a\u2028-\u202f]", text)]
    assert found == []


def test_sentencepiece_on_more_than_ten_thousand_strings(tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    model = sentencepiece_model([*LEAN_SOURCE.split("\n"), *WORDS], vocab_size=600)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    texts = list(strings())
    settings = tiny(processor.vocab_size()) | {"bos_token_id": 1, "eos_token_id": 2}
    make_checkpoint(tmp_path, settings, tokenizer=sentencepiece_json(model))
    # from a tokenizer.json, a tokenizer.model beside it, and that alone
    assert _with_sentencepiece(tmp_path, texts) == []
    (tmp_path / "tokenizer.model").write_bytes(model)
    assert _with_sentencepiece(tmp_path, texts[::9]) == []
    (tmp_path / "tokenizer.json").unlink()
    convert(tmp_path, tmp_path / "m.gguf", "F16")
    assert tokenize_all(tmp_path / "m.gguf", texts[::9]) == processor.encode(texts[::9])


def _with_sentencepiece(folder: Path, texts: list[str]) -> list[str]:
    convert(folder, folder / "m.gguf", "F16")
    return different(folder, texts, normalise=False)


def test_a_small_byte_level_tokenizer_on_the_same_strings(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    convert(tmp_path, tmp_path / "m.gguf", "F16")
    assert different(tmp_path, list(strings())[::4]) == []


def test_without_normalisation_the_strings_would_differ(neox: Path) -> None:
    # Otherwise, the test above would not show that texts are normalised.
    texts = [text for text in strings() if unicodedata.normalize("NFC", text) != text]
    assert len(texts) > 1000
    reference = Tokenizer.from_file(str(neox / "tokenizer.json"))
    reference.encode_special_tokens = True
    raw = tokenize_all(neox / "m.gguf", texts)
    assert (
        sum(
            ours != reference.encode(text, add_special_tokens=False).ids
            for ours, text in zip(raw, texts, strict=True)
        )
        > len(texts) // 2
    )


def test_added_tokens_that_are_not_special_are_read(neox: Path) -> None:
    [tokens] = tokenize_all(neox / "m.gguf", ["a «x» b"])
    assert 50278 in tokens


@pytest.mark.parametrize("text", ["<|endoftext|>", "a<|padding|>b", "[PAD]"])
def test_special_tokens_in_a_goal_are_plain_text(neox: Path, text: str) -> None:
    [tokens] = tokenize_all(neox / "m.gguf", [text])
    assert not {0, 1, 50277} & set(tokens)
    vocab = {
        v: k for k, v in json.loads((neox / "tokenizer.json").read_text())["model"]["vocab"].items()
    }
    assert "".join(vocab[token] for token in tokens) == text


def test_the_tests_bytes_are_gpt2s() -> None:
    letters = checkpoints.byte_letters()
    assert len(set(letters)) == 256
    assert (letters[0x20], letters[0x0A], letters[0x41], letters[0xAD]) == ("Ġ", "Ċ", "A", "Ń")
