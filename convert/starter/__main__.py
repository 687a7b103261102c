"""Make the starter model, and measure a model's success rate with Lean."""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import platformdirs

from llmsuggestd.client import Client
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.paths import get_paths

from . import curve, data, evaluate, expert, verify
from .examples import Example, learned, of_sample, read_pairs, shuffled
from .generate import SEED, generate, held_out_worlds, statements
from .generate import write as write_pairs
from .lean_runner import Job, Judgement, NoLeanError, judge
from .split import key_of, side

HERE = Path(__file__).parent
CHECKPOINT = HERE / "checkpoint"
RESULTS = HERE / "evaluation.json"
RESULTS_WORLDS = HERE / "evaluation-worlds.json"
VERDICTS = Path(platformdirs.user_cache_dir("llmsuggestd", False)) / "verdicts.jsonl"
TEMPLATE_SEED, PAIR_SEED, VERIFY_SEED = 7, 8, 13
VOCABULARY = 4096
SETTINGS: dict[str, Callable[[str], float]] = {
    **dict.fromkeys(("layers", "hidden", "intermediate", "heads", "parts", "rows_tokens"), int),
    **dict.fromkeys(("steps", "final_steps", "warmup", "threads", "workers", "seed"), int),
    **dict.fromkeys(("dropout", "muon_rate", "adam_rate"), float),
}
"""The settings of `train.Settings` that are options of the command with a number."""
TIMES = {"stated": 1, "world": 6, "Init": 3, "Std": 3}
"""How often a goal is used in one pass over the data, by its source. Those of worlds and of the
library are fewer, and more varied; a world's names change each time."""


def templates(seed: int = TEMPLATE_SEED) -> Iterator[Example]:
    """An endless stream of the templates' samples on the training side."""
    return (of_sample(s) for s in data.samples(seed) if side(key_of(s)) == "train")


def run_generation(options: argparse.Namespace) -> int:
    """Search with Lean for steps that work on the templates' statements and on library theorems."""
    count = generate(
        options.output,
        stated=options.stated,
        theorems=range(*options.theorems),
        worlds=range(*options.worlds),
        seed=options.seed,
        processes=options.processes,
    )
    print(f"{options.output}: " + ", ".join(f"{n} {what}" for what, n in count.items()))
    return 0


def run_expert(options: argparse.Namespace) -> int:
    """Search for proofs with the suggestions of a running daemon, judged by Lean."""
    known = [pair.row() for path in options.known for pair in read_pairs(path)]
    theorems, worlds = range(*options.theorems), range(*options.worlds)
    chosen = statements(options.seed, options.stated, theorems, worlds, known)
    client = Client(get_paths())

    def suggest(goals: list[str]) -> list[list[str]]:
        found: list[list[str]] = []
        for start in range(0, len(goals), 4):
            body = {"goals": goals[start : start + 4], "n": expert.SUGGESTIONS}
            answer = client.request("POST", "/v1/suggest", body, timeout=180)
            found += [[one["text"] for one in each["suggestions"]] for each in answer["results"]]
        return found

    def judged(jobs: list[Job]) -> Iterator[Judgement]:
        return judge(jobs, options.processes, expert.HEARTBEATS)

    rows = expert.search(
        chosen, suggest, judged, progress=lambda line: print(line, file=sys.stderr, flush=True)
    )
    count = write_pairs(rows, options.output)
    print(f"{options.output}: " + ", ".join(f"{n} {what}" for what, n in count.items()))
    return 0


def run_tokenizer(options: argparse.Namespace) -> int:
    """Train the tokenizer on the templates' goals and on the words of Lean's library."""
    from .tokenizer import save_tokenizer, texts, train_tokenizer

    made = islice(templates(), options.templates)
    tokenizer = train_tokenizer(texts(made), options.vocabulary)
    save_tokenizer(tokenizer, options.output)
    print(f"{options.output}: {tokenizer.get_vocab_size()} tokens")
    return 0


