"""The edge between a command and its user: encoding, standard streams, errors and exit codes.

Text is UTF-8 in every locale, since goals are, and so are the files that we share with Lean. A
command's result becomes an exit code (docs/reference/exit-codes.md), and an error is also printed
as one line on standard error. Tracebacks go to the log.
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
from llmsuggestd.file_errors import failed
from llmsuggestd.files import make_private
from llmsuggestd.paths import get_paths

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Interrupted(LlmsuggestdError):
    """Ctrl-C."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self) -> None:
        super().__init__("interrupted")


class OutputError(LlmsuggestdError):
    """A command's output cannot be written."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(
            f"the output cannot be written: {cause.strerror}", "make room, or write it elsewhere"
        )


class Fault(LlmsuggestdError):
    """An unexpected error, which is a bug in llmsuggestd."""

    code = "internal"
    exit_code = ExitCode.FAULT


def prepare() -> None:
    """Set up UTF-8 text and working standard streams. May restart Python."""
    if _needs_restart() and sys.executable:
        _restart()
    sys.stdin = _readable(sys.stdin)
    sys.stdout = _writable(sys.stdout, 1)
    sys.stderr = _writable(sys.stderr, 2)


def run(command: Callable[[], object]) -> int:
    """Run a command, report an error if there is one, and return the exit code."""
    try:
        code = _run(command)
        sys.stdout.flush()
        return code
    except LlmsuggestdError as error:
        return fail(error)
    except (KeyboardInterrupt, click.Abort):
        return fail(Interrupted())
    except BrokenPipeError:
        return ExitCode.ERROR  # the reader has ended, as `| head` does
    except Exception as error:
        if isinstance(error, FileNotFoundError) and _folder_is_gone():
            return fail(UsageError("the current folder is gone", "change to one that exists"))
        if isinstance(error, OSError) and isinstance(error.filename, str):
            return fail(failed(LlmsuggestdError, "cannot use", Path(error.filename), error))
        return _report_fault(error)
    finally:
        _forget_unwritten()


def fail(error: LlmsuggestdError, code: int | None = None) -> int:
    """Print an error and its remedy. Returns the exit code: `code`, or else the error's own."""
    lines = [f"llmsuggestd: {error.message}", *([f"  → {error.hint}"] if error.hint else [])]
    with contextlib.suppress(LlmsuggestdError, OSError, ValueError):  # standard error is unusable
        for line in lines:
            click.echo(runnable(line), err=True)
    return error.exit_code if code is None else code


def _run(command: Callable[[], object]) -> int:
    """Run a click command, and turn click's exceptions into exit codes."""
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


def _needs_restart() -> bool:
    """Whether Python decodes arguments and file names with an encoding other than UTF-8, or
    PYTHONOPTIMIZE has removed the docstrings, from which `--help` is made."""
    foreign = not sys.flags.utf8_mode and sys.getfilesystemencoding().lower() != "utf-8"
    return foreign or (sys.flags.optimize > 1 and "PYTHONOPTIMIZE" in os.environ)


def _restart() -> None:
    """Run the same command in Python's UTF-8 mode, in the same process."""
    if sys.platform == "win32":
        return  # it cannot replace a process, and its arguments are Unicode anyway
    os.environ.pop("PYTHONOPTIMIZE", None)
    with contextlib.suppress(OSError):
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606


# --- streams -------------------------------------------------------------------------------------


class _Output(io.FileIO):
    """A standard stream whose errors are OutputErrors, unlike those of other files."""

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

    Characters that cannot be encoded, as in some file names, are printed as `?`.
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
    """Open the null device in place of the closed descriptor `number`, also for child processes."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    if descriptor != number:  # another file has been opened under that number, and is kept
        return descriptor
    os.set_inheritable(descriptor, True)
    return descriptor


# --- ends ----------------------------------------------------------------------------------------


def _forget_unwritten() -> None:
    """Discard output that cannot be written, since Python would try again at its exit."""
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
    """Report an unexpected error, and write its traceback to the log."""
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
    """The last place in our own code that an error passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    package = Path(__file__).parents[1]
    own = [frame for frame in frames if package in Path(frame.filename).parents]
    return f"{Path(own[-1].filename).relative_to(package)}, line {own[-1].lineno}"


def _log_traceback(error: Exception) -> Path | None:
    """Append a traceback to the log that `llmsuggestd logs` shows. Returns the file on success."""
    lines = "".join(traceback.format_exception(error))
    with contextlib.suppress(Exception):
        paths = get_paths()
        make_private(paths.state)
        descriptor = os.open(paths.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as log:
            log.write(f"{time.strftime('%F %T')} CRITICAL a fault in llmsuggestd\n{lines}")
        return paths.log_file
    return None
