"""One model and the engine that answers for it.

llama.cpp ends its process on some bad inputs and, on some CPUs, at the first decode of a quantised
model (in its AMX code). So each engine has to pass a first decode before it is used. If a signal
kills it there, it is started again without the kernels that may have crashed. `crashes` records
these.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from llmsuggestd.engine import builds, crashes, protocol
from llmsuggestd.engine.host import COMMAND, EngineDied, EngineError, EngineProcess
from llmsuggestd.engine.protocol import KERNELS, Kernels
from llmsuggestd.engine.users import Users
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.formats import Format
from llmsuggestd.paths import Paths
from llmsuggestd.units import milliseconds

log = logging.getLogger(__name__)

STRIKES: Final = 3
"""Number of consecutive crashes after which the engine is not restarted automatically."""

PAUSE: Final = 30.0
"""Seconds until the next try, after STRIKES deaths for a reason that may pass."""


class Answer(NamedTuple):
    """A question's result, with the times before the engine began, in milliseconds."""

    result: protocol.Result
    queue_ms: float
    """Time spent waiting for earlier questions."""
    load_ms: float
    """Time spent waiting for the engine to start."""
    model: str | None = None
    """The model that answered, if it was not the one that was asked."""
    sent_to: str | None = None
    """The server to which the goals were sent."""


