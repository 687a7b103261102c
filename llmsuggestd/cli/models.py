"""`llmsuggestd models`: fetch models, list them, choose the one to serve, remove them."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from llmsuggestd.cli import print_json, say, terminal
from llmsuggestd.cli.parameters import UserPath, catalogue_models, installed_models
from llmsuggestd.cli.signals import terminating
from llmsuggestd.client import Client
from llmsuggestd.errors import ExitCode, LlmsuggestdError
from llmsuggestd.ownership import our_paths
from llmsuggestd.quants import DEFAULT_QUANT, QUANTS
from llmsuggestd.units import size_text

if TYPE_CHECKING:
    from rich.progress import TaskID

    from llmsuggestd.models.pull import Plan, Pulled
    from llmsuggestd.models.remotes import Key
    from llmsuggestd.models.trial import Trial


format_option = click.option(
    "--format", "format_name", metavar="NAME", help="The format of its prompt, if it is not known."
)


@click.group("models")
def command() -> None:
    """Fetch models, list them, choose the one to serve, remove them."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def list_models(as_json: bool) -> None:
    """List the installed models and downloads in progress. A `*` marks the served model.

    If no daemon runs, it marks the model that would be served.
    """
    from llmsuggestd.models import manage

    paths = our_paths()
    status = Client(paths).status()
    rows = manage.rows(paths, status)
    if as_json:
        print_json({"models": [asdict(row) for row in rows]})
        return
    if not rows:
        say("no model is installed; `llmsuggestd install` installs the starter model")
        return
    _print_table(
        ("", "id", "size", "quantisation", "format", "state", "licence", "source"),
        [
            (
                "*" if row.served or (status is None and row.chosen) else "",
                row.id,
                "remote" if row.remote else size_text(row.total_bytes),
                row.quantisation or "",
                row.format or "",
                _state(row.state, row.bytes, row.total_bytes),
                row.licence or "",
                _short(row.source or ""),
            )
            for row in rows
        ],
    )


@command.command("catalogue")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def catalogue(as_json: bool) -> None:
    """List models that can be pulled by a short name, and the purpose of each.

    The last line names the one to try on this machine, by its memory, cores and GPU.
    """
    from llmsuggestd.models.catalogue import CATALOGUE

    best = _recommended()
    if as_json:
        models = [
            asdict(entry)
            | {"suggests_tactics": entry.suggests_tactics, "recommended": entry.id == best}
            for entry in CATALOGUE.values()
        ]
        print_json({"models": models})
        return
    _print_table(
        ("id", "size", "memory", "format", "licence", "good for"),
        [
            (
                entry.id,
                size_text(entry.bytes),
                size_text(entry.memory_bytes),
                entry.format or "",
                entry.licence,
                entry.good_for,
            )
            for entry in CATALOGUE.values()
        ],
    )
    say("\n`llmsuggestd models pull ID` fetches one. Checkpoints are converted to Q4_K_M.")
    click.echo(f"On this machine, try {best}.")


def _recommended() -> str:
    from llmsuggestd import building
    from llmsuggestd.engine import builds
    from llmsuggestd.engine.postmortem import memory_total
    from llmsuggestd.engine.threads import usable_cores
    from llmsuggestd.models.catalogue import recommended

    devices = building.describe(builds.chosen(our_paths())).devices
    gpu_memory = sum(device["free"] for device in devices if device["is_gpu"])
    return recommended(memory_total(), gpu_memory, usable_cores())


@command.command("pull")
@click.argument("model", metavar="MODEL", shell_complete=catalogue_models)
@click.option(
    "--name", metavar="ID", help="The model's id on this machine.  [default: its own name]"
)
@click.option(
    "-q",
    "--quant",
    type=click.Choice(QUANTS, case_sensitive=False),
    default=DEFAULT_QUANT,
    show_default=True,
    help="The quantisation that a checkpoint is converted to.",
)
@click.option("--keep-checkpoint", is_flag=True, help="Keep the downloaded checkpoint.")
@format_option
@click.option("--again", is_flag=True, help="Pull even if the same commit is installed.")
@click.option(
    "--dry-run", is_flag=True, help="Only show what would be fetched, and the disk space needed."
)
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def pull(
    model: str,
    name: str | None,
    quant: str,
    format_name: str | None,
    as_json: bool,
    quiet: bool,
    **flags: bool,
) -> None:
    """Fetch MODEL, convert it, try it, and make it available. `models use` then serves it.

    MODEL is an id from the catalogue (`llmsuggestd models catalogue`), a repository of the Hugging
    Face hub (owner/name), or a GGUF file in one (owner/name/file.gguf), each optionally followed by
    @REVISION. After an interruption, the same command continues where it stopped.
    """
    from llmsuggestd.models import pull as pulling
    from llmsuggestd.models import store

    paths = our_paths()
    options = pulling.Options(name=name, quant=quant, format=format_name, **flags)
    target = None if model == store.STARTER else pulling.parse(model)
    with terminating(), _resumable(), Display(quiet=quiet or as_json) as display:
        if target is None:
            pulled = pulling.pull_starter(paths, options, display)
        else:
            pulled = pulling.pull(paths, target, options, display)
    if as_json:
        print_json(_pulled_json(pulled) if pulled else _plan_json(display.plan))
    elif pulled and not quiet:
        _print_pulled(pulled)


