"""The object that the API's calls act on: it has the settings and the suggester."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
from aiohttp import web

from llmsuggestd import environment, formats, goals
from llmsuggestd.config import Config, load_config
from llmsuggestd.daemon.metrics import Metrics
from llmsuggestd.daemon.schema import (
    ModelStatus,
    RemoteStatus,
    Status,
    SuggestAnswer,
    SuggestRequest,
    SuggestResults,
)
from llmsuggestd.daemon.suggester import Model, ShuttingDown, Suggester
from llmsuggestd.engine import protocol
from llmsuggestd.engine.served_model import ServedModel, retrieve_error
from llmsuggestd.errors import ConfigError, ExitCode, LlmsuggestdError, ModelError
from llmsuggestd.formats import Format
from llmsuggestd.models import remotes, store
from llmsuggestd.paths import Paths
from llmsuggestd.remote.model import RemoteModel, Target
from llmsuggestd.version import __version__

log = logging.getLogger(__name__)

ENGINE_SETTINGS: Final = ("model", "gpu", "threads", "context", "idle_unload", "formats", "remote")
"""Settings that need a new engine to take effect."""


class Switching(LlmsuggestdError):
    """Another switch is under way."""

    code = "switching"


class NotInstalled(LlmsuggestdError):
    """The model is not installed."""

    code = "model_not_found"
    exit_code = ExitCode.MODEL


class _Switch(NamedTuple):
    """A switch under way."""

    model: Model
    """The new model."""
    task: asyncio.Task[None]


class Daemon:
    """The running daemon."""

    def __init__(
        self,
        paths: Paths,
        config: Config,
        token: str,
        llama_cpp: str,
        shut_down: Callable[[], None],
    ) -> None:
        self.paths = paths
        self.config = config
        self.token = token
        self.shut_down = shut_down
        self.stopping = asyncio.Event()
        self.metrics = Metrics()
        self.suggester = Suggester(self._served(config.model, config), self.metrics)
        self.socket: str | None = None
        self.url = ""
        self.listeners: dict[str, str] = {}
        self.streams: set[asyncio.Event] = set()
        """An event per stream of `GET /v1/events`. Setting it makes the stream check the status."""
        self._llama_cpp = llama_cpp
        self._started = time.monotonic()
        self._switch: _Switch | None = None
        self._next_config: Config | None = None
        """Settings that were read during a switch. They are applied after it."""
        self.metrics.watch(self.status, self.suggester.answers)

    def status(self) -> Status:
        """The daemon's status. Asking for it loads no model."""
        model = self.suggester.model
        engine = model.engine
        info = engine.info if engine is not None else None
        failure = model.failure
        return Status(
            state=self.suggester.state,
            reason=failure.message if failure else None,
            hint=failure.hint if failure else None,
            model=ModelStatus(
                id=model.id,
                description=info.description if info else None,
                format=model.format.name if model.found else None,
                parameters=info.parameters if info else None,
                bytes=info.bytes if info else None,
                context=info.context if info else None,
            ),
            remote=_remote_status(model),
            switching_to=self._switch.model.id if self._switch else None,
            device=info.device if info else None,
            threads=info.threads if info else None,
            kernels=info.kernels if info else None,
            instructions=info.instructions if info else None,
            crashed_kernels=sorted(model.crashed),
            environment=environment.obeyed(),
            queue=self.suggester.queue,
            engine_pid=engine.pid if engine is not None else None,
            pid=os.getpid(),
            version=__version__,
            llama_cpp=self._llama_cpp,
            uptime_s=round(time.monotonic() - self._started, 1),
            socket=self.socket,
            url=self.url,
            listeners=self.listeners,
        )

    async def suggest(self, request: SuggestRequest) -> SuggestAnswer:
        """Answer a request for one goal, as `suggest_each`."""
        answer = await self.suggest_each(request)
        (result,) = answer.results
        return SuggestAnswer(
            suggestions=result.suggestions,
            model=answer.model,
            remote=answer.remote,
            cached=result.cached,
            truncated=result.truncated,
            timings=answer.timings,
        )

    async def suggest_each(self, request: SuggestRequest) -> SuggestResults:
        """Normalise a request's goals, and answer it like `Suggester.suggest`.

        The setting `log_goals` has the goals logged. Also raises NotAGoal.
        """
        form = self.suggester.model.format
        goals = _goals(request, form)
        request = _shown(request, form)
        if self.config.log_goals:
            for goal in goals:
                log.info("asked: %s", {"goal": goal, "prefix": request.prefix})
        self._notify_streams()
        return await self.suggester.suggest(goals, request)

    async def use_model(self, model_id: str) -> None:
        """Switch to another model. The present one serves until that is loaded. The choice lasts
        until the settings are read again.

        Cancelling the caller does not cancel the switch. Raises NotInstalled, Switching while
        another switch is under way, and the errors of `ServedModel.load`. After an error, the
        present model goes on serving.
        """
        if self._switch is not None:
            if (other := self._switch.model.id) != model_id:
                raise Switching(f"the model {other!r} is being loaded", "try again in a moment")
        else:
            if remotes.find(self.paths, model_id) is None:
                try:
                    store.find(self.paths, model_id)
                except LlmsuggestdError as error:
                    raise NotInstalled(error.message, error.hint) from None
            present = self._current(self.config)
            config = msgspec.structs.replace(
                self.config, model=model_id, formats=present.formats, remote=present.remote
            )
            new = self._served(model_id, config)
            if self._serves_well(new):
                self.config = config
                return
            self._begin_switch(new, config)
        assert self._switch is not None
        task = self._switch.task
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise ShuttingDown("the daemon is stopping", "") from None
            raise

    def reload(self, config: Config) -> None:
        """Apply changed settings. Settings of the engine take effect with a new engine.

        A setting that no engine has applied yet still counts as changed at the next reload.
        """
        changed = [
            name
            for name in config.__struct_fields__
            if getattr(self.config, name) != getattr(config, name)
        ]
        log.info("settings read again; changed: %s", ", ".join(changed) or "none")
        for name in {"port", "socket", "compat"} & set(changed):
            log.warning("`%s` takes effect with `llmsuggestd restart`", name)
        self.config = _with_engine_settings(config, self.config)
        for model in (self.suggester.model, self._switch.model if self._switch else None):
            if isinstance(model, RemoteModel):
                model.permit(config.remote)  # now, even if no model can replace it
        if not set(ENGINE_SETTINGS) & set(changed):
            return
        if self._switch is not None:
            self._next_config = config
            return
        model_id = config.model if "model" in changed else self.suggester.model.id
        new = self._served(model_id, config)
        engine_changes = set(ENGINE_SETTINGS) & set(changed)
        if engine_changes <= {"model", "formats", "remote"} and self._serves_well(new):
            self.config = config
        else:
            # A server that is down must not keep its own settings from changing.
            self._begin_switch(new, config, even_failed=self._same_server(new))

    async def load(self) -> None:
        """Load the model ahead of the first request. The status shows a failure."""
        try:
            await self.suggester.model.load()
        except LlmsuggestdError:
            log.debug("the model is not loaded", exc_info=True)

    async def close(self, grace: float) -> None:
        """Give requests in flight `grace` seconds to finish, and cancel a switch."""
        self.stopping.set()
        self._notify_streams()
        switch = self._switch.task if self._switch is not None else None
        if switch is not None:
            switch.cancel()
        await self.suggester.finish(grace)
        if switch is not None:
            await asyncio.gather(switch, return_exceptions=True)

    def _served(self, model_id: str, config: Config) -> Model:
        """A model with these settings. If it is not installed, its `failure` is set."""
        try:
            if (remote := remotes.find(self.paths, model_id)) is not None:
                return self._remote(remote, config)
        except LlmsuggestdError:
            pass  # its record is damaged: `_local` sets the failure
        return self._local(model_id, config)

    def _remote(self, remote: remotes.Remote, config: Config) -> RemoteModel:
        """A remote model with these settings. Raises WrongFormat if its format is gone."""
        settings = self._current(config).remote
        form = formats.find(remote.format, self._current(config).formats)
        fallback = settings.fallback
        return RemoteModel(
            Target(remote.id, remote.address, remote.model, form),
            settings,
            key=remotes.key_reader(self.paths, remote),
            fallback=self._local(fallback, config) if fallback else None,
        )

    def _local(self, model_id: str, config: Config) -> ServedModel:
        """As `_served`, for a local model."""

        def find() -> protocol.Load:
            own = self._current(config).formats
            if (remote := remotes.find(self.paths, model_id)) is not None:
                try:
                    formats.find(remote.format, own)
                except formats.WrongFormat as error:  # not the fault of a request
                    raise ModelError(
                        f"{model_id}: {error.message}",
                        f"define it in config.toml, or `llmsuggestd models add {model_id}` again",
                    ) from None
                raise ModelError(
                    f"{model_id!r} is a remote model, not a local one",
                    f"`llmsuggestd models use {model_id}` uses it; a `fallback` has to be local",
                )
            found = store.find(self.paths, model_id)
            form = store.format_of(self.paths, found, own)
            return msgspec.structs.replace(load, path=str(found.path), format=form)

        load, failure = protocol.Load("", config.gpu, config.threads, config.context), None
        try:
            load = find()
        except LlmsuggestdError as error:
            log.error("%s", error.message)
            failure = error
        model = ServedModel(model_id, load, self.paths, idle=config.idle_unload, find=find)
        model.failure = failure
        return model

    def _current(self, config: Config) -> Config:
        """The present content of `config.toml`, which may have changed since the last reload."""
        try:
            return load_config(self.paths)
        except ConfigError:
            return config

    def _serves_well(self, new: Model) -> bool:
        """Whether the present model equals the new one, has the same file, and works."""
        old = self.suggester.model
        if isinstance(old, RemoteModel) and isinstance(new, RemoteModel):
            return old.error is None and old.same_as(new)
        return old.failure is None and old.identity == new.identity

    def _same_server(self, new: Model) -> bool:
        """Whether the present model is a remote one, and the new one differs in settings only."""
        old = self.suggester.model
        return (
            isinstance(old, RemoteModel)
            and isinstance(new, RemoteModel)
            and old.target == new.target
        )

    def _notify_streams(self) -> None:
        """Make each stream of `GET /v1/events` check the status."""
        for stream in self.streams:
            stream.set()

    def _begin_switch(self, new: Model, config: Config, *, even_failed: bool = False) -> None:
        task = asyncio.create_task(self._do_switch(new, config, even_failed=even_failed))
        task.add_done_callback(retrieve_error)  # a reload does not await it
        self._switch = _Switch(new, task)
        self._notify_streams()

    async def _do_switch(self, new: Model, config: Config, *, even_failed: bool) -> None:
        """Load a model, let it take over, and apply the engine's settings of `config`.

        With `even_failed`, it takes over even if it cannot be loaded now.
        """
        old = self.suggester.model.id
        log.info("loading %s while %s serves", new.id, old)
        try:
            await self.suggester.switch(new, even_failed=even_failed)
        except LlmsuggestdError as error:
            self.metrics.switches.labels("failed").inc()
            log.error("%s is not used, %s serves on: %s", new.id, old, error.message)
            raise
        else:
            self.config = _with_engine_settings(self.config, config)
            self.metrics.switches.labels("done").inc()
            log.info("%s serves", new.id)
        finally:
            self._switch = None
            following, self._next_config = self._next_config, None
            if following is not None and not self.stopping.is_set():
                self.reload(following)


