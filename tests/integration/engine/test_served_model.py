"""An engine's process that crashes, hangs or sends invalid output, and the daemon's reaction."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llmsuggestd.engine import builds, crashes, protocol, served_model
from llmsuggestd.engine import host as module
from llmsuggestd.engine.host import (
    COMMAND,
    EngineDied,
    EngineError,
    EngineProcess,
    LoadFailed,
)
from llmsuggestd.engine.served_model import STRIKES, ServedModel
from llmsuggestd.models import store
from llmsuggestd.paths import Paths
from tests.support.engine_requests import request

# A stand-in for the engine that dies as llama.cpp does on some CPUs: at the first decode with extra
# buffers, before it reports that it has loaded.
DIES_WITH_KERNELS = """
import os, signal, sys
from llmsuggestd.engine import __main__ as engine, protocol

class Engine(engine.Engine):
    def __init__(self, load):
        if 'repacked' in load.kernels:
            engine._no_core_file()
            os.kill(os.getpid(), signal.SIGSEGV)
        super().__init__(load)

engine.Engine = Engine
engine.main()
"""

DIES_WITH_A_GPU = DIES_WITH_KERNELS.replace("'repacked' in load.kernels", "load.gpu != 'off'")

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

ENDS_SLOWLY = """
import os, time
from llmsuggestd.engine import __main__ as engine

end = os._exit
os._exit = lambda code: (time.sleep(60), end(code))
engine.main()
"""

FAILS_WHILE_LOADING = """
from llmsuggestd.engine import __main__ as engine

class Engine(engine.Engine):
    def __init__(self, load):
        raise ZeroDivisionError("a fault of ours")

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


def suggest(id_: int = 1, goals: Sequence[str] = ("⊢ 2 = 2",), **fields: Any) -> protocol.Suggest:
    return request(*goals, id=id_, **fields)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(*[tmp_path] * 5)


def served(
    load: protocol.Load, paths: Paths, command: Sequence[str] = COMMAND, *, idle: float = 0.0
) -> ServedModel:
    return ServedModel("m", load, paths, idle=idle, command=command)


async def started(model: ServedModel) -> EngineProcess:
    """The model's engine, started if it does not run."""
    await model.load()
    assert model.engine is not None
    return model.engine


def environment_of(pid: int) -> dict[str, str]:
    """A process's environment (Linux)."""
    rows = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(row.split("=", 1) for row in rows if row)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the condition was not met within 20 s")


async def test_a_build_runs_in_place_of_the_installed_llama_cpp(paths: Paths) -> None:
    build = builds.folder(paths, "cuda")
    installed = builds.library(None).parent
    build.mkdir(parents=True)
    (build / "llama_cpp").symlink_to(installed)
    model = served(load(), paths)
    engine = await started(model)
    assert str(build) in environment_of(engine.pid)["PYTHONPATH"].split(os.pathsep)
    await model.close()


async def test_the_installed_llama_cpp_replaces_a_build_that_does_not_work(
    paths: Paths, caplog: pytest.LogCaptureFixture
) -> None:
    broken = builds.folder(paths, "cuda") / "llama_cpp"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise OSError('libcudart.so.12: cannot open')")
    model = served(load(), paths)
    assert len((await model.ask(suggest())).result.found[0].suggestions) == 3
    assert "trying the installed llama.cpp" in caplog.text
    await model.close()


