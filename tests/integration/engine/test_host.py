"""The engine process: what the daemon does when it crashes, hangs on, or talks nonsense."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llmsuggestd.engine import builds, protocol
from llmsuggestd.engine import host as module
from llmsuggestd.engine.host import (
    COMMAND,
    STRIKES,
    EngineDied,
    EngineError,
    EngineProcess,
    LoadFailed,
    Supervisor,
    recall_crashed,
)
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.models import store
from llmsuggestd.paths import Paths

# Stands where the real engine stands, and dies the way llama.cpp does on some CPUs: at the first
# decode with extra buffers, before it says that it has loaded.
DIES_WITH_EXTRA_BUFFERS = """
import os, signal, sys
from llmsuggestd.engine import __main__ as engine, protocol

class Engine(engine.Engine):
    def __init__(self, load):
        if load.extra_buffers:
            engine._no_core_file()
            os.kill(os.getpid(), signal.SIGSEGV)
        super().__init__(load)

engine.Engine = Engine
engine.main()
"""

DIES_WITH_A_GPU = DIES_WITH_EXTRA_BUFFERS.replace("load.extra_buffers", "load.gpu != 'off'")

KILLED_WHILE_LOADING = """
import os, signal, sys
from pathlib import Path
from llmsuggestd.engine import __main__ as engine

class Engine(engine.Engine):
    def __init__(self, load):
        if Path(sys.argv[1]).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        super().__init__(load)

engine.Engine = Engine
engine.main()
"""

ANSWERS_SLOWLY = """
import time
from llmsuggestd.engine import __main__ as engine

class Engine(engine.Engine):
    def suggest(self, request):
        time.sleep(0.8)
        return super().suggest(request)

engine.Engine = Engine
engine.main()
"""

LOADS_SLOWLY = """
import time
from llmsuggestd.engine import __main__ as engine

class Engine(engine.Engine):
    def __init__(self, load):
        time.sleep(0.8)
        super().__init__(load)

engine.Engine = Engine
engine.main()
"""

DIES_WHEN_ASKED = """
import os, signal
from llmsuggestd.engine import __main__ as engine

class Engine(engine.Engine):
    def suggest(self, request):
        engine._no_core_file()
        os.abort()

engine.Engine = Engine
engine.main()
"""


def load(path: Path = store.SHIPPED) -> protocol.Load:
    return protocol.Load(str(path), "auto", 0, 1024)


def suggest(id_: int = 1, **changes: object) -> protocol.Suggest:
    fields = {"goal": "⊢ 2 = 2", "prefix": "", "n": 3, "max_tokens": 16, "mode": "beam",
              "temperature": 0.5, "seed": None} | changes  # fmt: skip
    return protocol.Suggest(id=id_, **fields)  # type: ignore[arg-type]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(*[tmp_path] * 5)


def environment_of(pid: int) -> dict[str, str]:
    """A process's environment (Linux)."""
    rows = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(row.split("=", 1) for row in rows if row)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to that")


async def test_a_build_runs_in_place_of_the_installed_llama_cpp(paths: Paths) -> None:
    build = builds.folder(paths, "cuda")
    installed = builds.library(None).parent
    build.mkdir(parents=True)
    (build / "llama_cpp").symlink_to(installed)
    supervisor = Supervisor(load(), paths)
    engine = await supervisor.ready()
    assert str(build) in environment_of(engine.pid)["PYTHONPATH"].split(os.pathsep)
    await supervisor.close()


async def test_a_build_that_does_not_work_here_gives_way_to_the_installed_one(
    paths: Paths, caplog: pytest.LogCaptureFixture
) -> None:
    broken = builds.folder(paths, "cuda") / "llama_cpp"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise OSError('libcudart.so.12: cannot open')")
    supervisor = Supervisor(load(), paths)
    assert len((await supervisor.ask(suggest())).suggestions) == 3
    assert "trying the installed llama.cpp" in caplog.text
    await supervisor.close()


