"""`llmsuggestd serve`: the daemon in the foreground."""

from __future__ import annotations

import os

import click

from llmsuggestd.cli.parameters import installed_models
from llmsuggestd.config import COMPAT_PORTS, load_config
from llmsuggestd.errors import UsageError
from llmsuggestd.ownership import our_paths


@click.command("serve")
@click.option("--port", type=int, help="Port on 127.0.0.1; 0 takes a free one.")
@click.option("--socket", metavar="PATH", help="Path of the Unix socket.")
@click.option(
    "--model", shell_complete=installed_models, metavar="ID", help="The installed model to serve."
)
@click.option("--gpu", metavar="auto|off|N", help="Layers to offload to the GPU.")
@click.option("--threads", type=int, help="Threads for decoding; 0 chooses automatically.")
@click.option(
    "--compat",
    metavar="NAME[:PORT]",
    multiple=True,
    help=f"Also listen for another project's client ({', '.join(COMPAT_PORTS)}), without a "
    "token. May be repeated.",
)
@click.option(
    "--log-file",
    is_flag=True,
    help="Write the log to daemon.log, which `llmsuggestd logs` shows, not to standard error.",
)
@click.option(
    "--env",
    "variables",
    metavar="NAME=VALUE",
    multiple=True,
    help="Set an environment variable, for service managers that cannot. May be repeated.",
)
def command(
    port: int | None,
    socket: str | None,
    model: str | None,
    gpu: str | None,
    threads: int | None,
    compat: tuple[str, ...],
    log_file: bool,
    variables: tuple[str, ...],
) -> None:
    """Run the daemon in the foreground until Ctrl-C.

    Service managers run this command; `llmsuggestd start` runs it in the background. On SIGHUP, the
    daemon reads the settings again.
    """
    from llmsuggestd.daemon import logs, server

    for assignment in variables:
        name, equals, value = assignment.partition("=")
        if not name or not equals:
            raise UsageError(f"--env {assignment!r} is not NAME=VALUE")
        os.environ[name] = value
    paths = our_paths()
    logs.set_up(paths, to_file=log_file)
    layers = int(gpu) if gpu is not None and gpu.isascii() and gpu.isdigit() else gpu
    server.serve(
        paths,
        lambda: load_config(
            paths,
            port=port,
            socket=socket,
            model=model,
            gpu=layers,
            threads=threads,
            compat=compat or None,
        ),
    )