@command.command("import")
@click.argument("file", type=UserPath(exists=True))
@click.option(
    "--name", metavar="ID", help="The model's id on this machine.  [default: the file's name]"
)
@click.option("--link", is_flag=True, help="Link to FILE instead of copying it.")
@format_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def import_(
    file: Path, name: str | None, link: bool, format_name: str | None, as_json: bool
) -> None:
    """Check the GGUF file FILE, try it, and make a copy of it available. FILE stays as it is."""
    from llmsuggestd.models.import_file import import_file

    with terminating(), Display(quiet=as_json) as display:
        imported = import_file(
            our_paths(),
            file,
            display,
            name=name,
            link=link,
            format_name=format_name,
        )
    if as_json:
        print_json(_pulled_json(imported))
    else:
        _print_pulled(imported)


@command.command("add")
@click.argument("name", metavar="NAME")
@click.option("--url", required=True, help="The server's URL, such as http://127.0.0.1:8000/v1.")
@click.option("--model", required=True, help="The model's name at the server.")
@click.option(
    "--format",
    "format_name",
    metavar="NAME",
    required=True,
    help="The format of its prompt, such as llmstep.",
)
@click.option(
    "--key",
    type=click.Choice(["ask", "environment"]),
    help="Type the server's key or pipe it in, or have the daemon read LLMSUGGESTD_REMOTE_KEY.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def add(name: str, url: str, model: str, format_name: str, key: str | None, as_json: bool) -> None:
    """Add a remote model, which a server answers for: vLLM, llama.cpp's server, SGLang.

    The server is tried first, with a fixed goal. Goals are sent there once `models use NAME` has
    chosen it. A server on another machine needs https, and `allow_remote = true` under `[remote]`
    in config.toml. A remote model of the same name is replaced.
    """
    from llmsuggestd.models import add as adding
    from llmsuggestd.models.remotes import Remote

    where: dict[str | None, Key] = {None: "none", "ask": "file", "environment": "environment"}
    remote = Remote(id=name, url=url, model=model, format=format_name, key=where[key])
    with terminating():
        trial = adding.add(our_paths(), remote, _read_key if key == "ask" else None, _note)
    if as_json:
        print_json({"model": name, "url": url, "remote": remote.address.origin}
                   | {"trial": asdict(trial)})  # fmt: skip
        return
    leaves = "" if remote.address.is_loopback else "; with it, goals leave this machine"
    click.echo(f"added {name}: {model} at {remote.address}{leaves}")
    _print_trial(trial)
    say(f"`llmsuggestd models use {name}` serves it")


def _note(line: str) -> None:
    say(line, err=True)


def _read_key() -> str:
    """The key, typed without being shown, or from standard input."""
    if sys.stdin.isatty():
        text: str = click.prompt("Key", hide_input=True, err=True)
        return text
    return sys.stdin.readline()


@command.command("use")
@click.argument("model_id", metavar="ID", shell_complete=installed_models)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def use(model_id: str, as_json: bool) -> None:
    """Serve the model ID from now on.

    A running daemon loads it beside the present model, and switches without a failed request.
    config.toml records the choice. If the model cannot be loaded, nothing changes.
    """
    from llmsuggestd.models import manage

    paths = our_paths()
    runs = manage.use(paths, model_id)
    overruled = os.environ.get("LLMSUGGESTD_MODEL")
    if as_json:
        print_json({"model": model_id, "running": runs, "config": str(paths.config_file)})
        return
    click.echo(
        f"{model_id} is served" if runs else f"{model_id} will be served when the daemon starts"
    )
    if overruled and overruled != model_id:
        click.echo(f"but LLMSUGGESTD_MODEL={overruled} overrides {paths.config_file}", err=True)


@command.command("remove")
@click.argument("model_id", metavar="ID", shell_complete=installed_models)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def remove(model_id: str, as_json: bool) -> None:
    """Remove the model ID, or the partial download of an interrupted pull.

    If it is the served model, the starter replaces it first. Only files that `pull` and `import`
    have made are removed, never an imported original or the Hugging Face cache.
    """
    from llmsuggestd.models import manage

    freed, replaced = manage.remove(our_paths(), model_id)
    if as_json:
        print_json({"model": model_id, "freed_bytes": freed, "starter_took_over": replaced})
        return
    click.echo(f"{model_id} is removed, which frees {size_text(freed)}")
    if replaced:
        click.echo("the starter is served in its place")


@contextlib.contextmanager
def _resumable() -> Iterator[None]:
    """Tell the user after Ctrl-C that the work so far is kept."""
    try:
        yield
    except KeyboardInterrupt:
        error = LlmsuggestdError("interrupted; the same command continues where this one stopped")
        error.exit_code = ExitCode.INTERRUPTED
        raise error from None


class Display:
    """A pull's output: the plan, then a progress bar on a terminal, or else one line per stage."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self.plan: Plan | None = None
        self._quiet = quiet
        self._console = terminal.console()
        self._live = not quiet and terminal.can_redraw(self._console)
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            amount_column(),
            console=self._console,
            disable=not self._live,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self._end_stage()
        self._progress.stop()

    def planned(self, plan: Plan) -> None:
        """Print the plan, and the disk space that it needs."""
        self.plan = plan
        if self._quiet:
            return
        some = plan.here_bytes > plan.download_bytes / 100  # not only its config and tokenizer
        here = f", {size_text(plan.here_bytes)} of it already here" if some else ""
        licence = f" (licence: {plan.licence})" if plan.licence else ""
        self._say(f"{plan.id}: {_short(plan.source)}{licence}")
        self._say(f"  to download  {size_text(plan.download_bytes)}{here}")
        if plan.quantisation:
            self._say(f"  the model    {size_text(plan.model_bytes)} as {plan.quantisation}")
        self._say(
            f"  disk needed  {size_text(plan.needed_bytes)}, {size_text(plan.free_bytes)} free"
        )

    def stage(self, name: str, unit: str, done: int, total: int) -> None:
        """Begin a stage."""
        self._end_stage()
        if self._live:
            self._task = self._progress.add_task(
                name, completed=done, total=total or None, unit=unit
            )
        elif not self._quiet:
            self._say(f"{name} …")

    def advance(self, count: int) -> None:
        """Advance the progress bar."""
        if self._task is not None:
            self._progress.advance(self._task, count)

    def note(self, line: str) -> None:
        """Print a line above the progress bar."""
        if not self._quiet:
            self._say(line)

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)

    def _end_stage(self) -> None:
        if self._task is not None:
            total = self._progress.tasks[self._task].total or 1
            self._progress.update(self._task, completed=total, total=total)
            self._task = None


def amount_column() -> Any:
    """The column with a stage's progress, rate and remaining time."""
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Amount(ProgressColumn):
        def render(self, task: Task) -> Text:
            unit = task.fields["unit"]
            if not unit or task.total is None:
                return Text("")
            if unit == "bytes":
                words = f"{size_text(int(task.completed))} of {size_text(int(task.total))}"
                rate = f", {size_text(int(task.speed))}/s" if task.speed else ""
            else:
                words = f"{task.completed / 1e6:,.0f} of {task.total / 1e6:,.0f} million {unit}"
                rate = ""
            left = task.time_remaining
            if task.finished or left is None:
                return Text(words)
            minutes, seconds = divmod(int(left), 60)
            return Text(f"{words}{rate}, {minutes}:{seconds:02} left")

    return Amount()


def _pulled_json(pulled: Pulled) -> dict[str, Any]:
    return {
        "model": pulled.model.id,
        "path": str(pulled.model.path),
        "bytes": pulled.model.bytes,
        "source": pulled.source,
        "format": pulled.format,
        "new": pulled.trial is not None,
        "trial": asdict(pulled.trial) if pulled.trial else None,
    }


def _plan_json(plan: Plan | None) -> dict[str, Any]:
    assert plan is not None
    return asdict(plan)


def _print_pulled(pulled: Pulled) -> None:
    model, trial = pulled.model, pulled.trial
    if trial is None:
        click.echo(f"{model.id} is installed already, from {_short(pulled.source)}")
        return
    click.echo(f"{model.id} is installed: {model.path}, {size_text(model.bytes)}")
    _print_trial(trial)
    say(f"`llmsuggestd models use {model.id}` serves it")


def _print_trial(trial: Trial) -> None:
    first = trial.suggestion.splitlines()[0]
    click.echo(
        f"for `p ∧ q` it suggests: {first}  ({trial.answer_ms / 1000:.1f} s on {trial.device})"
    )


def _state(state: str, done: int, total: int) -> str:
    return (
        f"{state}, {done / total:.0%}" if state in ("partial", "downloading") and total else state
    )


def _short(source: str) -> str:
    """A source with its commit abbreviated to seven digits."""
    name, _, commit = source.rpartition("@")
    return f"{name}@{commit[:7]}" if name and len(commit) == 40 else source


def _print_table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print columns as wide as their widest entry. On a terminal, each row is cut to one line."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for number, row in enumerate([headings, *rows]):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        line = line.rstrip()
        if room is not None and len(line) > room:
            line = line[: room - 1] + "…"
        click.echo(click.style(line, bold=number == 0))
