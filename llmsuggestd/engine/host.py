"""The engine process as the daemon sees it: start it, ask it, survive it.

llama.cpp ends the whole process on some bad inputs and, on some CPUs, at the first decode of a
quantised model (its AMX code path). So each engine is a child that proves itself with a decode
before it is used; one that a signal kills while loading is tried again without llama.cpp's extra
buffer types and without our own kernels, and what crashed is remembered for this machine and build.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import math
import os
import platform
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from llmsuggestd import environment
from llmsuggestd.engine import builds, postmortem, protocol
from llmsuggestd.engine.postmortem import Death
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.paths import Paths, write_atomically
from llmsuggestd.version import __version__

log = logging.getLogger(__name__)

COMMAND: Final = (sys.executable, *environment.PYTHON_OPTIONS, "-m", "llmsuggestd.engine")

LOAD_TIMEOUT: Final = 300.0
"""Seconds a model may take to load, from a slow disk say."""

CANCEL_TIMEOUT: Final = 30.0
"""Seconds after which an engine that has not given up a cancelled request hangs, and is killed. It
takes milliseconds; on a machine that has run out of memory, perhaps seconds."""

STRIKES: Final = 3
"""Crashes in a row after which the engine is not started again by itself."""

PAUSE: Final = 30.0
"""Seconds until another try where an engine has died STRIKES times for a reason that may pass."""

TAIL: Final = 4096
"""Bytes of what an engine has written last, for a message in case it dies."""

FAST_PATHS: Final = ("extra_buffers", "own_kernels")
"""What an engine does without where it crashes, first by one alone: fields of `protocol.Load`."""


class EngineError(LlmsuggestdError):
    """The engine could not answer; asking again may work."""

    code = "engine_failed"
    passing = False
    """Of an engine that could not start: whether another try may work."""


class EngineDied(EngineError):
    """The engine's process ended."""

    def __init__(self, death: Death) -> None:
        hint = death.hint or "ask again; `llmsuggestd logs` and `llmsuggestd doctor` say more"
        super().__init__(death.message, hint)
        self.cause = death.cause
        self.passing = death.passing
        self.crash = death.crash


class LoadFailed(EngineError):
    """The engine lives but cannot load the model."""

    code = "model_failed"

    def __init__(self, message: str, hint: str, *, passing: bool = False) -> None:
        super().__init__(message, hint)
        self.passing = passing


