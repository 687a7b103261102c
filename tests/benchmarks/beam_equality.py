"""Compares our beam search with that of transformers, on five models.

    python -m tests.benchmarks.beam_equality [--models starter llama wide-llama] [--goals 200]

needs `pip install -e '.[train,test]'`. The models are the starter, a small Llama and Qwen2, and two
layers of a Llama and of a Qwen2 as wide as a 1.3B. All but the first are trained here, for a minute
or, the wide ones, ten minutes. Their format has stop strings. The reference is
`generate(num_beams=5, num_return_sequences=5, max_new_tokens=50)` in float32. Ours runs the same
checkpoint, converted to F16 and to F32. The weights are float16, so both are exact, but llama.cpp
computes with them differently. The table has the share of held-out goals for which the best
suggestion is the same, the share for which all five are the same in the same order, and the largest
difference of scores. Each goal that differs is listed with a reason: our search runs again, with
the probabilities of transformers.
"""

from __future__ import annotations

import argparse
import functools
import json
import lzma
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import gguf
import numpy as np
import torch
import transformers

from llmsuggestd.convert import convert
from llmsuggestd.engine import protocol
from llmsuggestd.engine.engine import Engine
from llmsuggestd.engine.prompt import Reader
from llmsuggestd.engine.search import Floats, beam_search, run
from llmsuggestd.formats import LLMSTEP, Format
from tests.benchmarks.shapes import SHAPES
from tests.unit.convert import checkpoints

STARTER = Path(__file__).parents[2] / "convert" / "starter"
WIDTH, MAX_TOKENS = 5, 50

Ranked = list[tuple[str, float]]


class Subject(NamedTuple):
    """A model on which both searches run."""

    checkpoint: Path
    prompt_format: Format


def starter(_: Path) -> Subject:
    """The shipped model."""
    return Subject(STARTER / "checkpoint", LLMSTEP)


def llama(folder: Path) -> Subject:
    """A small Llama with positions scaled as Llama 3.1's, asked about the first goal."""
    scaling = {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }  # fmt: skip
    settings = checkpoints.config(checkpoints.LLAMA_CONFIG, rope_scaling=scaling, rope_theta=5000.0)
    return _trained(folder, settings, "first")


def qwen2(folder: Path) -> Subject:
    """A small Qwen2 with tied embeddings, asked about all goals."""
    settings = checkpoints.config(checkpoints.QWEN2_CONFIG, tie_word_embeddings=True)
    return _trained(folder, settings, "all")


def wide_llama(folder: Path) -> Subject:
    """Two layers of a Llama as wide as DeepSeek-Coder 1.3B."""
    return _trained(folder, SHAPES["1.3B"] | {"num_hidden_layers": 2}, "first", 100, 5e-4)


def wide_qwen2(folder: Path) -> Subject:
    """Two layers of a Qwen2 of that width, with 16 query heads and four key-value heads."""
    sizes = {"num_hidden_layers": 2, "hidden_size": 2048, "num_attention_heads": 16}
    settings = SHAPES["7B"] | sizes | {"intermediate_size": 5504}
    return _trained(folder, settings, "all", 100, 5e-4)


