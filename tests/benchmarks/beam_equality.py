"""Compares our beam search with that of transformers, on the starter model.

    python -m tests.benchmarks.beam_equality [--goals 200] [--json FILE]

needs `pip install -e '.[train]'`. The reference is `generate(num_beams=5, num_return_sequences=5,
max_new_tokens=50)` in float32. Ours runs the same checkpoint, converted to F16 and to F32. The
checkpoint's weights are float16, so both are exact, but llama.cpp computes with them differently.
The table has the share of held-out goals for which the best suggestion is the same, the share for
which all five are the same in the same order, and the largest difference of scores. Each goal that
differs is listed with a reason: our search runs again, with the probabilities of transformers.
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers

from llmsuggestd.convert import convert
from llmsuggestd.engine import protocol
from llmsuggestd.engine.engine import Engine
from llmsuggestd.engine.prompt import suggestion_text
from llmsuggestd.engine.search import Floats, beam_search, run
from llmsuggestd.formats import LLMSTEP

STARTER = Path(__file__).parents[2] / "convert" / "starter"
WIDTH, MAX_TOKENS = 5, 50

Ranked = list[tuple[str, float]]


@functools.cache
def load() -> tuple[Any, Any]:
    """The starter's tokenizer and model, in float32."""
    checkpoint = STARTER / "checkpoint"
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    return transformers.AutoTokenizer.from_pretrained(checkpoint), model


def reference(goals: list[str]) -> list[Ranked]:
    """The suggestions of transformers, with the mean log probabilities by which it ranks them."""
    tokenizer, model = load()
    found = []
    for goal in goals:
        prompt = tokenizer(LLMSTEP.text(goal), return_tensors="pt")
        with torch.inference_mode():
            output = model.generate(
                **prompt,
                num_beams=WIDTH,
                num_return_sequences=WIDTH,
                max_new_tokens=MAX_TOKENS,
                do_sample=False,
                pad_token_id=0,
                output_scores=True,
                return_dict_in_generate=True,
            )
        texts = tokenizer.batch_decode(
            output.sequences[:, prompt["input_ids"].shape[1] :], skip_special_tokens=True
        )
        found.append(list(zip(texts, output.sequences_scores.tolist(), strict=True)))
    return found


def widen(source: Path, target: Path) -> None:
    """Copy a GGUF file, with float32 instead of float16 tensors."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            element = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(name, field.contents(), field.types[0], sub_type=element)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, np.asarray(tensor.data, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def ours(goals: list[str], kind: str) -> list[Ranked]:
    """The engine's suggestions with the same weights, stored as F16 or F32."""
    with tempfile.TemporaryDirectory() as directory:
        model = Path(directory) / "f16.gguf"
        convert(STARTER / "checkpoint", model, quant="F16")
        if kind == "F32":
            widen(model, model := Path(directory) / "f32.gguf")
        engine = Engine(protocol.Load(str(model), "off", 0, 2048, ("plain",)))
        found = []
        for index, goal in enumerate(goals):
            engine.llama.forget()  # llama.cpp rounds differently if it reuses a part of a prompt
            request = protocol.Suggest(index, [goal], "", WIDTH, MAX_TOKENS, "beam", 0.5, None)
            found.append([(s.text, s.score) for s in engine.suggest(request).found[0].suggestions])
    return found


def on_their_numbers(goal: str) -> Ranked:
    """The suggestions of our search with the probabilities of transformers."""
    tokenizer, model = load()
    prompt = tokenizer(LLMSTEP.text(goal))["input_ids"]
    candidates: list[list[int]] = [[]]

    def rows() -> Floats:
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + tokens for tokens in candidates])).logits[:, -1]
        row: Floats = torch.log_softmax(logits, -1).numpy()
        return row

    def step(parents: Sequence[int], tokens: Sequence[int]) -> Floats:
        candidates[:] = [
            [*candidates[parent], token] for parent, token in zip(parents, tokens, strict=True)
        ]
        return rows()

    search = beam_search(
        rows()[0],
        width=WIDTH,
        max_tokens=MAX_TOKENS,
        end=[model.config.eos_token_id],
        text=lambda tokens: suggestion_text("", tokenizer.decode(tokens).encode()),
    )
    (found,) = run([search], step)
    return [(one.text, one.score) for one in found]


def why(goal: str, theirs: Ranked) -> str:
    """The reason why our answer differs from that of transformers."""
    cleaned = [" ".join(text.split()) for text, _ in theirs]
    if len(set(cleaned)) < len(cleaned):
        return "transformers repeats a text"
    if same(theirs, on_their_numbers(goal)):
        return "rounding: on the probabilities of transformers our search finds what it finds"
    return "unexplained"


def same(one: Ranked, other: Ranked) -> bool:
    """Whether two rankings have the same texts in the same order."""
    return [text.strip() for text, _ in one] == [text.strip() for text, _ in other]


def compare(goals: list[str], found: list[Ranked], kind: str) -> dict[str, Any]:
    """The figures of the table, and the goals whose suggestions differ."""
    pairs = list(zip(goals, found, ours(goals, kind), strict=True))
    same_top = same_all = 0
    largest = 0.0
    misses = []
    for goal, theirs, own in pairs:
        top = theirs[0][0].strip() == own[0][0].strip()
        everything = same(theirs, own)
        same_top += top
        same_all += everything
        if everything:
            differences = [abs(a - b) for (_, a), (_, b) in zip(theirs, own, strict=True)]
            largest = max(largest, *differences)
        else:
            misses.append({"goal": goal, "theirs": theirs, "ours": own, "why": why(goal, theirs)})
    return {
        "goals": len(goals),
        "same_top": same_top / len(goals),
        "same_five": same_all / len(goals),
        "largest_score_difference": largest,
        "misses": misses,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--goals", type=int, default=200)
    parser.add_argument("--json", type=Path, help="write everything there")
    options = parser.parse_args()
    lines = (STARTER / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
    goals = [json.loads(line)["goal"] for line in lines[: options.goals]]
    found = reference(goals)
    figures = {kind: compare(goals, found, kind) for kind in ("F16", "F32")}
    for kind, one in figures.items():
        print(f"{kind}, goals                  {one['goals']}")
        print(f"same best suggestion        {one['same_top']:.1%}")
        print(f"same five in the same order {one['same_five']:.1%}")
        print(f"largest score difference    {one['largest_score_difference']:.1e}")
        for miss in one["misses"]:
            print(f"differs: {miss['goal']!r}: {miss['why']}")
    if options.json:
        options.json.write_text(json.dumps(figures, ensure_ascii=False, indent=2))


if __name__ == "__main__":
    main()