class EngineProcess:
    """One running engine with its model loaded. Make it with `spawn`."""

    def __init__(self, process: asyncio.subprocess.Process, model_bytes: int | None = None) -> None:
        self._process = process
        self._model_bytes = model_bytes
        self._words = b""  # the end of what it has written since it began what it is at
        self._hung = False
        self._waiting: dict[int, asyncio.Future[protocol.Result]] = {}
        self._unanswered: dict[int, asyncio.TimerHandle | None] = {}
        """Requests without a reply so far; a cancelled one has the timer that kills the engine."""
        self._closing = False
        self._loaded: asyncio.Future[protocol.Loaded] = asyncio.get_running_loop().create_future()
        self._listener = asyncio.create_task(self._listen())
        self._reader = asyncio.create_task(self._read())
        self._activity = "loading"
        self.info: protocol.Loaded

    @classmethod
    async def spawn(
        cls, load: protocol.Load, command: Sequence[str] = COMMAND, build: Path | None = None
    ) -> EngineProcess:
        """Start an engine with a llama.cpp (see `engine.builds`), and load a model.

        Raises LoadFailed if the model cannot be loaded, EngineDied if the process ends.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment.for_engine(build=build),
            start_new_session=True,  # Ctrl-C is for the daemon, which then ends the engine
        )
        engine = cls(process, file_size(Path(load.path)))
        try:
            engine._send(load)
            async with asyncio.timeout(LOAD_TIMEOUT):
                engine.info = await engine._loaded
        except TimeoutError:
            await engine.close()
            raise LoadFailed(
                f"loading took more than {LOAD_TIMEOUT:.0f} s",
                "ask again, or try a smaller model",
                passing=True,
            ) from None
        except BaseException:
            await engine.close()
            raise
        engine._activity = "answering"
        return engine

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the child can still be asked."""
        return not self._reader.done()

    async def ask(self, request: protocol.Suggest) -> protocol.Result:
        """Have a request answered; cancelling the caller cancels it in the engine.

        Raises EngineDied if the process ends meanwhile, EngineError if llama.cpp fails.
        """
        if not self.alive:
            raise EngineDied(self._death())
        if not self._waiting:
            self._words = b""
        future: asyncio.Future[protocol.Result] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = future
        self._unanswered[request.id] = None
        self._send(request)
        try:
            return await future
        except asyncio.CancelledError:
            # the reply may have come just before or after the caller left: then none is due
            if request.id in self._unanswered:
                self._cancel(request.id)
            raise
        finally:
            del self._waiting[request.id]

    def _cancel(self, request_id: int) -> None:
        """Have a request given up, or the engine ended: one that hangs would hang for everyone."""
        self._send(protocol.Cancel(request_id))
        loop = asyncio.get_running_loop()
        self._unanswered[request_id] = loop.call_later(CANCEL_TIMEOUT, self._kill_hung)

    def _kill_hung(self) -> None:
        log.error("the engine (pid %d) hangs, and is killed", self.pid)
        self._hung = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def close(self) -> None:
        """End the process: by closing its standard input, then less politely. Returns when gone."""
        self._closing = True
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(1):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await self._reader

    def _send(self, message: protocol.Request) -> None:
        assert self._process.stdin is not None
        # a dead child's pipe swallows this; the reader finds out and fails what waits
        self._process.stdin.write(protocol.frame(message))

    async def _read(self) -> None:
        """Hand each reply to who waits for it; at the end, fail whoever still waits."""
        assert self._process.stdout is not None
        try:
            while (reply := await protocol.read_reply(self._process.stdout)) is not None:
                self._deliver(reply)
        except protocol.ProtocolError as error:
            log.error("the engine sent something else than an answer: %s", error)
            self._process.kill()
        await self._process.wait()
        await self._listener
        died = EngineDied(self._death())
        for timer in self._unanswered.values():
            if timer is not None:
                timer.cancel()
        self._unanswered.clear()
        if not self._loaded.done():
            self._loaded.set_exception(died)
        elif not self._closing and not self._waiting:
            log.error("the engine died while it had nothing to do (%s)", died.cause)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(died)

    async def _listen(self) -> None:
        """Pass on what the engine writes to our standard error, the log, and keep the end of it."""
        assert self._process.stderr is not None
        while piece := await self._process.stderr.read(TAIL):
            self._words = (self._words + piece)[-TAIL:]
            with contextlib.suppress(OSError):  # a full disk, or no standard error
                os.write(2, piece)

    def _death(self) -> Death:
        """Why the process has ended, and what to do."""
        code = self._process.returncode
        if self._hung:
            cause = postmortem.cause_of(code or 0)
            return Death(cause, f"the engine hung, and was killed ({cause})", "ask again", True)
        words = self._words.decode(errors="replace")
        return postmortem.examine(code or 0, words, self._activity, self._model_bytes)

    def _deliver(self, reply: protocol.Reply) -> None:
        if isinstance(reply, protocol.Loaded):
            self._loaded.set_result(reply)
        elif reply.id is None:
            self._loaded.set_exception(self._load_failed(reply.message))
        else:
            self._settle(reply.id, reply)

    def _settle(self, request_id: int, reply: protocol.Result | protocol.Failed) -> None:
        """Hand a reply to its request, if somebody still waits for it."""
        if (timer := self._unanswered.pop(request_id, None)) is not None:
            timer.cancel()
        if (future := self._waiting.get(request_id)) and not future.done():
            if isinstance(reply, protocol.Result):
                future.set_result(reply)
            else:
                future.set_exception(EngineError(f"llama.cpp: {reply.message}", "ask again"))

    def _load_failed(self, words: str) -> LoadFailed:
        message = f"the model could not be loaded: {words}"
        if postmortem.is_out_of_memory(words):
            return LoadFailed(*postmortem.out_of_memory(message, self._model_bytes), passing=True)
        return LoadFailed(message, "`llmsuggestd install` puts a sound starter model in place")


