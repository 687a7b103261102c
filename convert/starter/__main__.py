"""`python -m convert.starter`: make the data, train, evaluate, verify in Lean."""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from pathlib import Path

from . import data
from .evaluate import HELD_OUT, Suggest, daemon, evaluate, read_questions, table
from .families import TEMPLATES, make
from .goals import Sample
from .scene import Scene

HERE = Path(__file__).parent
CHECKPOINT = HERE / "checkpoint"
TRAINING_SEED, HELD_OUT_SEED, VERIFY_SEED = 7, 11, 13
GOALS, HELD_OUT_GOALS, VOCABULARY = 110_000, 200, 3072
SMALL_GOALS = 600


def make_data(options: argparse.Namespace) -> int:
    """Write the held-out goals, and with --training the training samples."""
    held_out = data.held_out(HELD_OUT_SEED, options.each)
    data.write(held_out, options.output)
    print(f"{options.output}: {len(held_out)} held-out goals")
    if options.training:
        data.write(data.training(TRAINING_SEED, options.goals), options.training)
        print(f"{options.training}: {options.goals} training goals")
    return 0


def run_training(options: argparse.Namespace) -> int:
    """Generate, train the tokenizer and the model, save both."""
    from . import train
    from .tokenizer import save_tokenizer, train_tokenizer

    settings = train.Settings(threads=options.threads)
    goals = options.goals
    if options.small:
        settings = train.Settings(layers=2, batch_tokens=2048, threads=options.threads)
        goals = min(goals, SMALL_GOALS)
    samples = data.training(TRAINING_SEED, goals)
    tokenizer = train_tokenizer(train.texts(samples[:20_000]), VOCABULARY)
    save_tokenizer(tokenizer, options.output)
    train.save(train.train(samples, tokenizer, settings), options.output)
    return 0


def run_evaluation(options: argparse.Namespace) -> int:
    """Print the share of held-out goals with a right step among the first suggestions."""
    suggest: Suggest
    if options.socket:
        suggest = daemon(options.socket)
    else:
        from .checkpoint import checkpoint

        suggest = checkpoint(options.checkpoint)
    questions = read_questions(options.held_out)[: options.limit]
    print(table(evaluate(questions, suggest, options.n), options.n))
    return 0


def run_verification(options: argparse.Namespace) -> int:
    """Judge samples of every template in Lean; fail if any is wrong."""
    from .verify import verify

    rng = random.Random(options.seed)
    samples: list[Sample] = []
    for name in TEMPLATES:
        found = 0
        while found < options.each:
            sample = make(name, Scene(rng))
            if sample is not None:
                samples.append(sample)
                found += 1
    verdicts = verify(samples, options.lean)
    wrong = [v for v in verdicts if v.wrong]
    for verdict in wrong:
        print(
            f"-- {verdict.sample.family}: {verdict.step}\n{verdict.sample.goal}\n{verdict.detail}"
        )
    kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(v.kind for v in verdicts).items())
    print(f"{len(TEMPLATES)} templates, {len(samples)} goals, {len(verdicts)} steps: {kinds}")
    return 1 if wrong else 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m convert.starter", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: object) -> argparse.ArgumentParser:
        help_ = function.__doc__
        made = commands.add_parser(name, help=help_, description=help_)
        made.set_defaults(run=function)
        return made

    sub = command("data", make_data)
    sub.add_argument("--output", type=Path, default=HELD_OUT, help="held-out goals (JSON lines)")
    sub.add_argument(
        "--each",
        type=int,
        default=HELD_OUT_GOALS,
        help="at most so many held-out goals of each family",
    )
    sub.add_argument("--training", type=Path, help="also write the training samples here")
    sub.add_argument("--goals", type=int, default=GOALS, help="training goals")

    sub = command("train", run_training)
    sub.add_argument("--output", type=Path, default=CHECKPOINT)
    sub.add_argument("--goals", type=int, default=GOALS)
    sub.add_argument("--threads", type=int, default=3)
    sub.add_argument("--small", action="store_true", help="a tiny model on a few goals")

    sub = command("evaluate", run_evaluation)
    sub.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    sub.add_argument("--socket", type=Path, help="ask the daemon that listens here instead")
    sub.add_argument("--held-out", type=Path, default=HELD_OUT)
    sub.add_argument("--limit", type=int, help="only the first goals")
    sub.add_argument("-n", type=int, default=5, help="suggestions per goal")

    sub = command("verify", run_verification)
    sub.add_argument("--lean", default="lean", help="the command that runs Lean on a file")
    sub.add_argument("--each", type=int, default=10, help="goals of each template")
    sub.add_argument("--seed", type=int, default=VERIFY_SEED)
    return top


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    code: int = options.run(options)
    return code


if __name__ == "__main__":
    sys.exit(main())
