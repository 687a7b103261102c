"""`llmsuggestd models`: which models are installed, and which is served."""

from __future__ import annotations

import os

import click

from llmsuggestd.cli import print_json
from llmsuggestd.client import Client
from llmsuggestd.config import load_config
from llmsuggestd.models import store
from llmsuggestd.paths import get_paths


@click.group("models")
def command() -> None:
    """The installed models: list them, choose the one to serve."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def list_models(as_json: bool) -> None:
    """List the installed models, with a mark at the one that is served.

    Where no daemon runs, at the one that would be.
    """
    from llmsuggestd.daemon import control

    paths = get_paths()
    status = control.running(Client(paths))
    served = status["model"]["id"] if status else None
    chosen = load_config(paths).model
    models = store.installed(paths)
    if as_json:
        print_json(
            {
                "models": [
                    {
                        "id": model.id,
                        "bytes": model.bytes,
                        "path": str(model.path),
                        "served": model.id == served,
                        "chosen": model.id == chosen,
                    }
                    for model in models
                ]
            }
        )
        return
    for model in models:
        mark = "*" if model.id == (served or chosen) else " "
        click.echo(f"{mark} {model.id:<30} {model.bytes / 1e6:>10,.1f} MB")


@command.command("use")
@click.argument("model_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def use(model_id: str, as_json: bool) -> None:
    """Serve the model ID from now on.

    A running daemon loads it beside the present model and changes over without a failed request;
    the choice is kept in config.toml. If the model cannot be loaded, all stays as it was.
    """
    from llmsuggestd.daemon import control

    paths = get_paths()
    runs = control.use_model(paths, model_id)
    overruled = os.environ.get("LLMSUGGESTD_MODEL")
    if as_json:
        print_json({"model": model_id, "running": runs, "config": str(paths.config_file)})
        return
    click.echo(
        f"{model_id} is served" if runs else f"{model_id} will be served when the daemon starts"
    )
    if overruled and overruled != model_id:
        click.echo(f"but LLMSUGGESTD_MODEL={overruled} beats {paths.config_file}", err=True)