class Supervisor:
    """Keeps an engine for one model: starts it when needed, again after a crash, thrice at most.

    An engine that nobody has asked for `idle` seconds is ended, which gives its memory back, and
    the next request starts another; 0 keeps it for ever.
    """

    def __init__(
        self,
        load: protocol.Load,
        paths: Paths,
        command: Sequence[str] = COMMAND,
        *,
        idle: float = 0.0,
    ) -> None:
        self._load = load
        self._idle = idle
        self._users = 0
        self._retirement: asyncio.Task[None] | None = None
        self._paths = paths
        self._command = command
        self._lock = asyncio.Lock()
        self._strikes = 0
        self._loading: asyncio.Task[EngineProcess] | None = None
        self._engine: EngineProcess | None = None
        self.file: tuple[int, ...] = ()
        """The identity that the model's file had when the engine read it."""
        self.failure: LlmsuggestdError | None = None
        """Why there is no engine; unless it may pass, none will be started."""
        self._try_at = math.inf
        """When a request tries again in spite of the failure."""
        self.retired = False
        """Whether there is no engine because nobody needed it."""
        self.crashed = recall_crashed(paths)
        """The fast paths that crash on this machine, and are left out."""

    @property
    def engine(self) -> EngineProcess | None:
        """The engine, if there is one and it lives."""
        return self._engine if self._engine is not None and self._engine.alive else None

    @property
    def loading(self) -> bool:
        """Whether an engine is being started."""
        return self._loading is not None

    async def ready(self) -> EngineProcess:
        """The engine, started first if there is none.

        Who gives up waiting does not stop the start: while somebody types, each request is given
        up for the next, and none would live to see a large model loaded. Raises LoadFailed or
        EngineDied, and from then on the same again, unless the reason may have passed.
        """
        async with self._in_use():
            if self.engine is not None:
                return self.engine
            if self.failure is not None and time.monotonic() < self._try_at:
                raise self.failure
            if self._loading is None:
                self._loading = asyncio.create_task(self._start())
                self._loading.add_done_callback(take_note)
            return await asyncio.shield(self._loading)

    async def _start(self) -> EngineProcess:
        try:
            async with self._in_use(), self._lock:
                if self._strikes:
                    await asyncio.sleep(0.1 * 2 ** min(self._strikes, STRIKES))
                file = file_identity(Path(self._load.path))
                self._engine = engine = await self._spawn()
                self.file = file
        except EngineError as error:
            self._engine = None
            self._strikes += 1
            self._give_up(error)
            log.error("%s", error.message)
            raise
        finally:
            self._loading = None
        self.retired = False
        self.failure = None
        info = engine.info
        log.info(
            "loaded %s on %s, %d threads, %s kernels, in %.0f ms (engine pid %d)",
            info.description, info.device, info.threads, info.kernels, info.load_ms, engine.pid,
        )  # fmt: skip
        return engine

    async def ask(self, request: protocol.Suggest) -> protocol.Result:
        """Have the engine answer; counts its crashes."""
        async with self._in_use():
            engine = await self.ready()
            try:
                result = await engine.ask(request)
            except EngineDied as error:
                self._strike(engine, error)
                raise
        self._strikes = 0
        return result

    async def close(self) -> None:
        """End the engine, if there is one or is about to be."""
        if self._retirement is not None:
            self._retirement.cancel()
        if self._loading is not None:
            self._loading.cancel()
        async with self._lock:
            if self._engine is not None:
                await self._engine.close()
                self._engine = None

    @contextlib.asynccontextmanager
    async def _in_use(self) -> AsyncIterator[None]:
        """Keep the engine while the block runs; the last user to leave starts its idle time."""
        self._users += 1
        if self._retirement is not None:
            self._retirement.cancel()
            self._retirement = None
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0 and self._idle:
                self._retirement = asyncio.create_task(self._retire())

    async def _retire(self) -> None:
        await asyncio.sleep(self._idle)
        async with self._lock:
            if (engine := self.engine) is not None:
                self._engine = None
                self.retired = True
                log.info("nobody asked for %.0f s: the engine is unloaded", self._idle)
                await engine.close()

    def _strike(self, engine: EngineProcess, error: EngineDied) -> None:
        if engine is not self._engine:
            return  # another request has counted this death already
        self._engine = None
        self._strikes += 1
        log.error("%s, strike %d of %d", error.message, self._strikes, STRIKES)
        if self._strikes >= STRIKES:
            self._give_up(
                error
                if error.passing
                else EngineError(
                    f"the engine died {STRIKES} times in a row, last of {error.cause}",
                    "`llmsuggestd restart` tries again; `llmsuggestd logs` may say why",
                )
            )

    def _give_up(self, error: EngineError) -> None:
        """Keep why there is no engine, and until when none is started."""
        self.failure = error
        pause = PAUSE if self._strikes >= STRIKES else 0.0
        self._try_at = time.monotonic() + pause if error.passing else math.inf

    async def _spawn(self) -> EngineProcess:
        """Start an engine, with the installed llama.cpp where the chosen build does not work.

        A home may be shared with a machine that lacks the build's GPU or libraries.
        """
        build = builds.chosen(self._paths)
        if build is not None:
            try:
                return await self._spawn_with(build)
            except EngineDied as error:
                log.warning("%s with %s: trying the installed llama.cpp", error.message, build)
        return await self._spawn_with(None)

    async def _spawn_with(self, build: Path | None) -> EngineProcess:
        """Start an engine; one that a crash ends is tried with less of what may have crashed."""
        left_out = [self.crashed, *(self.crashed | {path} for path in FAST_PATHS),
                    frozenset(FAST_PATHS)]  # fmt: skip
        attempts = [(gpu, paths) for gpu in (self._load.gpu, "off") for paths in left_out]
        last: EngineDied | None = None
        for gpu, without in dict.fromkeys(attempts):
            load = msgspec.structs.replace(
                self._load,
                gpu=gpu,
                extra_buffers="extra_buffers" not in without,
                own_kernels="own_kernels" not in without,
            )
            if last is not None:
                log.warning(
                    "the engine died of %s at its first decode: trying gpu %s, without %s",
                    last.cause, gpu, " or ".join(sorted(without)) or "nothing less",
                )  # fmt: skip
            try:
                engine = await EngineProcess.spawn(load, self._command, build)
            except EngineDied as error:
                if not error.crash:
                    raise
                last = error
                continue
            if gpu == self._load.gpu and without != self.crashed:
                self.crashed = without
                _remember_crashed(self._paths, without)
            return engine
        assert last is not None
        raise last


