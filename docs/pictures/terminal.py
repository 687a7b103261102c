"""Make terminal.svg, a picture of the command line, from what the commands really print.

python docs/pictures/terminal.py
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

GOAL = "p q : Prop\nh : p ∧ q\n⊢ q ∧ p"
EXISTS = "α : Type\nP : α → Prop\na : α\nh : P a\n⊢ ∃ x, P x"
SHOWN = [
    ("llmsuggestd start", ["start"]),
    (f"llmsuggestd suggest '{GOAL}'", ["suggest", GOAL]),
    (f"llmsuggestd suggest '{EXISTS}' --prefix ex -n 2",
     ["suggest", EXISTS, "--prefix", "ex", "-n", "2"]),
]  # fmt: skip


def main() -> None:
    """Run the commands in a home of their own and draw them with their output."""
    console = Console(record=True, width=78, file=Path(os.devnull).open("w"))  # noqa: SIM115
    with tempfile.TemporaryDirectory(prefix="llms-") as home:
        environment = os.environ | {"LLMSUGGESTD_HOME": home, "LLMSUGGESTD_PORT": "0"}

        def run(arguments: list[str]) -> str:
            command = [sys.executable, "-P", "-m", "llmsuggestd", *arguments]
            result = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True, timeout=120
            )
            return result.stdout.replace(home, "~/llms")

        run(["install"])
        for line, arguments in SHOWN:
            console.print(Text("$ ", style="green") + Text(line, style="bold"))
            console.print(Text(run(arguments)))
        run(["stop"])
    picture = Path(__file__).with_name("terminal.svg")
    console.save_svg(str(picture), title="llmsuggestd")
    print(f"wrote {shlex.quote(str(picture))}")


if __name__ == "__main__":
    main()