class ServedModel:
    """A model that answers questions, one at a time.

    Its engine starts when a question needs one. It starts again after a crash, at most STRIKES
    times in a row, or if the model's file has changed since. After `idle` seconds without a
    question the engine ends, which frees its memory; 0 means never.
    """

    def __init__(
        self,
        model_id: str,
        load: protocol.Load,
        paths: Paths,
        *,
        idle: float = 0.0,
        command: Sequence[str] = COMMAND,
        find: Callable[[], protocol.Load] | None = None,
    ) -> None:
        """`find` looks for the model's file before each start. It returns what to load then, or
        raises an error if there is no file. Without it, `load` is used.
        """
        self.id = model_id
        self.failure: LlmsuggestdError | None = None
        """The reason why there is no engine. A lasting reason prevents further starts."""
        self.crashed = crashes.recall(paths)
        """The kernels that crash on this machine and are therefore not used."""
        self._load = load
        self._paths = paths
        self._idle = idle
        self._command = command
        self._find = find
        self._turn = asyncio.Lock()
        # held while an engine starts or ends, since two need twice the memory
        self._changing = asyncio.Lock()
        self._users = Users()
        self._retirement: asyncio.Task[None] | None = None
        """Waits until the engine has been idle for long enough."""
        self._unloading: asyncio.Task[None] | None = None
        """Ends the engine after that. Kept here, since asyncio keeps no task alive."""
        self._loading: asyncio.Task[EngineProcess] | None = None
        self._engine: EngineProcess | None = None
        self._file: tuple[int, ...] = ()
        """The identity of the file with which the last engine was started."""
        self._strikes = 0
        self._try_at = math.inf

    @property
    def engine(self) -> EngineProcess | None:
        """The engine, if there is one and it is alive."""
        return self._engine if self._engine is not None and self._engine.alive else None

    @property
    def format(self) -> Format:
        """Its prompt format."""
        return self._load.format

    @property
    def found(self) -> bool:
        """Whether its file has been found. Only then the format is known."""
        return bool(self._load.path)

    @property
    def loading(self) -> bool:
        """Whether an engine is being started."""
        return self._loading is not None

    @property
    def identity(self) -> tuple[object, ...]:
        """What distinguishes this model from every other: its id, file, context and format.

        The file is the one that the engine has read. Replacing it has no effect before the next
        load.
        """
        file = self._file if self.engine is not None else _file_identity(Path(self._load.path))
        return (self.id, *file, self._load.context, self.format)

    async def load(self) -> protocol.Loaded:
        """Start the engine if there is none, and describe the loaded model.

        Cancelling the caller does not stop the start: while a user types, each request cancels the
        previous one, and none would last until a large model is loaded. Raises LoadFailed or
        EngineDied, and later the same error again, unless its reason may have passed. Raises the
        error of `find` while there is no file.
        """
        with self._in_use():
            return (await self._started()).info

    async def ask(self, question: protocol.Suggest) -> Answer:
        """Answer a question, after the earlier ones.

        Raises the errors of `load`, EngineDied if the engine ends meanwhile, and EngineError if
        llama.cpp fails.
        """
        began = time.monotonic()
        with self._in_use():
            async with self._turn:
                turn = time.monotonic()
                engine = await self._started()
                started = time.monotonic()
                try:
                    result = await engine.ask(question)
                except EngineDied as error:
                    self._strike(engine, error)
                    raise
        self._strikes = 0
        return Answer(result, milliseconds(turn - began), milliseconds(started - turn))

    async def drain(self) -> None:
        """Wait until no question is left, then end the engine."""
        await self._users.gone()
        await self.close()

    async def close(self) -> None:
        """End the engine, even while it is being started."""
        for task in (self._retirement, self._loading):
            if task is not None:
                task.cancel()
        async with self._changing:
            if self._engine is not None:
                await self._engine.close()
                self._engine = None

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        """Keep the engine while the block runs. When the last user leaves, its idle time begins."""
        if self._retirement is not None:
            self._retirement.cancel()
            self._retirement = None
        try:
            with self._users:
                yield
        finally:
            if not self._users and self._idle:
                self._retirement = asyncio.create_task(self._retire())

    async def _retire(self) -> None:
        await asyncio.sleep(self._idle)
        # From here on, nobody cancels this: an engine that is half ended has to end.
        self._unloading, self._retirement = self._retirement, None
        async with self._changing:
            if (engine := self.engine) is not None and not self._users:
                self._engine = None
                log.info("no request for %.0f s: unloading the model", self._idle)
                await engine.close()

    async def _started(self) -> EngineProcess:
        if self.engine is not None:
            return self.engine
        if self._loading is None:
            self._look_again()
        if self.failure is not None and time.monotonic() < self._try_at:
            raise self.failure
        if self._loading is None:
            self._loading = asyncio.create_task(self._start())
            self._loading.add_done_callback(retrieve_error)
        return await asyncio.shield(self._loading)

    def _look_again(self) -> None:
        """Find the model's file and format, and forget a failure if one of them has changed.

        Raises the error of `find` if the file is missing.
        """
        before = self._load
        if self._find is not None:
            try:
                self._load = self._find()
            except LlmsuggestdError as error:
                self._load = msgspec.structs.replace(self._load, path="")
                self.failure = error
                raise
        file = _file_identity(Path(self._load.path))
        if self.failure is not None and (self._load != before or file != self._file):
            self.failure = None
            self._strikes = 0

    async def _start(self) -> EngineProcess:
        try:
            with self._in_use():
                async with self._changing:
                    if self._strikes:
                        await asyncio.sleep(0.1 * 2 ** min(self._strikes, STRIKES))
                    self._file = _file_identity(Path(self._load.path))
                    self._engine = engine = await self._spawn()
        except EngineError as error:
            self._engine = None
            self._strikes += 1
            self._give_up(error)
            log.error("%s", error.message)
            raise
        finally:
            self._loading = None
        self.failure = None
        info = engine.info
        log.info(
            "loaded %s on %s, %d threads, %s kernels, in %.0f ms (engine pid %d)",
            info.description, info.device, info.threads, info.kernels, info.load_ms, engine.pid,
        )  # fmt: skip
        return engine

    async def _spawn(self) -> EngineProcess:
        """Start an engine, with the installed llama.cpp if the chosen build does not work.

        A home may be shared with a machine that lacks the build's GPU or libraries.
        """
        build = builds.chosen(self._paths)
        if build is not None:
            try:
                return await self._spawn_with(build)
            except EngineDied as error:
                if error.cause in ("SIGKILL", "SIGTERM"):  # the build is not the cause
                    raise
                log.warning("%s with %s: trying the installed llama.cpp", error.message, build)
        return await self._spawn_with(None)

    async def _spawn_with(self, build: Path | None) -> EngineProcess:
        """Start an engine. After a crash, try again with fewer kernels, then without the GPU."""
        last: EngineDied | None = None
        for gpu, without in self._attempts():
            kernels = tuple(name for name in KERNELS if name not in without)
            if last is not None:
                log.warning(
                    "the engine died of %s at its first decode: trying gpu %s, kernels %s",
                    last.cause, gpu, " or ".join(kernels),
                )  # fmt: skip
            load = msgspec.structs.replace(self._load, gpu=gpu, kernels=kernels)
            try:
                engine = await EngineProcess.spawn(load, self._command, build)
            except EngineDied as error:
                if not error.crash:
                    raise
                last = error
                continue
            if gpu == self._load.gpu and without != self.crashed:
                self.crashed = without
                crashes.remember(self._paths, without)
            return engine
        assert last is not None
        raise last

    def _attempts(self) -> dict[tuple[Any, frozenset[Kernels]], None]:
        """Pairs to try in this order: a setting for the GPU, and the kernels to leave out."""
        optional: list[frozenset[Kernels]] = [
            frozenset(), frozenset({"repacked"}), frozenset({"own"}), frozenset({"repacked", "own"})
        ]  # fmt: skip
        left_out = [self.crashed | more for more in optional]
        return dict.fromkeys(
            (gpu, without) for gpu in (self._load.gpu, "off") for without in left_out
        )

    def _strike(self, engine: EngineProcess, error: EngineDied) -> None:
        """Count a crash while answering."""
        if engine is not self._engine:
            return  # this crash has been counted
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
        """Record the reason why there is no engine, and the time until which none is started."""
        self.failure = error
        pause = PAUSE if self._strikes >= STRIKES else 0.0
        self._try_at = time.monotonic() + pause if error.passing else math.inf


def retrieve_error(task: asyncio.Task[Any]) -> None:
    """Mark a task's error as retrieved, since the task may not be awaited. The error was logged."""
    if not task.cancelled():
        task.exception()


def _file_identity(path: Path) -> tuple[int, ...]:
    """Inode, size and modification time, which change with the file; empty without a file."""
    try:
        info = path.stat()
    except OSError:
        return ()
    return (info.st_ino, info.st_size, info.st_mtime_ns)