@pytest.mark.parametrize("kernels", ["repacked", "own"])
async def test_a_crash_at_the_first_decode_is_survived_and_remembered(
    paths: Paths, kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (sys.executable, "-c", DIES_WITH_KERNELS.replace("repacked", kernels))
    model = served(load(), paths, command)
    assert not model.crashed
    assert len((await model.ask(suggest())).result.found[0].suggestions) == 3
    assert model.crashed == {kernels}
    await model.close()

    # a new daemon on the same machine and build does not try again
    assert crashes.recall(paths) == {kernels}
    later = served(load(), paths, (*command, "unused"))
    assert later.crashed == {kernels}
    await later.close()

    # another build or machine tries again, and its result is recorded beside this one
    with monkeypatch.context() as patch:
        patch.setattr(crashes, "machine_and_build", lambda _: "another")
        assert not crashes.recall(paths)
        crashes.remember(paths, frozenset())
    assert crashes.recall(paths) == {kernels}
    paths.engine_memory.write_text("not JSON")
    assert not crashes.recall(paths)


async def test_after_three_crashes_the_engine_is_not_restarted(paths: Paths) -> None:
    model = served(load(), paths, (sys.executable, "-c", DIES_WHEN_ASKED))
    for id_ in range(STRIKES):
        with pytest.raises(EngineDied, match="SIGABRT"):
            await model.ask(suggest(id_))
    with pytest.raises(EngineError, match="3 times in a row"):
        await model.ask(suggest())
    assert model.failure is not None
    assert model.engine is None
    await model.close()


async def test_a_model_that_failed_is_tried_again_when_its_file_is_another(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model.gguf"
    model = served(load(file), paths)
    spawned: list[str] = []
    spawn = model._spawn

    async def count() -> EngineProcess:
        spawned.append("")
        return await spawn()

    monkeypatch.setattr(model, "_spawn", count)
    for number, content in enumerate([None, b"half a model", b"another half"], 1):
        if content is not None:
            file.write_bytes(content)
        for id_ in range(STRIKES):
            with pytest.raises(LoadFailed, match="could not be loaded"):
                await model.ask(suggest(id_))
        assert len(spawned) == number  # one attempt per file
    shutil.copy(store.SHIPPED, file)
    assert len((await model.ask(suggest())).result.found[0].suggestions) == 3
    assert model.failure is None
    await model.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
async def test_an_engine_that_is_killed_while_loading_is_tried_again(
    paths: Paths, tmp_path: Path
) -> None:
    """For example, by the kernel for lack of memory."""
    (tmp_path / "short of memory").touch()
    command = (sys.executable, "-c", KILLED_WHILE_LOADING, str(tmp_path / "short of memory"))
    model = served(load(), paths, command)
    for _ in range(2):
        with pytest.raises(EngineDied, match=r"SIGKILL.*probably out of memory \(.*11\.2 MB"):
            await started(model)
        assert model.failure is not None
    (tmp_path / "short of memory").unlink()
    assert len((await model.ask(suggest())).result.found[0].suggestions) == 3
    assert model.failure is None
    assert not model.crashed  # no fast path was the cause
    await model.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
async def test_an_engine_that_is_killed_repeatedly_pauses(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_model, "PAUSE", 2.0)
    killed = DIES_WHEN_ASKED.replace("os.abort()", "os.kill(os.getpid(), signal.SIGKILL)")
    model = served(load(), paths, (sys.executable, "-c", killed))
    for id_ in range(STRIKES):
        with pytest.raises(EngineDied, match="died while answering: killed"):
            await model.ask(suggest(id_))
    began = time.monotonic()
    with pytest.raises(EngineDied, match="died while answering: killed"):
        await model.ask(suggest(7))
    assert time.monotonic() - began < 0.2  # no engine was started
    monkeypatch.setattr(model, "_command", COMMAND)
    await asyncio.sleep(2)
    assert len((await model.ask(suggest(8))).result.found[0].suggestions) == 3
    await model.close()


async def test_an_engine_that_cannot_be_started_counts_as_dead(tmp_path: Path) -> None:
    """For example, after an upgrade has removed the running daemon's interpreter."""
    with pytest.raises(EngineDied, match="cannot be started") as caught:
        await EngineProcess.spawn(load(), (str(tmp_path / "gone"),))
    assert "`llmsuggestd restart`" in caught.value.hint


async def test_an_engines_last_output_is_in_the_message(
    paths: Paths, capfd: pytest.CaptureFixture[str]
) -> None:
    code = "import sys; print('x' * 9000, file=sys.stderr); sys.exit('a.c:7: GGML_ASSERT failed')"
    model = served(load(), paths, (sys.executable, "-c", code))
    with pytest.raises(EngineDied, match=r"exit code 1.: a.c:7: GGML_ASSERT failed"):
        await started(model)
    assert "x" * 9000 in capfd.readouterr().err  # the log has all of it


@pytest.mark.skipif(sys.platform != "linux", reason="LD_LIBRARY_PATH is Linux's")
async def test_a_foreign_library_is_named(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example, from an activated Conda or MATLAB. Here, the file is no library at all."""
    (tmp_path / "libstdc++.so.6").write_text("no library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    model = served(load(), paths)
    with pytest.raises(EngineDied, match=r"llama\.cpp cannot be loaded") as caught:
        await started(model)
    assert str(tmp_path / "libstdc++.so.6") in caught.value.message
    assert "`unset LD_LIBRARY_PATH`" in caught.value.hint


async def test_an_engine_is_not_changed_by_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of the shell change neither its answers nor its number of threads."""
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
        assert (await engine.ask(suggest(1, n=5))).found == usual.found
        await engine.close()


async def test_an_idle_engine_is_ended_and_comes_back(paths: Paths) -> None:
    model = served(load(), paths, idle=0.3)
    first = await started(model)
    for id_ in range(5):  # an engine in use is kept
        await asyncio.sleep(0.15)
        await model.ask(suggest(id_))
    assert model.engine is first
    await asyncio.sleep(0.8)
    assert model.engine is None
    assert not first.alive
    assert len((await model.ask(suggest())).result.found[0].suggestions) == 3
    await model.close()


async def test_a_request_while_an_idle_engine_ends_gets_the_next_one(paths: Paths) -> None:
    """An engine that ends slowly is ended all the same, before another one uses its memory."""
    lingering = (sys.executable, "-c", ENDS_SLOWLY)
    model = served(load(), paths, lingering, idle=0.2)
    first = await started(model)
    await until(lambda: model.engine is None)
    assert first.alive  # its input is closed, and it has not ended yet
    assert len((await model.ask(suggest())).result.found[0].suggestions) == 3
    assert not first.alive
    await model.close()


async def test_a_load_continues_after_its_callers_have_left(paths: Paths) -> None:
    """While a user types, each request is cancelled for the next, before a model is loaded."""
    slow = (sys.executable, "-c", LOADS_SLOWLY)
    model = served(load(), paths, slow, idle=60)
    for id_ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await model.ask(suggest(id_))
        assert model.loading
    await until(lambda: model.engine is not None)
    # closing ends an engine that is still loading
    closing = served(load(), paths, slow)
    task = asyncio.create_task(closing.load())
    await asyncio.sleep(0.1)
    await closing.close()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not closing.loading
    await model.close()


async def test_an_engine_that_hangs_is_killed(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CANCEL_TIMEOUT", 2.0)
    model = served(load(), paths)
    engine = await started(model)
    for id_ in range(3):  # an engine that gives up cancelled requests is not killed
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await model.ask(suggest(id_, goals=["x" * 3000], n=32, max_tokens=512))
    await asyncio.sleep(2.5)
    assert model.engine is engine
    os.kill(engine.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await model.ask(suggest(4))
    with pytest.raises(EngineDied, match=r"hung, and was killed \(SIGKILL\)"):
        await model.ask(suggest(5))
    assert model.engine is None
    assert len((await model.ask(suggest(6))).result.found[0].suggestions) == 3
    await model.close()


@pytest.mark.parametrize("leaves", ["before", "after"])
async def test_a_cancellation_at_the_moment_of_the_answer_is_harmless(
    leaves: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both happen in one turn of the event loop, and no reply to the cancellation follows."""
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


async def test_an_engine_that_dies_while_idle_is_noticed(
    paths: Paths, caplog: pytest.LogCaptureFixture
) -> None:
    model = served(load(), paths)
    os.kill((await started(model)).pid, signal.SIGKILL)
    await until(lambda: model.engine is None)
    assert "the engine died while it had nothing to do (SIGKILL)" in caplog.text
    assert len((await model.ask(suggest())).result.found[0].suggestions) == 3
    await model.close()


async def test_a_long_answer_does_not_count_as_idle(paths: Paths) -> None:
    slow = (sys.executable, "-c", ANSWERS_SLOWLY)
    model = served(load(), paths, slow, idle=0.2)
    assert len((await model.ask(suggest())).result.found[0].suggestions) == 3
    await model.close()


async def test_a_gpu_that_crashes_is_no_longer_used(paths: Paths) -> None:
    model = served(load(), paths, (sys.executable, "-c", DIES_WITH_A_GPU))
    assert len((await model.ask(suggest())).result.found[0].suggestions) == 3
    assert not model.crashed  # the kernels were not the cause
    await model.close()


async def test_a_model_that_cannot_be_loaded_disables_no_kernels(
    paths: Paths, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(store.SHIPPED.read_bytes()[:100_000])
    model = served(load(broken), paths)
    with pytest.raises(LoadFailed):
        await started(model)
    assert not model.crashed


async def test_a_file_that_is_no_model_is_named_with_a_remedy(paths: Paths, tmp_path: Path) -> None:
    pointer = tmp_path / "pointer.gguf"
    pointer.write_bytes(b"version https://git-lfs.github.com/spec/v1\nsize 12345678\n")
    with pytest.raises(LoadFailed, match=r"pointer\.gguf is a pointer of git-lfs") as caught:
        await started(served(load(pointer), paths))
    assert "git lfs pull" in caught.value.hint


async def test_a_fault_of_the_engines_own_is_no_crash_of_a_kernel(paths: Paths) -> None:
    model = served(load(), paths, (sys.executable, "-c", FAILS_WHILE_LOADING))
    with pytest.raises(EngineDied, match="a fault of ours") as caught:
        await started(model)
    assert not caught.value.crash
    assert model.crashed == frozenset()


async def test_an_engine_ends_at_a_request_of_another_version(paths: Paths) -> None:
    """An upgrade can start a newer engine under an older daemon."""
    newer = msgspec.structs.replace(load(), kernels=("of a later version",))
    async with asyncio.timeout(20):
        with pytest.raises(EngineDied, match="of a later version"):
            await EngineProcess.spawn(newer)


async def test_an_engine_with_invalid_output_is_ended(paths: Paths) -> None:
    nonsense = (sys.executable, "-c", "print('hello, I am not an engine at all')")
    model = served(load(), paths, nonsense)
    with pytest.raises(EngineDied):
        await started(model)


async def test_a_cancelled_request_frees_the_engine() -> None:
    engine = await EngineProcess.spawn(load())
    try:
        slow = suggest(1, goals=["x" * 3000], n=32, max_tokens=512)
        task = asyncio.create_task(engine.ask(slow))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            result = await engine.ask(suggest(2))
        assert len(result.found[0].suggestions) == 3
    finally:
        await engine.close()


@pytest.mark.parametrize("kernels", ["own", "plain"])
async def test_draws_for_several_goals_are_those_for_each_goal_alone(
    kernels: protocol.Kernels,
) -> None:
    """This holds even for kernels whose rounding depends on the other tokens of a batch."""
    changed = msgspec.structs.replace(load(), kernels=(kernels, "plain"))
    engine = await EngineProcess.spawn(changed)
    goals = ["⊢ 2 + 2 = 4", "p q : Prop\nh : p ∧ q\n⊢ q ∧ p", "p q : Prop\nh : p\n⊢ p ∨ q"]
    draws: dict[str, Any] = {"mode": "sample", "seed": 3, "temperature": 1.0, "n": 4}
    try:
        together = (await engine.ask(suggest(1, goals=goals, **draws))).found
        assert len({found.suggestions[0].text for found in together}) > 1
        for goal, found in zip(goals, together, strict=True):
            assert (await engine.ask(suggest(2, goals=[goal], **draws))).found == [found]
    finally:
        await engine.close()


async def test_a_cancelled_request_for_several_goals_frees_the_engine() -> None:
    """The request is cancelled in its prompts, between steps, and in its second batch."""
    engine = await EngineProcess.spawn(load())
    goals = [f"{'x' * 300} {n}\n⊢ False" for n in range(16)]
    try:
        for id_, seconds in enumerate((0.0, 0.02, 0.1, 0.3), 2):
            task = asyncio.create_task(engine.ask(suggest(id_, goals=goals, n=32, max_tokens=512)))
            await asyncio.sleep(seconds)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(10):
                result = await engine.ask(suggest(90 + id_))
            assert len(result.found[0].suggestions) == 3
    finally:
        await engine.close()


async def test_every_request_frees_its_cells(tmp_path: Path) -> None:
    """After requests that fill the context many times, the first question has the same answer."""
    engine = await EngineProcess.spawn(load())
    try:
        first = await engine.ask(suggest(0))
        for id_ in range(1, 40):
            goal = f"h{id_} : a = b\n" * (id_ % 7 * 12) + f"⊢ {id_} = {id_}"
            goals = [goal, *(f"⊢ {id_} = {n}" for n in range(id_ % 3))]
            await engine.ask(suggest(id_, goals=goals, n=1 + id_ % 32, max_tokens=12))
        last = await engine.ask(suggest(99))
        texts = [[one.text for one in answer.found[0].suggestions] for answer in (first, last)]
        assert texts[0] == texts[1]
    finally:
        await engine.close()


async def test_closing_ends_the_process_and_asking_then_fails() -> None:
    engine = await EngineProcess.spawn(load())
    await engine.close()
    assert not engine.alive
    with pytest.raises(EngineDied):
        await engine.ask(suggest())


def test_the_engine_is_started_without_the_current_directory_in_its_path() -> None:
    """A file named llmsuggestd.py in the current folder must not be run."""
    assert "-P" in COMMAND