def run_training(options: argparse.Namespace) -> int:
    """Train the model on pairs."""
    from tokenizers import Tokenizer

    from . import train

    pairs = [pair for path in options.pairs for pair in read_pairs(path)]
    chosen = {key: value for key, value in vars(options).items() if value is not None}
    names = train.Settings.__dataclass_fields__
    settings = train.Settings(**{key: chosen[key] for key in names if key in chosen})
    tokenizer = Tokenizer.from_file(str(options.output / "tokenizer.json"))
    training = train.Training(tokenizer, settings)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    resumed = options.resume and training.resume(options.work)
    if options.start and not resumed:
        training.start_from(options.start)
    chosen_pairs = learned(pairs)
    known = [pair.example for pair in chosen_pairs for _ in range(TIMES[pair.source])]
    validation = [pair.example for pair in pairs if pair.split == "validation" and pair.steps]
    random.Random(PAIR_SEED).shuffle(validation)
    training.run(
        lambda seed: shuffled(known, random.Random(seed)),
        validation[: options.validation],
        options.work,
        validate_every=options.validate_every,
    )
    train.save(training.model, options.output)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted({*options.pairs})]
    before = options.start / "training.json" if options.start else None
    made = train.record(
        training,
        pairs=len(chosen_pairs),
        pairs_sha256=digests,
        start=json.loads(before.read_text("utf-8")) if before else None,
    )
    text = json.dumps(made, indent=1) + "\n"
    (options.output / "training.json").write_text(text, encoding="utf-8")
    return 0


def run_held_out(options: argparse.Namespace) -> int:
    """Copy the test goals of a file of pairs to a separate file."""
    pairs = read_pairs(options.pairs)
    goals = evaluate.choose(pairs, options.stated, options.theorems, options.seed)
    evaluate.write(goals, options.output)
    print(f"{options.output}: {len(goals)} goals")
    return 0


def run_held_out_worlds(options: argparse.Namespace) -> int:
    """Draw worlds of the test with their goals, as Lean prints them."""
    rows = list(held_out_worlds(options.seed, options.worlds, options.each, options.processes))
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    options.output.write_text("".join(lines), encoding="utf-8")
    worlds = {row["start"]["world"] for row in rows}
    print(f"{options.output}: {len(rows)} goals of {len(worlds)} worlds")
    return 0


def run_evaluation(options: argparse.Namespace) -> int:
    """Ask a running daemon for suggestions for the held-out goals, and judge them with Lean."""
    worlds = options.worlds
    file = options.held_out or (evaluate.HELD_OUT_WORLDS if worlds else evaluate.HELD_OUT)
    output = options.output or (RESULTS_WORLDS if worlds else RESULTS)
    goals = evaluate.held_out(file, options.goals, options.seed)
    evaluate.results_of(output, goals)  # other goals are an error before the work, not after it
    verdicts = evaluate.Verdicts(lambda jobs: judge(jobs, options.processes), options.verdicts)
    found: dict[str, Any] = {}
    if options.baselines or options.baselines_only:
        tactics = evaluate.BASELINES_WORLDS if worlds else evaluate.BASELINES
        found["baselines"] = evaluate.baselines(goals, verdicts, tactics)
    name = None
    if not options.baselines_only:
        client = Client(get_paths())
        name = options.name or client.request("GET", "/v1/status")["model"]["id"]

        def suggest(goal: str, count: int) -> list[str]:
            body = {"goal": goal, "n": count}
            answer = client.request("POST", "/v1/suggest", body, timeout=180)
            return [suggestion["text"] for suggestion in answer["suggestions"]]

        def progress(number: int) -> None:
            if number % 50 == 0:
                print(f"{number} of {len(goals)} goals answered", file=sys.stderr, flush=True)

        found["models"] = {name: evaluate.evaluate(goals, suggest, verdicts, progress)}
    results = evaluate.update(output, goals, **evaluate.rounded(found))
    print(evaluate.report(results, name))
    return 0


def run_verification(options: argparse.Namespace) -> int:
    """Judge samples of every template with Lean. The exit code is 1 if any is wrong."""
    samples = verify.draw(options.each, options.seed)
    wrong = list(verify.mistakes(samples, lambda jobs: judge(jobs, options.processes)))
    for mistake in wrong:
        sample = mistake.sample
        print(f"-- {sample.family}: {mistake.step or ''}\n{sample.goal}\n{mistake.detail}")
    steps = sum(len(sample.steps) for sample in samples)
    print(f"{len(samples)} goals of the templates, {steps} steps: {len(wrong)} wrong")
    return 1 if wrong else 0


def run_curve(options: argparse.Namespace) -> int:
    """Draw the learning curve of a checkpoint."""
    curve.draw(options.checkpoint / "training.json", options.output)
    return 0


def run_report(options: argparse.Namespace) -> int:
    """Print the tables of an earlier evaluation."""
    print(evaluate.report(json.loads(options.results.read_text("utf-8")), options.name))
    return 0