def take_note(task: asyncio.Task[Any]) -> None:
    """Call a task's error seen: it is logged and kept, and nobody may be left to await it."""
    if not task.cancelled():
        task.exception()


def file_size(path: Path) -> int | None:
    """The bytes of a file; None if it cannot be looked at."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def file_identity(path: Path) -> tuple[int, ...]:
    """What changes when a file is replaced; empty if there is none."""
    try:
        info = path.stat()
    except OSError:
        return ()
    return (info.st_ino, info.st_size, info.st_mtime_ns)


def machine_and_build(paths: Paths) -> str:
    """A word that changes when the CPU's features, the build of llama.cpp or our own version do."""
    try:
        cpu = next(
            line for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith(("flags", "Features"))
        )  # fmt: skip
    except (OSError, StopIteration):
        cpu = platform.processor()
    library = builds.library(builds.chosen(paths))
    built = max((file.stat().st_mtime_ns for file in library.glob("*")), default=0)
    text = f"{cpu} {builds.version()} {library} {built} {__version__}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def recall_crashed(paths: Paths) -> frozenset[str]:
    """Those of FAST_PATHS that crashed on this machine and build before."""
    try:
        remembered = json.loads(paths.engine_memory.read_text())
        if remembered["for"] != machine_and_build(paths):
            return frozenset()
        return frozenset(FAST_PATHS).intersection(remembered["crashed"])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def _remember_crashed(paths: Paths, crashed: frozenset[str]) -> None:
    record = {
        "for": machine_and_build(paths),
        "crashed": sorted(crashed),
        "when": time.strftime("%Y-%m-%d"),
    }
    try:
        write_atomically(paths.engine_memory, json.dumps(record).encode())
    except OSError as error:
        log.warning("cannot write %s: %s", paths.engine_memory, error)
