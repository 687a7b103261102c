"""`llmsuggestd suggest`: what the tactic asks, from a terminal."""

from __future__ import annotations

import sys

import click

from llmsuggestd.cli import print_json
from llmsuggestd.client import Client
from llmsuggestd.errors import UsageError
from llmsuggestd.paths import get_paths

TIMEOUT = 130.0
"""Seconds: more than the 120 in which the daemon answers, if only to say that it cannot."""


@click.command("suggest")
@click.argument("goal")
@click.option("--prefix", default="", help="How the tactic must begin.")
@click.option(
    "-n",
    "count",
    type=click.IntRange(1, 32),
    default=5,
    show_default=True,
    help="How many suggestions.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(1, 512),
    default=64,
    show_default=True,
    help="Length of a suggestion.",
)
@click.option("--mode", type=click.Choice(["beam", "sample"]), default="beam", show_default=True)
@click.option(
    "--temperature",
    type=click.FloatRange(0, 10, min_open=True),
    default=0.5,
    show_default=True,
    help="For --mode sample.",
)
@click.option("--seed", type=click.IntRange(min=0), help="For --mode sample.")
@click.option("--json", "as_json", is_flag=True, help="Print the daemon's answer as JSON.")
def command(
    goal: str,
    prefix: str,
    count: int,
    max_tokens: int,
    mode: str,
    temperature: float,
    seed: int | None,
    as_json: bool,
) -> None:
    """Print suggestions for GOAL, best first, each with its score.

    GOAL is what Lean shows: hypotheses, one a line, then `⊢ target`; `-` reads it from standard
    input. The score is the mean log probability of a token: 0 would be certainty.
    """
    if goal == "-":
        data = sys.stdin.buffer.read()
        try:
            goal = data.decode().rstrip("\n")
        except UnicodeDecodeError:
            raise UsageError("standard input is not UTF-8 text", "pipe in a goal") from None
    request = {
        "goal": goal,
        "prefix": prefix,
        "n": count,
        "max_tokens": max_tokens,
        "mode": mode,
        "temperature": temperature,
        "seed": seed,
    }
    answer = Client(get_paths()).request("POST", "/v1/suggest", request, timeout=TIMEOUT)
    if as_json:
        print_json(answer)
        return
    if not answer["suggestions"]:
        click.echo("the model has no suggestion for this goal", err=True)
    for rank, suggestion in enumerate(answer["suggestions"], 1):
        tactic = suggestion["text"].replace("\n", "\n" + " " * 12)
        more = "" if suggestion["finished"] else " …"
        click.echo(f"{rank:>3} {suggestion['score']:>7.3f} {tactic}{more}")