def add_statements(command: argparse.ArgumentParser) -> None:
    """The options for the statements that Lean searches."""
    add = command.add_argument
    add("--stated", type=int, default=14_000, help="how many statements of the templates")
    for name, stop, help_ in (
        ("theorems", 7_000, "theorems of Init and Std with these numbers"),
        ("worlds", 300, "worlds of their own definitions with these numbers"),
    ):
        metavar = ("FIRST", "STOP")
        add(f"--{name}", type=int, nargs=2, default=(0, stop), metavar=metavar, help=help_)
    add("--seed", type=int, default=SEED)
    add("--processes", type=int, default=2, help="Lean processes")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m convert.starter", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: object) -> argparse.ArgumentParser:
        help_ = function.__doc__
        made = commands.add_parser(name, help=help_, description=help_)
        made.set_defaults(run=function)
        return made

    sub = command("generate", run_generation)
    sub.add_argument("output", type=Path, help="pairs that Lean verified (JSON lines)")
    add_statements(sub)

    sub = command("expert", run_expert)
    sub.add_argument("output", type=Path, help="pairs of the proofs found (JSON lines)")
    sub.add_argument(
        "--known", type=Path, nargs="*", default=[], help="pairs whose statements are left out"
    )
    add_statements(sub)

    sub = command("tokenizer", run_tokenizer)
    sub.add_argument("--output", type=Path, default=CHECKPOINT)
    sub.add_argument("--templates", type=int, default=20_000, help="goals made by the templates")
    sub.add_argument("--vocabulary", type=int, default=VOCABULARY)

    sub = command("train", run_training)
    sub.add_argument("pairs", type=Path, nargs="+", help="pairs that Lean verified (JSON lines)")
    sub.add_argument("--output", type=Path, default=CHECKPOINT)
    sub.add_argument("--start", type=Path, help="a checkpoint to train further (default: none)")
    sub.add_argument("--work", type=Path, default=Path("build/starter"), help="folder of the state")
    sub.add_argument("--resume", action="store_true", help="continue from the state in that folder")
    sub.add_argument("--validation", type=int, default=600, help="goals to validate on")
    sub.add_argument("--validate-every", type=int, default=250, metavar="STEPS")
    sub.add_argument("--device", help="as torch names it: cpu, cuda, ...")
    sub.add_argument("--bfloat16", action="store_true", help="multiply matrices in bfloat16")
    for name, type_ in SETTINGS.items():
        sub.add_argument(f"--{name.replace('_', '-')}", type=type_)

    sub = command("held-out", run_held_out)
    sub.add_argument("pairs", type=Path, help="pairs that Lean verified (JSON lines)")
    sub.add_argument("--output", type=Path, default=evaluate.HELD_OUT)
    sub.add_argument("--stated", type=int, default=400, help="maximum number of stated goals")
    sub.add_argument("--theorems", type=int, default=400, help="maximum number of library goals")
    sub.add_argument("--seed", type=int, default=11)

    sub = command("held-out-worlds", run_held_out_worlds)
    sub.add_argument("--output", type=Path, default=evaluate.HELD_OUT_WORLDS)
    sub.add_argument("--worlds", type=int, default=80)
    sub.add_argument("--each", type=int, default=5, help="maximum number of goals of a world")
    sub.add_argument("--seed", type=int, default=SEED)
    sub.add_argument("--processes", type=int, default=2, help="Lean processes")

    sub = command("evaluate", run_evaluation)
    sub.add_argument("--worlds", action="store_true", help="the goals of worlds, not the others")
    sub.add_argument("--held-out", type=Path, help="another file of goals")
    sub.add_argument("--goals", type=int, default=600, help="maximum number of goals")
    sub.add_argument("--seed", type=int, default=11, help="seed for drawing the goals")
    sub.add_argument("--name", help="the model's name in the results (default: its id)")
    sub.add_argument("--baselines", action="store_true", help="also judge tactics without a model")
    sub.add_argument("--baselines-only", action="store_true", help="only these; needs no daemon")
    sub.add_argument("--processes", type=int, default=2, help="Lean processes")
    sub.add_argument("--output", type=Path, help="the file to add the results to")
    sub.add_argument("--verdicts", type=Path, default=VERDICTS, help="the cache of Lean's verdicts")

    sub = command("verify", run_verification)
    sub.add_argument("--each", type=int, default=10, help="goals per template")
    sub.add_argument("--seed", type=int, default=VERIFY_SEED)
    sub.add_argument("--processes", type=int, default=2, help="Lean processes")

    sub = command("curve", run_curve)
    sub.add_argument("output", type=Path, help="the picture (.svg or .png)")
    sub.add_argument("--checkpoint", type=Path, default=CHECKPOINT)

    sub = command("report", run_report)
    sub.add_argument("results", type=Path, nargs="?", default=RESULTS)
    sub.add_argument("--name", help="print the table by family and source for this model only")
    return top


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except LlmsuggestdError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return int(error.exit_code)
    except NoLeanError as error:
        print(error, file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