def _remote_status(model: Model) -> RemoteStatus | None:
    """The state of a remote model; None for a local one."""
    if not isinstance(model, RemoteModel):
        return None
    local, error = model.falls_back, model.error
    return RemoteStatus(
        url=model.target.address.origin,
        leaves=not model.target.address.is_loopback,
        fallback=local.id if local is not None else None,
        reason=error.message if error is not None else None,
    )


def _goals(request: SuggestRequest, form: Format) -> list[str]:
    """A request's normalised states, without the goals that the format does not show.

    Every call's goals are normalised here. Raises NotAGoal.
    """
    spelt = goals.first_goal if form.goals == "first" else goals.normalise
    if isinstance(request.goals, list):
        return [spelt(goal, f"$.goals[{i}]") for i, goal in enumerate(request.goals)]
    assert isinstance(request.goal, str)  # a request has either
    return [spelt(request.goal)]


def _shown(request: SuggestRequest, form: Format) -> SuggestRequest:
    """A request without the fields that the model's format does not show."""
    return msgspec.structs.replace(
        request,
        context=goals.plain(request.context) if form.uses("context") else "",
        name=request.name if form.uses("name") else "",
    )


def _with_engine_settings(config: Config, other: Config) -> Config:
    """`config`, with the engine's settings of `other`."""
    return msgspec.structs.replace(
        config, **{name: getattr(other, name) for name in ENGINE_SETTINGS}
    )


DAEMON: Final = web.AppKey("daemon", Daemon)
