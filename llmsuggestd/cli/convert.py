"""`llmsuggestd convert`: a checkpoint to a quantised GGUF file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from llmsuggestd import formats
from llmsuggestd.cli import print_json, terminal
from llmsuggestd.cli.parameters import UserPath
from llmsuggestd.cli.signals import terminating
from llmsuggestd.config import load_config
from llmsuggestd.convert import Summary, convert
from llmsuggestd.convert import check as checking
from llmsuggestd.convert.check import CheckReport
from llmsuggestd.convert.samples import BUILT_IN, read_samples
from llmsuggestd.errors import ModelError
from llmsuggestd.formats import LLMSTEP
from llmsuggestd.models import asking
from llmsuggestd.models.checkpoints import find_checkpoint
from llmsuggestd.ownership import our_paths
from llmsuggestd.quants import DEFAULT_QUANT, QUANTS


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("checkpoint", type=UserPath(path_type=str))
@click.option(
    "-o",
    "--output",
    type=UserPath(),
    help="The file to write.  [default: NAME-QUANT.gguf in this folder]",
)
@click.option(
    "-q",
    "--quant",
    type=click.Choice(QUANTS, case_sensitive=False),
    default=DEFAULT_QUANT,
    show_default=True,
    help="The quantisation: bits per weight, and their layout.",
)
@click.option(
    "--format",
    "format_name",
    metavar="NAME",
    help="The format of its prompt, if it is not known.",
)
@click.option("--revision", help="Branch, tag or commit, if CHECKPOINT is a repository.")
@click.option("--name", help="The model's name in the file.  [default: the checkpoint's]")
@click.option(
    "--threads", type=click.IntRange(1, 1024), help="Threads to use.  [default: all cores]"
)
@click.option(
    "--check", is_flag=True, help="Compare the result with the checkpoint on sample goals."
)
@click.option(
    "--goals",
    type=UserPath(exists=True, dir_okay=False),
    help="Goals for --check: a .jsonl file, or text with blank lines between goals.  "
    "[default: built in]",
)
@click.option("--quiet", is_flag=True, help="No progress bar, no summary.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(
    checkpoint: str,
    output: Path | None,
    quant: str,
    format_name: str | None,
    revision: str | None,
    name: str | None,
    threads: int | None,
    goals: Path | None,
    *,
    check: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Convert a checkpoint of a GPT-NeoX, Llama or Qwen2 to a GGUF file.

    CHECKPOINT is a folder in Hugging Face layout (config.json, tokenizer.json, and safetensors
    or pytorch_model.bin files), or a repository of the hub such as EleutherAI/pythia-2.8b.
    """
    samples = read_samples(goals) if goals else BUILT_IN
    report = None
    wanted = formats.find(format_name, load_config(our_paths()).formats) if format_name else None
    with terminating():
        folder, source, found_name = find_checkpoint(checkpoint, revision, quiet=quiet)
        target = output or Path(f"{found_name}-{quant}.gguf")
        prompt_format = wanted or asking.of_repository(source.repo or "")
        with _progress_bar("converting", shown=not quiet) as progress:
            summary = convert(
                folder,
                target,
                quant,
                prompt_format=prompt_format,
                name=name or found_name,
                source=source,
                threads=threads,
                progress=progress,
            )
        for warning in summary.warnings:
            click.echo(f"warning: {warning}", err=True)
        if not quiet and not as_json:
            click.echo(_sentence(summary))
        if check or goals:
            with _progress_bar("F16 to compare with", shown=not quiet) as progress:
                report = checking.check(
                    folder,
                    target,
                    samples,
                    is_f16=summary.quant == "F16",
                    prompt_format=prompt_format or LLMSTEP,
                    threads=threads,
                    progress=progress,
                )
    if as_json:
        result = summary.to_dict() | ({"check": report.to_dict()} if report else {})
        print_json(result)
    elif report and not quiet:
        _print_report(report)
    if report and report.tokenisation and report.tokenisation.different:
        raise ModelError(
            f"{target}: llama.cpp tokenises {len(report.tokenisation.different)} of"
            f" {report.tokenisation.texts} goals differently from the checkpoint's tokenizer",
            "please report this, with the checkpoint's name",
        )


def _sentence(summary: Summary) -> str:
    return (
        f"{summary.output}: {summary.bytes / 1e6:,.1f} MB,"
        f" {summary.parameters / 1e6:,.1f} million weights as {summary.quant},"
        f" {summary.bytes * 8 / summary.parameters:.2f} bits each,"
        f" in {summary.seconds:.1f} s"
    )


def _print_report(report: CheckReport) -> None:
    table = Table(title=f"Against F16, on {report.goals} goals", title_justify="left")
    for heading in ("", "positions", "same top token", "mean KL (nats)", "largest KL"):
        table.add_column(heading, justify="right" if heading else "left")
    for label, distance in (("everywhere", report.everywhere), ("in tactics", report.tactics)):
        if distance:
            table.add_row(
                label,
                f"{distance.positions:,}",
                f"{distance.top1_agreement:.1%}",
                f"{distance.mean_kl:.5f}",
                f"{distance.max_kl:.5f}",
            )
    if table.row_count:
        terminal.console(stderr=False).print(table)
    if report.tokenisation is None:
        click.echo(
            "Tokenisation was not checked: it needs a tokenizer.json, and the package tokenizers."
        )
    else:
        click.echo(
            f"Tokenised like the checkpoint's tokenizer: {report.tokenisation.equal} of"
            f" {report.tokenisation.texts} goals."
        )


@contextlib.contextmanager
def _progress_bar(label: str, *, shown: bool) -> Iterator[Any]:
    """Yield a function that draws a progress bar, given the weights done and the total."""
    console = terminal.console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # On a pipe there is nothing to draw on: rich would print the last state only.
    with Progress(
        *columns, console=console, disable=not (shown and terminal.can_redraw(console))
    ) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
