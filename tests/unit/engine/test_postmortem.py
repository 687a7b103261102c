"""The cause of an engine's death, from its exit status and its last output."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from llmsuggestd.engine import cgroup, postmortem
from llmsuggestd.engine.postmortem import examine, is_out_of_memory, memory_available, not_started

GB = 10**9


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 0.9 GB of available memory."""
    monkeypatch.setattr(postmortem, "memory_available", lambda: int(0.9 * GB))


@pytest.mark.parametrize(("signal", "name"), [(-9, "SIGKILL"), (-15, "SIGTERM")])
@pytest.mark.parametrize("during", ["loading", "answering"])
def test_a_killed_engine_lacked_memory(signal: int, name: str, during: str) -> None:
    death = examine(signal, "a warning\n", during, int(1.87 * GB))
    assert death.message == (
        f"the engine died while {during}: killed ({name}), probably out of memory (the model has"
        " 1.87 GB, 900.0 MB of memory is available)"
    )
    assert "smaller model" in death.hint
    assert death.passing
    assert not death.crash


@pytest.mark.parametrize(
    "words",
    [
        "terminate called after throwing an instance of\n  what():  std::bad_alloc",
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 3.2 GiB for an array",
        "ggml_aligned_malloc: insufficient memory (attempted to allocate 1800.0 MB)",
        "MemoryError",
    ],
)
@pytest.mark.parametrize("code", [1, -6])
def test_an_allocation_that_fails(words: str, code: int) -> None:
    death = examine(code, f"a warning\n{words}\n", "loading", 2 * GB)
    assert "2.00 GB, 900.0 MB of memory is available" in death.message
    assert death.passing
    assert not death.crash  # no fast path is the cause
    assert is_out_of_memory(words)


@pytest.mark.parametrize(
    "line",
    [
        "RuntimeError: Failed to load shared library '/v/libllama.so': /conda/libstdc++.so.6: file"
        " too short",
        "ImportError: /conda/lib/libstdc++.so.6: version `GLIBCXX_3.4.30' not found (required by"
        " /v/libllama.so)",
        "OSError: /conda/lib/libgomp.so.1: cannot allocate memory in static TLS block",
        "/v/python: symbol lookup error: /v/libllama.so: undefined symbol: _ZSt28__throw",
    ],
)
def test_a_library_from_a_shells_variable(line: str) -> None:
    words = f"Traceback (most recent call last):\n  File …\n{line}\n\n"
    death = examine(1, words, "loading", variables={"LD_LIBRARY_PATH": "/conda/lib"})
    assert death.message.startswith("llama.cpp cannot be loaded: /")
    assert death.hint.startswith("`unset LD_LIBRARY_PATH`, then `llmsuggestd restart`")
    assert not death.passing
    # without the variable: it was built with libraries that no longer exist
    assert "install --accelerator" in examine(1, words, "loading", variables={}).hint


def test_a_library_that_is_missing() -> None:
    line = "OSError: libcudart.so.12: cannot open shared object file: No such file or directory"
    death = examine(1, line, "loading", variables={"LD_LIBRARY_PATH": "/conda/lib"})
    assert "install the package that has libcudart.so.12" in death.hint
    assert "unset" not in death.hint


def test_no_more_threads() -> None:
    """For example, in a container with a limit of processes."""
    words = "\nlibgomp: Thread creation failed: Resource temporarily unavailable\n"
    death = examine(1, words, "answering")
    assert "no more threads" in death.message
    assert "pids limit" in death.hint
    assert death.passing


def test_a_folder_without_the_library() -> None:
    words = "FileNotFoundError: Shared library with base name 'llama' not found"
    death = examine(1, words, "loading", variables={"LLAMA_CPP_LIB_PATH": "/nowhere"})
    assert death.hint.startswith("`unset LLAMA_CPP_LIB_PATH` (/nowhere)")


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (errno.EMFILE, "ulimit -n"),
        (errno.EAGAIN, "ulimit -u"),
        (errno.ENOMEM, "smaller model"),
        (errno.ENOENT, "`llmsuggestd restart`"),
    ],
)
def test_an_engine_that_does_not_even_start(code: int, hint: str) -> None:
    death = not_started(OSError(code, os.strerror(code)))
    assert death.message.startswith(f"the engine cannot be started: {os.strerror(code)}")
    assert hint in death.hint
    assert death.passing


def test_a_broken_installation() -> None:
    death = examine(1, "ModuleNotFoundError: No module named 'numpy'", "loading")
    assert death.message == "the engine cannot start: No module named 'numpy'"
    assert death.hint == "install llmsuggestd again"
    assert not death.passing


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (-11, "the engine died while loading (SIGSEGV)"),
        (-4, "the engine died while loading (SIGILL)"),
        (0xC0000005, "the engine died while loading (SIGSEGV)"),
        (-6, "the engine died while loading (SIGABRT): ggml.c:7: GGML_ASSERT(x) failed"),
    ],
)
def test_a_crash(code: int, said: str) -> None:
    """The message quotes a failed assertion, but no output before another kind of crash."""
    death = examine(code, "a warning\nggml.c:7: GGML_ASSERT(x) failed\n", "loading", 2 * GB)
    assert death.message == said
    assert death.crash
    assert not death.passing


def test_any_other_exit() -> None:
    death = examine(3, "", "answering")
    assert death.message == "the engine died while answering (exit code 3)"
    assert death.passing
    long = examine(3, "x" * 5000, "answering").message
    assert len(long) < 400


def test_available_memory_is_the_lowest_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postmortem, "_own_limits", lambda: iter([]))
    assert memory_available(tmp_path) is None
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    2000 kB\n")
    assert memory_available(tmp_path) == 2000 * 1024
    monkeypatch.setattr(cgroup, "memory_left", lambda _: 500)
    assert memory_available(tmp_path) == 500
    monkeypatch.setattr(postmortem, "_own_limits", lambda: iter([400]))
    assert memory_available(tmp_path) == 400
