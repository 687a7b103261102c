"""Where a command meets whoever runs it: text, standard streams, and every way to end.

Text is UTF-8, whatever the locale says: goals are, and so are the files that we share with Lean.
Each way to end becomes an exit code (docs/reference/exit-codes.md), and where it is an error a line
on standard error. A traceback goes into the log.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import textwrap
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from llmsuggestd.commands import runnable
from llmsuggestd.errors import ExitCode, LlmsuggestdError, UsageError
from llmsuggestd.files import failed, make_private
from llmsuggestd.paths import get_paths

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Interrupted(LlmsuggestdError):
    """Ctrl-C."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self) -> None:
        super().__init__("interrupted")


class OutputError(LlmsuggestdError):
    """What a command prints cannot be written."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(
            f"the output cannot be written: {cause.strerror}", "make room, or write it elsewhere"
        )


class Fault(LlmsuggestdError):
    """Something that nobody foresaw."""

    code = "internal"
    exit_code = ExitCode.FAULT


def prepare() -> None:
    """Have text in UTF-8, and standard streams that can be used. May start Python anew."""
    if _is_out_of_place() and sys.executable:
        _start_anew()
    sys.stdin = _readable(sys.stdin)
    sys.stdout = _writable(sys.stdout, 1)
    sys.stderr = _writable(sys.stderr, 2)


def run(command: Callable[[], object]) -> int:
    """Run a command, and say how it ended; its exit code."""
    try:
        code = _run(command)
        sys.stdout.flush()
        return code
    except LlmsuggestdError as error:
        return fail(error)
    except (KeyboardInterrupt, click.Abort):
        return fail(Interrupted())
    except BrokenPipeError:
        return ExitCode.ERROR  # nobody reads any more, as after `| head`
    except Exception as error:
        if isinstance(error, FileNotFoundError) and _folder_is_gone():
            return fail(UsageError("the current folder is gone", "change to one that is there"))
        if isinstance(error, OSError) and isinstance(error.filename, str):
            return fail(failed(LlmsuggestdError, "cannot use", Path(error.filename), error))
        return _report_fault(error)
    finally:
        _forget_unwritten()


def fail(error: LlmsuggestdError, code: int | None = None) -> int:
    """Say what happened and what to do next; the exit code, by default the error's own."""
    lines = [f"llmsuggestd: {error.message}", *([f"  → {error.hint}"] if error.hint else [])]
    with contextlib.suppress(LlmsuggestdError, OSError, ValueError):  # nowhere to say it
        for line in lines:
            click.echo(runnable(line), err=True)
    return error.exit_code if code is None else code


def _run(command: Callable[[], object]) -> int:
    """Run a click command, with click's own ways to end."""
    try:
        result = command()
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
            error.show()
            return error.exit_code
        context = getattr(error, "ctx", None)
        hint = f"`{context.command_path} --help`" if context is not None else ""
        return fail(UsageError(" ".join(error.format_message().split()), hint), error.exit_code)
    return result if isinstance(result, int) else ExitCode.OK


# --- text ----------------------------------------------------------------------------------------


def _is_out_of_place() -> bool:
    """Whether Python takes arguments and names of files for text of another encoding than UTF-8, or
    has been told by a variable to drop the docstrings, of which `--help` is made."""
    foreign = not sys.flags.utf8_mode and sys.getfilesystemencoding().lower() != "utf-8"
    return foreign or (sys.flags.optimize > 1 and "PYTHONOPTIMIZE" in os.environ)


def _start_anew() -> None:
    """Run the same command in Python's UTF-8 mode, in the same process."""
    if sys.platform == "win32":
        return  # which has no such call, and whose arguments are Unicode anyway
    os.environ.pop("PYTHONOPTIMIZE", None)
    with contextlib.suppress(OSError):
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606


# --- streams -------------------------------------------------------------------------------------


class _Output(io.FileIO):
    """A standard stream that says of an error that it is the output's."""

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(error) from None


def _readable(stream: TextIO | None) -> TextIO:
    """Standard input in UTF-8; an empty one if it is closed, as under some service managers."""
    if stream is None:
        return os.fdopen(_nowhere(0), encoding="utf-8")
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8")
    return stream


def _writable(stream: TextIO | None, number: int) -> TextIO:
    """Standard output or error in UTF-8, also if it is closed.

    What is no text, as the name of a file may be, does not keep the rest from being shown.
    """
    if stream is None:
        number = _nowhere(number)
    elif sys.platform == "win32" and stream.isatty():
        stream.reconfigure(errors="replace")  # type: ignore[attr-defined]
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(number, "w", closefd=False)),
        encoding="utf-8",
        errors="replace",
        line_buffering=number == 2 or os.isatty(number),
    )


def _nowhere(number: int) -> int:
    """A descriptor with nothing behind it, in place of a closed one, also for child processes."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    if descriptor != number:  # something else was opened in its place, and is left alone
        return descriptor
    os.set_inheritable(descriptor, True)
    return descriptor


# --- ends ----------------------------------------------------------------------------------------


def _forget_unwritten() -> None:
    """Keep Python from trying once more, at its end, to write what cannot be written."""
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except (LlmsuggestdError, OSError, ValueError):
            with contextlib.suppress(OSError):
                descriptor = os.open(os.devnull, os.O_WRONLY)
                os.dup2(descriptor, number)
                os.close(descriptor)


def _folder_is_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _report_fault(error: Exception) -> int:
    """Say of what nobody foresaw that it happened, and keep its traceback in the log."""
    what = textwrap.shorten(f"{type(error).__name__}: {error}", 200, placeholder=" …")
    log = _log_traceback(error)
    return fail(
        Fault(
            f"a fault in llmsuggestd: {what.removesuffix(':')}",
            f"please report it, with the end of {log}"
            if log
            else f"please report it: {_at(error)}",
        )
    )


def _at(error: Exception) -> str:
    """Where an error was raised, as far as it was in code of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    package = Path(__file__).parents[1]
    own = [frame for frame in frames if package in Path(frame.filename).parents]
    return f"{Path(own[-1].filename).relative_to(package)}, line {own[-1].lineno}"


def _log_traceback(error: Exception) -> Path | None:
    """Append a traceback to the log that `llmsuggestd logs` shows; the file, if that worked."""
    lines = "".join(traceback.format_exception(error))
    with contextlib.suppress(Exception):
        paths = get_paths()
        make_private(paths.state)
        descriptor = os.open(paths.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as log:
            log.write(f"{time.strftime('%F %T')} CRITICAL a fault in llmsuggestd\n{lines}")
        return paths.log_file
    return None