def _trained(
    folder: Path,
    settings: dict[str, Any],
    goals: Literal["first", "all"],
    steps: int = 250,
    rate: float = 2e-3,
) -> Subject:
    """A model that a little training has taught the form of tactics.

    With random weights alone, many candidates are as likely as others, up to float16's rounding.
    """
    prompt_format = Format(name="small", template="{state}\n[TAC]", stop=STOPS, goals=goals)
    tokenizer = json.loads((STARTER / "checkpoint" / "tokenizer.json").read_text(encoding="utf-8"))
    settings |= {"vocab_size": 2432, "max_position_embeddings": 2048}
    checkpoints.make_checkpoint(folder, settings, tokenizer=tokenizer)
    encode, model = load(folder)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    pairs = list(_pairs(steps * BATCH))
    torch.manual_seed(0)
    for step in range(steps):
        texts = [prompt_format.text(goal, tactic) for goal, tactic in pairs[step * BATCH :][:BATCH]]
        rows = [[*encode(text)["input_ids"], settings["eos_token_id"]][-128:] for text in texts]
        width = max(map(len, rows))
        tokens = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        labels = torch.tensor([row + [-100] * (width - len(row)) for row in rows])
        model(tokens, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.half().save_pretrained(folder)
    load.cache_clear()
    return Subject(folder, prompt_format)


def _pairs(count: int) -> Iterator[tuple[str, str]]:
    """Goals and tactics of the starter's training."""
    with lzma.open(STARTER / "pairs.jsonl.xz", "rt", encoding="utf-8") as lines:
        rows = map(json.loads, lines)
        yield from islice(((row["goal"], row["steps"][0][0]) for row in rows), count)


BATCH = 16

STOPS = ("⟩", "2, h")
"""The second begins inside a token, such as `.2`. The texts before them are no tactics themselves.
Otherwise, transformers would find a text twice, with and without a stop string."""

SUBJECTS = {
    "starter": starter,
    "llama": llama,
    "qwen2": qwen2,
    "wide-llama": wide_llama,
    "wide-qwen2": wide_qwen2,
}


@functools.cache
def load(checkpoint: Path) -> tuple[Any, Any]:
    """A checkpoint's tokenizer and model, in float32."""
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    file = str(checkpoint / "tokenizer.json")
    return transformers.PreTrainedTokenizerFast(tokenizer_file=file), model


def reference(subject: Subject, goals: list[str]) -> list[Ranked]:
    """The suggestions of transformers, with the mean log probabilities by which it ranks them."""
    tokenizer, model = load(subject.checkpoint)
    stops = subject.prompt_format.stop
    more = {"stop_strings": list(stops), "tokenizer": tokenizer} if stops else {}
    found = []
    for goal in goals:
        prompt = tokenizer(subject.prompt_format.text(goal), return_tensors="pt")
        with torch.inference_mode():
            output = model.generate(
                input_ids=prompt["input_ids"],
                attention_mask=prompt["attention_mask"],
                num_beams=WIDTH,
                num_return_sequences=WIDTH,
                max_new_tokens=MAX_TOKENS,
                do_sample=False,
                pad_token_id=0,
                output_scores=True,
                return_dict_in_generate=True,
                **more,
            )
        answers = output.sequences[:, prompt["input_ids"].shape[1] :]
        texts = tokenizer.batch_decode(answers, skip_special_tokens=True)
        scores = output.sequences_scores.tolist()
        texts = [until_stop(text, stops) for text in texts]
        found.append(list(zip(texts, scores, strict=True)))
    return found


def until_stop(text: str, stops: Sequence[str]) -> str:
    """A text up to its first stop string."""
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


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


def ours(subject: Subject, goals: list[str], kind: str) -> list[Ranked]:
    """The engine's suggestions with the same weights, stored as F16 or F32."""
    with tempfile.TemporaryDirectory() as directory:
        model = Path(directory) / "f16.gguf"
        convert(subject.checkpoint, model, quant="F16", prompt_format=subject.prompt_format)
        if kind == "F32":
            widen(model, model := Path(directory) / "f32.gguf")
        load = protocol.Load(str(model), "off", 0, 2048, ("plain",), format=subject.prompt_format)
        engine = Engine(load)
        found = []
        for index, goal in enumerate(goals):
            engine.llama.forget()  # llama.cpp rounds differently if it reuses a part of a prompt
            request = protocol.Suggest(index, [goal], "", WIDTH, MAX_TOKENS, "beam", 0.5, None)
            found.append([(s.text, s.score) for s in engine.suggest(request).found[0].suggestions])
    return found


def on_their_numbers(subject: Subject, goal: str) -> Ranked:
    """The suggestions of our search with the probabilities of transformers."""
    tokenizer, model = load(subject.checkpoint)
    prompt = tokenizer(subject.prompt_format.text(goal))["input_ids"]
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

    stops = [stop.encode() for stop in subject.prompt_format.stop]
    reader = Reader("", stops, lambda tokens: tokenizer.decode(tokens).encode())
    search = beam_search(
        rows()[0],
        width=WIDTH,
        max_tokens=MAX_TOKENS,
        end=[model.config.eos_token_id],
        text=reader.text,
        stopped=reader.stopped,
    )
    (found,) = run([search], step)
    return [(one.text, one.score) for one in found]


def why(subject: Subject, goal: str, theirs: Ranked) -> str:
    """The reason why our answer differs from that of transformers."""
    cleaned = [" ".join(text.split()) for text, _ in theirs]
    if len(set(cleaned)) < len(cleaned):
        return "transformers repeats a text"
    if same(theirs, on_their_numbers(subject, goal)):
        return "rounding: on the probabilities of transformers our search finds what it finds"
    return "unexplained"


def same(theirs: Ranked, own: Ranked) -> bool:
    """Whether ours begins with the texts of transformers, in their order.

    We count a text once. transformers counts it once for each way to write it in tokens, such as
    with `⟩` or `⟩,` where the stop string is `⟩`. In place of its repeats, ours goes on.
    """
    distinct = list(dict.fromkeys(text.strip() for text, _ in theirs))
    return distinct == [text.strip() for text, _ in own][: len(distinct)]


def compare(subject: Subject, goals: list[str], found: list[Ranked], kind: str) -> dict[str, Any]:
    """The figures of the table, and the goals whose suggestions differ."""
    pairs = list(zip(goals, found, ours(subject, goals, kind), strict=True))
    same_top = same_all = 0
    largest = 0.0
    misses = []
    for goal, theirs, own in pairs:
        top = theirs[0][0].strip() == own[0][0].strip()
        everything = same(theirs, own)
        same_top += top
        same_all += everything
        if everything:
            scores = {text.strip(): score for text, score in reversed(theirs)}
            differences = (abs(scores.get(text.strip(), score) - score) for text, score in own)
            largest = max(largest, *differences)
        else:
            reason = why(subject, goal, theirs)
            misses.append({"goal": goal, "theirs": theirs, "ours": own, "why": reason})
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
    parser.add_argument("--models", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--goals", type=int, default=200)
    parser.add_argument("--json", type=Path, help="write everything there")
    options = parser.parse_args()
    lines = (STARTER / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
    goals = [json.loads(line)["goal"] for line in lines[: options.goals]]
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as directory:
        for name in options.models:
            subject = SUBJECTS[name](Path(directory) / name)
            found = reference(subject, goals)
            figures[name] = {kind: compare(subject, goals, found, kind) for kind in ("F16", "F32")}
            for kind, one in figures[name].items():
                print_figures(name, kind, one)
    if options.json:
        options.json.write_text(json.dumps(figures, ensure_ascii=False, indent=2))


def print_figures(name: str, kind: str, one: dict[str, Any]) -> None:
    """Print the figures of a model."""
    print(f"{name}, {kind}, goals         {one['goals']}")
    print(f"same best suggestion        {one['same_top']:.1%}")
    print(f"same five in the same order {one['same_five']:.1%}")
    print(f"largest score difference    {one['largest_score_difference']:.1e}")
    for miss in one["misses"]:
        print(f"differs: {miss['goal']!r}: {miss['why']}", flush=True)


if __name__ == "__main__":
    main()