@pytest.mark.parametrize("path", ["extra_buffers", "own_kernels"])
async def test_a_crash_at_the_first_decode_is_survived_and_remembered(
    paths: Paths, path: str
) -> None:
    command = (sys.executable, "-c", DIES_WITH_EXTRA_BUFFERS.replace("extra_buffers", path))
    supervisor = Supervisor(load(), paths, command)
    assert not supervisor.crashed
    assert len((await supervisor.ask(suggest())).suggestions) == 3
    assert supervisor.crashed == {path}
    await supervisor.close()

    # a new daemon on the same machine and build does not try again
    assert recall_crashed(paths) == {path}
    later = Supervisor(load(), paths, (*command, "unused"))
    assert later.crashed == {path}
    await later.close()

    # another build or machine does
    record = json.loads(paths.engine_memory.read_text())
    paths.engine_memory.write_text(json.dumps(record | {"for": "another build"}))
    assert not recall_crashed(paths)
    paths.engine_memory.write_text("not JSON")
    assert not recall_crashed(paths)


async def test_three_crashes_in_a_row_are_enough(paths: Paths) -> None:
    supervisor = Supervisor(load(), paths, (sys.executable, "-c", DIES_WHEN_ASKED))
    for id_ in range(STRIKES):
        with pytest.raises(EngineDied, match="SIGABRT"):
            await supervisor.ask(suggest(id_))
    with pytest.raises(EngineError, match="3 times in a row"):
        await supervisor.ask(suggest())
    assert supervisor.failure is not None
    assert supervisor.engine is None
    await supervisor.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
async def test_an_engine_that_is_killed_while_loading_is_tried_again(
    paths: Paths, tmp_path: Path
) -> None:
    """By the kernel, say, where memory is short."""
    (tmp_path / "short of memory").touch()
    command = (sys.executable, "-c", KILLED_WHILE_LOADING, str(tmp_path / "short of memory"))
    supervisor = Supervisor(load(), paths, command)
    for _ in range(2):
        with pytest.raises(EngineDied, match=r"SIGKILL.*probably out of memory \(.*3\.9 MB"):
            await supervisor.ready()
        assert supervisor.failure is not None
    (tmp_path / "short of memory").unlink()
    assert len((await supervisor.ask(suggest())).suggestions) == 3
    assert supervisor.failure is None
    assert not supervisor.crashed  # no fast path was to blame
    await supervisor.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
async def test_an_engine_that_is_killed_again_and_again_has_a_pause(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 2.0)
    killed = DIES_WHEN_ASKED.replace("os.abort()", "os.kill(os.getpid(), signal.SIGKILL)")
    supervisor = Supervisor(load(), paths, (sys.executable, "-c", killed))
    for id_ in range(STRIKES):
        with pytest.raises(EngineDied, match="died while answering: killed"):
            await supervisor.ask(suggest(id_))
    began = time.monotonic()
    with pytest.raises(EngineDied, match="died while answering: killed"):
        await supervisor.ask(suggest(7))
    assert time.monotonic() - began < 0.2  # none was started
    monkeypatch.setattr(supervisor, "_command", COMMAND)
    await asyncio.sleep(2)
    assert len((await supervisor.ask(suggest(8))).suggestions) == 3
    await supervisor.close()


async def test_an_engines_last_words_reach_the_message(
    paths: Paths, capfd: pytest.CaptureFixture[str]
) -> None:
    code = "import sys; print('x' * 9000, file=sys.stderr); sys.exit('a.c:7: GGML_ASSERT failed')"
    supervisor = Supervisor(load(), paths, (sys.executable, "-c", code))
    with pytest.raises(EngineDied, match=r"exit code 1.: a.c:7: GGML_ASSERT failed"):
        await supervisor.ready()
    assert "x" * 9000 in capfd.readouterr().err  # and all of them the log


