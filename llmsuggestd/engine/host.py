"""The parent's side of an engine's process: starting it, asking it, and explaining its death."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from llmsuggestd import environment
from llmsuggestd.engine import postmortem, protocol
from llmsuggestd.engine.postmortem import Death
from llmsuggestd.errors import ExitCode, LlmsuggestdError

log = logging.getLogger(__name__)

COMMAND: Final = (sys.executable, *environment.PYTHON_OPTIONS, "-m", "llmsuggestd.engine")

LOAD_TIMEOUT: Final = 300.0
"""Timeout for loading a model, in seconds. A disk may be slow."""

CANCEL_TIMEOUT: Final = 30.0
"""Timeout for an engine to give up a cancelled request, in seconds, after which it is killed. It
usually takes milliseconds, and perhaps seconds on a machine without free memory."""

TAIL: Final = 4096
"""Bytes of an engine's last output that are kept for the message if it dies."""


class EngineError(LlmsuggestdError):
    """The engine could not answer. Asking again may work."""

    code = "engine_failed"
    passing = False
    """Whether another start may work, if the engine could not start."""


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
    exit_code = ExitCode.MODEL

    def __init__(self, message: str, hint: str, *, passing: bool = False) -> None:
        super().__init__(message, hint)
        self.passing = passing


class EngineProcess:
    """One running engine with its model loaded. Make it with `spawn`."""

    def __init__(self, process: asyncio.subprocess.Process, model_bytes: int | None = None) -> None:
        self._process = process
        self._model_bytes = model_bytes
        self._words = b""  # the end of its output since its present task began
        self._hung = False
        self._waiting: dict[int, asyncio.Future[protocol.Result]] = {}
        self._unanswered: dict[int, asyncio.TimerHandle | None] = {}
        """Requests without a reply. A cancelled one has the timer that kills the engine."""
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

        Raises LoadFailed if the model cannot be loaded, EngineDied if the process ends or cannot be
        started.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment.for_engine(build=build),
                start_new_session=True,  # only the daemon handles Ctrl-C, and then ends the engine
            )
        except OSError as error:
            raise EngineDied(postmortem.not_started(error)) from error
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
        """Send a request and wait for the reply. Cancelling the caller cancels it in the engine.

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
            # if the reply arrives just before or after the cancellation, no other follows
            if request.id in self._unanswered:
                self._cancel(request.id)
            raise
        finally:
            del self._waiting[request.id]

    def _cancel(self, request_id: int) -> None:
        """Cancel a request. An engine that does not give it up blocks all others, and is killed."""
        self._send(protocol.Cancel(request_id))
        loop = asyncio.get_running_loop()
        self._unanswered[request_id] = loop.call_later(CANCEL_TIMEOUT, self._kill_hung)

    def _kill_hung(self) -> None:
        log.error("the engine (pid %d) hangs, and is killed", self.pid)
        self._hung = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def close(self) -> None:
        """End the process, by closing its input and then by signals. Returns when it has ended."""
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
        # a dead child's pipe discards this; the reader notices, and fails the waiting requests
        self._process.stdin.write(protocol.frame(message))

    async def _read(self) -> None:
        """Give each reply to its request. At the end, fail all requests that still wait."""
        assert self._process.stdout is not None
        try:
            while (reply := await protocol.read_reply(self._process.stdout)) is not None:
                self._deliver(reply)
        except protocol.ProtocolError as error:
            log.error("the engine sent invalid data: %s", error)
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
        """Copy the engine's output to our standard error, the log, and keep its end."""
        assert self._process.stderr is not None
        while piece := await self._process.stderr.read(TAIL):
            self._words = (self._words + piece)[-TAIL:]
            with contextlib.suppress(OSError):  # a full disk, or no standard error
                os.write(2, piece)

    def _death(self) -> Death:
        """The cause of the process's end, and the remedy."""
        code = self._process.returncode
        if self._hung:
            cause = postmortem.cause_of(code or 0)
            return Death(cause, f"the engine hung, and was killed ({cause})", "ask again", True)
        words = self._words.decode(errors="replace")
        return postmortem.examine(code or 0, words, self._activity, self._model_bytes)

    def _deliver(self, reply: protocol.Reply) -> None:
        if isinstance(reply, protocol.Loaded) or reply.id is None:
            if self._loaded.done():  # the load was given up
                return
            if isinstance(reply, protocol.Loaded):
                self._loaded.set_result(reply)
            else:
                self._loaded.set_exception(self._load_failed(reply))
        else:
            self._settle(reply.id, reply)

    def _settle(self, request_id: int, reply: protocol.Result | protocol.Failed) -> None:
        """Give a reply to its request, if the request still waits."""
        if (timer := self._unanswered.pop(request_id, None)) is not None:
            timer.cancel()
        if (future := self._waiting.get(request_id)) and not future.done():
            if isinstance(reply, protocol.Result):
                future.set_result(reply)
            else:
                future.set_exception(EngineError(f"llama.cpp: {reply.message}", "ask again"))

    def _load_failed(self, reply: protocol.Failed) -> LoadFailed:
        message = f"the model could not be loaded: {reply.message}"
        if postmortem.is_out_of_memory(reply.message):
            return LoadFailed(*postmortem.out_of_memory(message, self._model_bytes), passing=True)
        otherwise = "use another file or another model; `llmsuggestd install` renews the starter"
        return LoadFailed(message, reply.hint or otherwise)


def file_size(path: Path) -> int | None:
    """The size of a file in bytes; None if it cannot be read."""
    try:
        return path.stat().st_size
    except OSError:
        return None
