"""`llmsuggestd status`."""

from __future__ import annotations

from typing import Any

import click

from llmsuggestd.cli import print_json
from llmsuggestd.client import Client
from llmsuggestd.errors import ExitCode, NotRunningError
from llmsuggestd.ownership import our_paths


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Show whether the daemon runs, with which model, on which device.

    Exits with 0 if it runs and its model works, 3 if it does not run, 5 if its model failed.
    """
    try:
        status = Client(our_paths()).request("GET", "/v1/status", timeout=5)
    except NotRunningError as error:
        if not as_json:
            raise
        print_json({"state": "stopped", "error": error.to_dict()})
        context.exit(error.exit_code)
    if as_json:
        print_json(status)
    else:
        model = status["model"]
        instructions = status.get("instructions")  # a daemon of an older version has none
        rows = [
            ("state", "idle: the next request loads the model" if status["state"] == "idle"
             else status["state"]),
            ("reason", status["reason"]),
            ("hint", status["hint"]),
            ("model", f"{model['id']}: {model['description'] or 'not loaded'}"),
            ("format", model["format"]),
            ("goals", _where(status.get("remote"))),
            ("loading", status["switching_to"]),
            ("device", status["device"]),
            ("threads", status["threads"]),
            ("kernels", status["kernels"] + (f" ({instructions})" if instructions else "")
             if status["kernels"] else None),
            ("crashed", ", ".join(f"{name} kernels" for name in status["crashed_kernels"]) or None),
            ("queue", status["queue"]),
            ("socket", status["socket"]),
            ("url", status["url"]),
            ("compat", ", ".join(f"{n} {u}" for n, u in status["listeners"].items()) or None),
            ("pid", f"{status['pid']}, engine {status['engine_pid'] or 'not running'}"),
            ("uptime", f"{status['uptime_s']:.0f} s"),
            ("version", f"{status['version']} (llama-cpp-python {status['llama_cpp']})"),
        ]  # fmt: skip
        for name, value in rows:
            if value is not None:
                click.echo(f"{name:<8} {value}")
    if status["state"] == "failed":
        context.exit(ExitCode.MODEL)


def _where(remote: dict[str, Any] | None) -> str | None:
    """The destination of goals that leave the daemon."""
    if remote is None:
        return None
    if remote["fallback"] is not None:
        return f"answered by {remote['fallback']}: {remote['reason']}"
    machine = "another machine" if remote["leaves"] else "a server on this machine"
    return f"sent to {machine}: {remote['url']}"