@pytest.mark.skipif(sys.platform != "linux", reason="LD_LIBRARY_PATH is Linux's")
async def test_another_library_in_front_is_named(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an activated Conda or MATLAB has it; here it is no library at all."""
    (tmp_path / "libstdc++.so.6").write_text("no library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    supervisor = Supervisor(load(), paths)
    with pytest.raises(EngineDied, match=r"llama\.cpp cannot be loaded") as caught:
        await supervisor.ready()
    assert str(tmp_path / "libstdc++.so.6") in caught.value.message
    assert "`unset LD_LIBRARY_PATH`" in caught.value.hint


async def test_an_engine_is_not_changed_by_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its answers nor its threads."""
    engine = await EngineProcess.spawn(load())
    usual = await engine.ask(suggest(1, n=5))
    await engine.close()
    for variables in (
        {"OMP_NUM_THREADS": "64", "OMP_WAIT_POLICY": "active", "OMP_PROC_BIND": "close",
         "GOMP_CPU_AFFINITY": "0", "OMP_THREAD_LIMIT": "1", "OMP_DYNAMIC": "true"},
        {"GGML_CPU_DISABLE_FUSION": "1", "LLAMA_ATTN_ROT_DISABLE": "1", "GGML_SCHED_DEBUG": "2"},
        {"PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere", "PYTHONSAFEPATH": "",
         "PYTHONOPTIMIZE": "2", "PYTHONMALLOC": "debug", "MALLOC_PERTURB_": "77"},
        {"LC_ALL": "de_DE.ISO-8859-1", "LANG": "tr_TR.UTF-8"},
    ):  # fmt: skip
        with monkeypatch.context() as shell:
            for name, value in variables.items():
                shell.setenv(name, value)
            engine = await EngineProcess.spawn(load())
        assert engine.info.threads <= (os.cpu_count() or 1)
        assert (await engine.ask(suggest(1, n=5))).suggestions == usual.suggestions
        await engine.close()


async def test_an_idle_engine_is_ended_and_comes_back(paths: Paths) -> None:
    supervisor = Supervisor(load(), paths, idle=0.3)
    first = await supervisor.ready()
    for id_ in range(5):  # in use, it stays
        await asyncio.sleep(0.15)
        await supervisor.ask(suggest(id_))
    assert supervisor.engine is first
    await asyncio.sleep(0.8)
    assert supervisor.engine is None
    assert supervisor.retired
    assert not first.alive
    assert len((await supervisor.ask(suggest())).suggestions) == 3
    assert not supervisor.retired
    await supervisor.close()


async def test_a_start_outlives_those_who_wait_for_it(paths: Paths) -> None:
    """While somebody types, each request gives way to the next, sooner than a model is loaded."""
    slow = (sys.executable, "-c", LOADS_SLOWLY)
    supervisor = Supervisor(load(), paths, slow, idle=60)
    for id_ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await supervisor.ask(suggest(id_))
        assert supervisor.loading
    await until(lambda: supervisor.engine is not None)
    # one that is not loaded yet ends with the daemon, too
    closing = Supervisor(load(), paths, slow)
    task = asyncio.create_task(closing.ready())
    await asyncio.sleep(0.1)
    await closing.close()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not closing.loading
    await supervisor.close()


async def test_an_engine_that_hangs_is_killed(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CANCEL_TIMEOUT", 2.0)
    supervisor = Supervisor(load(), paths)
    engine = await supervisor.ready()
    for id_ in range(3):  # one that gives up its requests is left alone
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await supervisor.ask(suggest(id_, goal="x" * 3000, n=32, max_tokens=512))
    await asyncio.sleep(2.5)
    assert supervisor.engine is engine
    os.kill(engine.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await supervisor.ask(suggest(4))
    with pytest.raises(EngineDied, match=r"hung, and was killed \(SIGKILL\)"):
        await supervisor.ask(suggest(5))
    assert supervisor.engine is None
    assert len((await supervisor.ask(suggest(6))).suggestions) == 3
    await supervisor.close()


@pytest.mark.parametrize("leaves", ["before", "after"])
async def test_who_leaves_as_the_answer_comes_does_no_harm(
    leaves: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one turn of the event loop with it; no reply to the cancellation will follow."""
    monkeypatch.setattr(module, "CANCEL_TIMEOUT", 0.2)
    engine = await EngineProcess.spawn(load())
    task = asyncio.create_task(engine.ask(suggest(1)))
    deliver = engine._deliver

    def deliver_and_leave(reply: protocol.Reply) -> None:
        if leaves == "before":
            task.cancel()
        deliver(reply)
        if leaves == "after":
            task.cancel()

    monkeypatch.setattr(engine, "_deliver", deliver_and_leave)
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.5)
    assert engine.alive
    await engine.close()


async def test_an_engine_that_dies_unasked_is_no_engine(
    paths: Paths, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = Supervisor(load(), paths)
    os.kill((await supervisor.ready()).pid, signal.SIGKILL)
    await until(lambda: supervisor.engine is None)
    assert "the engine died while it had nothing to do (SIGKILL)" in caplog.text
    assert len((await supervisor.ask(suggest())).suggestions) == 3
    await supervisor.close()


async def test_a_long_answer_does_not_count_as_idle(paths: Paths) -> None:
    slow = (sys.executable, "-c", ANSWERS_SLOWLY)
    supervisor = Supervisor(load(), paths, slow, idle=0.2)
    assert len((await supervisor.ask(suggest())).suggestions) == 3
    await supervisor.close()


async def test_a_gpu_that_crashes_is_left_alone(paths: Paths) -> None:
    supervisor = Supervisor(load(), paths, (sys.executable, "-c", DIES_WITH_A_GPU))
    assert len((await supervisor.ask(suggest())).suggestions) == 3
    assert not supervisor.crashed  # they were not to blame
    await supervisor.close()


async def test_a_model_that_cannot_be_loaded_is_said_once_and_not_tried_again(
    paths: Paths,
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(store.SHIPPED.read_bytes()[:100_000])
    supervisor = Supervisor(load(broken), paths)
    for _ in range(2):
        with pytest.raises(LoadFailed) as caught:
            await supervisor.ready()
        assert isinstance(caught.value, LlmsuggestdError)
    assert not supervisor.crashed  # that was no crash


async def test_an_engine_that_talks_nonsense_is_ended(paths: Paths) -> None:
    nonsense = (sys.executable, "-c", "print('hello, I am not an engine at all')")
    supervisor = Supervisor(load(), paths, nonsense)
    with pytest.raises(EngineDied):
        await supervisor.ready()


async def test_a_cancelled_request_frees_the_engine() -> None:
    engine = await EngineProcess.spawn(load())
    try:
        slow = suggest(1, goal="x" * 3000, n=32, max_tokens=512)
        task = asyncio.create_task(engine.ask(slow))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            result = await engine.ask(suggest(2))
        assert len(result.suggestions) == 3
    finally:
        await engine.close()


async def test_cells_are_given_back(tmp_path: Path) -> None:
    """Requests that fill the context many times over leave it as it was."""
    engine = await EngineProcess.spawn(load())
    try:
        first = await engine.ask(suggest(0))
        for id_ in range(1, 40):
            goal = f"h{id_} : a = b\n" * (id_ % 7 * 12) + f"⊢ {id_} = {id_}"
            await engine.ask(suggest(id_, goal=goal, n=1 + id_ % 32, max_tokens=20))
        last = await engine.ask(suggest(99))
        assert [s.text for s in last.suggestions] == [s.text for s in first.suggestions]
    finally:
        await engine.close()


async def test_closing_ends_the_process_and_asking_then_fails() -> None:
    engine = await EngineProcess.spawn(load())
    await engine.close()
    assert not engine.alive
    with pytest.raises(EngineDied):
        await engine.ask(suggest())


def test_the_engine_is_started_without_the_current_directory_in_its_path() -> None:
    """A file named llmsuggestd.py where the user happens to stand must not be run."""
    assert "-P" in COMMAND
