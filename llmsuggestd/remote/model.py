"""A remote model: the daemon serves it like a local one, but a server is its engine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import unicodedata
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from llmsuggestd import goals
from llmsuggestd.config import RemoteSettings
from llmsuggestd.engine import protocol
from llmsuggestd.engine.host import EngineProcess
from llmsuggestd.engine.prompt import Prompter, Question
from llmsuggestd.engine.served_model import Answer, ServedModel
from llmsuggestd.engine.users import Users
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.formats import Format
from llmsuggestd.remote import completions, failures
from llmsuggestd.remote.address import Address, check_allowed
from llmsuggestd.remote.completions import Completion, suggestions
from llmsuggestd.remote.failures import RemoteError
from llmsuggestd.remote.server import Server, gather
from llmsuggestd.remote.tokens import NoTokens, detokenize, end_token, tokenize
from llmsuggestd.units import milliseconds

log = logging.getLogger(__name__)

TEMPERATURE: Final = 0.8
"""Temperature for drawing candidates where the server has no beam search."""

DRAWS: Final = 2
"""Candidates drawn per suggestion. It is more than one, since many drawn texts are equal."""

RETRY_PAUSE: Final = 15.0
"""Seconds after a failure in which the fallback answers and the server is not asked."""

_UNLIMITED: Final = 10**9
_SHORTENINGS: Final = 8
"""Limit of the tries with a shorter prompt."""


class Target(NamedTuple):
    """The server of a remote model, and the model's name there."""

    id: str
    address: Address
    model: str
    """The model's name at the server."""
    format: Format


class Info(NamedTuple):
    """The known facts about a server's model, under the names of `protocol.Loaded`."""

    description: str
    device: str
    """The server's address."""
    context: int | None
    parameters: int | None = None
    bytes: int | None = None
    threads: int | None = None
    kernels: None = None
    instructions: None = None


class Connection(NamedTuple):
    """A server that has passed its trial. It takes the place of `ServedModel.engine`."""

    info: Info
    pid: None = None


class RemoteModel:
    """A model at a server, with the attributes and methods of `ServedModel`.

    The goals of a question are sent in concurrent requests, since servers decode these together.
    While the server fails, a local model can answer instead: the fallback.
    """

    crashed: frozenset[protocol.Kernels] = frozenset()
    found = True

    def __init__(
        self,
        target: Target,
        settings: RemoteSettings,
        *,
        key: Callable[[], str | None] = lambda: None,
        fallback: ServedModel | None = None,
    ) -> None:
        """`key` returns the server's key if there is one, or raises LlmsuggestdError."""
        self.id = target.id
        self.target = target
        self.error: LlmsuggestdError | None = None
        """The reason why the server does not answer now."""
        self._settings = settings
        self._key = key
        self._fallback = fallback
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._server = Server(target.address, target.model)
        self._end: int | None = None  # the end token's id; None without a beam search
        self._most: int | None = None  # the most completions that it returns for one request
        self._retry_at = 0.0
        self._connections = 0
        self._users = Users()
        self.permit(settings)

    @property
    def format(self) -> Format:
        """Its prompt format."""
        return self.target.format

    @property
    def falls_back(self) -> ServedModel | None:
        """The fallback, while it answers instead of the server."""
        return self._fallback if self.error is not None else None

    @property
    def failure(self) -> LlmsuggestdError | None:
        """The reason why there is no answer; None while the fallback answers."""
        return self.falls_back.failure if self.falls_back is not None else self.error

    @property
    def engine(self) -> Connection | EngineProcess | None:
        """The connection after a successful trial, or the fallback's engine while it answers."""
        if self.falls_back is not None:
            return self.falls_back.engine
        return self._connection if self.error is None else None

    @property
    def loading(self) -> bool:
        """Whether the server is being tried or the fallback is being loaded."""
        of_fallback = self._fallback is not None and self._fallback.loading
        return self._connecting is not None or of_fallback

    @property
    def identity(self) -> tuple[object, ...]:
        """What distinguishes this model from every other, as far as the daemon can know.

        Each connection counts as another model, since the server may have been restarted with one.
        """
        _, address, model, form = self.target
        return (self.id, address.base, model, form, self._settings, self._connections)

    def same_as(self, other: RemoteModel) -> bool:
        """Whether another model has the same target, settings and key."""
        try:
            same_key = self._server.key == other._key()
        except LlmsuggestdError:  # loading the other one says why it has no key
            return False
        return same_key and (self.target, self._settings) == (other.target, other._settings)

    def permit(self, settings: RemoteSettings) -> None:
        """Allow sending goals or forbid it, as the settings say, also for running questions."""
        try:
            check_allowed(self.target.address, allow_remote=settings.allow_remote)
        except LlmsuggestdError as error:
            self.error = error
            self._server.forbid(error)
            return
        if self.error is not None and self.error is self._server.forbidden:
            self.error, self._retry_at = None, 0.0
        self._server.allow()

    async def load(self) -> Info:
        """Try the server, unless it has passed its trial, and describe its model.

        Raises RemoteError if the trial fails, NotAllowed if the settings forbid it, even meanwhile,
        and what the key's reader raises.
        """
        with self._users:
            try:
                connection = await self._connect()
            except LlmsuggestdError as error:
                self._record_failure(error)
                raise
            self._recover()
            return connection.info

    async def ask(self, question: protocol.Suggest) -> Answer:
        """Ask the server, and after a failure the fallback.

        Raises the errors of `load`, and those of the fallback's `ask`.
        """
        began = time.monotonic()
        with self._users:
            if self._fallback is not None and time.monotonic() < self._retry_at:
                return await self._ask_fallback(self._fallback, question, sent=False)
            connected = None
            try:
                async with self._timeout():
                    await self._connect()
                    connected = time.monotonic()
                    result = await self._result(question)
            except LlmsuggestdError as error:
                self._record_failure(error)
                if self._fallback is None:
                    raise
                sent = connected is not None and not isinstance(error, failures.Unreached)
                return await self._ask_fallback(self._fallback, question, sent=sent)
            self._recover()
            result.decode_ms = milliseconds(time.monotonic() - connected)
            return Answer(
                result, 0.0, milliseconds(connected - began), sent_to=self.target.address.origin
            )

    async def drain(self) -> None:
        """Wait until no question is left, then close the connections."""
        await self._users.gone()
        await self.close()

    async def close(self) -> None:
        """Close the connections and end the fallback's engine."""
        if self._connecting is not None:
            self._connecting.cancel()
        await self._server.close()
        if self._fallback is not None:
            await self._fallback.close()

    @contextlib.asynccontextmanager
    async def _timeout(self) -> AsyncIterator[None]:
        """Raise Slow if the block takes longer than the settings allow."""
        try:
            async with asyncio.timeout(self._settings.timeout):
                yield
        except TimeoutError:
            raise failures.Slow(self.target.address, self._settings.timeout) from None

    async def _ask_fallback(
        self, local: ServedModel, question: protocol.Suggest, *, sent: bool
    ) -> Answer:
        local_question = question
        if local.format.goals == "first":
            firsts = [goals.first_goal(state) for state in question.goals]
            local_question = msgspec.structs.replace(question, goals=firsts)
        answer = await local.ask(local_question)
        sent_to = self.target.address.origin if sent else None
        return answer._replace(model=local.id, sent_to=sent_to)

    def _record_failure(self, error: LlmsuggestdError) -> None:
        """Record the reason why the server does not answer, and when to ask it again."""
        lasting = not isinstance(error, RemoteError) or error.lasting
        if lasting:
            self._connection = None  # the next question needs a new trial
        if lasting or self._fallback is not None:
            if self.error is None or self.error.message != error.message:
                log.error("%s", error.message)
            self.error = error
            pause = RETRY_PAUSE if lasting or isinstance(error, failures.Slow) else 0.0
            self._retry_at = time.monotonic() + pause

    def _recover(self) -> None:
        if self.error is not None and self._server.forbidden is None:
            log.info("%s answers again", self.target.address)
            self.error = None
        self._retry_at = 0.0

    async def _connect(self) -> Connection:
        """Return the connection, after a trial if need be. Cancelling a caller does not stop it."""
        if self._server.forbidden is not None:
            raise self._server.forbidden
        if self._connection is not None:
            return self._connection
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._try_server())
            self._connecting.add_done_callback(self._end_trial)
        return await asyncio.shield(self._connecting)

    def _end_trial(self, task: asyncio.Task[Connection]) -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._connection = task.result()

    async def _try_server(self) -> Connection:
        address, model = self.target.address, self.target.model
        self._server.key = self._key()
        async with self._timeout():
            info = _info(address, model, await self._server.listed())
            await _check_tokenizer(self._server, self.format)
            prompt = _prompt_text(self.format, Question(goals.TRIAL))
            answer = await self._server.complete(self._request(prompt, 8))
            _with_tokens(address, answer.completions)
            self._end = await self._end_token(prompt)
        self._connections += 1
        self._most = None
        log.info("%s answers for %s", address, model)
        return Connection(info)

    async def _end_token(self, prompt: str) -> int | None:
        """The id of the token that ends a text; None if the server has no means for our search."""
        try:
            end = await end_token(self._server, await self._tokenize(prompt))
        except (NoTokens, failures.Refused, failures.NoLogprobs, failures.Broken):
            end = None
        if end is None:
            self._log_drawing()
        return end

    def _log_drawing(self) -> None:
        log.warning("%s allows no beam search: drawing candidates", self.target.address)

    async def _tokenize(self, prompt: str) -> list[int]:
        return await tokenize(self._server, prompt, special=self.format.bos is not False)

    async def _result(self, question: protocol.Suggest) -> protocol.Result:
        """Answer all goals, with one concurrent request each: servers decode them together."""
        answers = await gather(*(self._answer(question, state) for state in question.goals))
        found = [one for one, _ in answers]
        tokens = sum(count for _, count in answers)
        return protocol.Result(question.id, found, tokens, 0, 0.0, 0.0)

    async def _answer(self, question: protocol.Suggest, state: str) -> tuple[protocol.Found, int]:
        """Return one goal's suggestions and its prompt's number of tokens."""
        about_goal = Question(state, question.prefix, question.context, question.name)
        limit = _UNLIMITED
        for last in [False] * _SHORTENINGS + [True]:
            prompt = _prompt_text(self.format, about_goal, limit)
            try:
                found, tokens = await self._continuations(question, prompt)
            except failures.TooLong:
                if last or len(prompt) < 40:
                    raise
                limit = len(prompt) * 3 // 4  # in characters: only the server can count tokens
                continue
            truncated = limit < _UNLIMITED and _is_shortened(self.format, about_goal, limit)
            return protocol.Found(found, truncated), tokens
        raise AssertionError

    async def _continuations(
        self, question: protocol.Suggest, prompt: str
    ) -> tuple[list[protocol.Suggestion], int]:
        """Return a prompt's suggestions and number of tokens.

        Tokenizers join a space to the following word. So spaces at the prompt's end are removed
        first, and a continuation has to begin with those of the prefix. If none does, the prompt
        is sent unchanged.
        """
        bare = prompt.rstrip(" ")
        prefix = question.prefix
        removed_space = prefix[len(prefix.rstrip(" ")) :] if prefix.strip() else ""
        tokens = 0
        for text, wanted in {bare: removed_space, prompt: ""}.items():
            found, tokens = await self._suggestions(question, text, wanted)
            if found:
                return found, tokens
        return [], tokens

    async def _suggestions(
        self, question: protocol.Suggest, prompt: str, removed_space: str
    ) -> tuple[list[protocol.Suggestion], int]:
        """Return a prompt's suggestions and number of tokens. They begin with `removed_space`."""
        if question.mode == "beam" and self._end is not None:
            try:
                return await self._beams(question, prompt, removed_space, self._end)
            except failures.TooLong:
                raise
            except (NoTokens, failures.Refused, failures.NoLogprobs):
                self._log_drawing()
                self._end = None
        drawn, tokens = await self._completions(question, prompt)
        found = suggestions(
            drawn,
            prefix=question.prefix,
            removed_space=removed_space,
            stops=self.format.stop,
            n=question.n,
        )
        return found, tokens

    async def _beams(
        self, question: protocol.Suggest, prompt: str, removed_space: str, end: int
    ) -> tuple[list[protocol.Suggestion], int]:
        from llmsuggestd.remote.beams import BeamSearch  # numpy, which few daemons need

        def text(continuation: str, finished: bool) -> str | None:
            if (stop := completions.first_stop(continuation, self.format.stop)) is not None:
                continuation, finished = continuation[: stop[0]], True
            return completions.read_text(continuation, finished, question.prefix, removed_space)

        ids = await self._tokenize(prompt)
        search = BeamSearch(
            self._server,
            ids,
            width=question.n,
            max_tokens=question.max_tokens,
            end=end,
            stops=self.format.stop,
            text=text,
        )
        found = [protocol.Suggestion(*one) for one in await search.run()]
        return found, len(ids)

    async def _completions(
        self, question: protocol.Suggest, prompt: str
    ) -> tuple[list[Completion], int]:
        """Return a prompt's completions, with log probabilities, and its number of tokens."""
        base = self._request(prompt, question.max_tokens)
        if question.mode == "sample":
            return await self._draw(
                base, question.n, temperature=question.temperature, seed=question.seed
            )
        likeliest = self._draw(base, 1, temperature=0.0, seed=0)
        if question.n == 1:
            return await likeliest
        others = self._draw(base, DRAWS * question.n, temperature=TEMPERATURE, seed=0)
        (first, tokens), (more, _) = await gather(likeliest, others)
        return first + more, tokens

    async def _draw(
        self,
        base: Mapping[str, object],
        count: int,
        *,
        temperature: float,
        seed: int | None,
    ) -> tuple[list[Completion], int]:
        """Return `count` completions, in as few requests as the server allows.

        Some servers ignore `n`. llama.cpp's refuses more completions than it has slots.
        """
        request = {**base, "temperature": temperature}
        most = count if self._most is None else min(count, self._most)
        is_limit = False
        while True:
            try:
                answers = await gather(
                    *(
                        self._server.complete(
                            {**request, "n": min(most, count - first), **_seed_field(seed, first)}
                        )
                        for first in range(0, count, most)
                    )
                )
            except failures.TooLong:
                raise
            except failures.Refused:
                if most == 1:
                    raise
                most //= 2
                is_limit = True
                continue
            if (fewest := len(answers[0].completions)) < most:
                most, is_limit = fewest, True
                continue
            if is_limit:  # and not another reason for a refusal
                self._most = most
            drawn = [one for answer in answers for one in answer.completions]
            return _with_tokens(self.target.address, drawn)[:count], answers[0].prompt_tokens

    def _request(self, prompt: str, max_tokens: int) -> dict[str, object]:
        """The fields that all requests for completions have."""
        request: dict[str, object] = {
            "prompt": prompt,
            "max_tokens": max_tokens,
            "logprobs": 1,
            "stream": False,
        }
        if self.format.stop:
            request["stop"] = list(self.format.stop)
        if self.format.bos is not None:  # for vLLM; other servers follow the model's file
            request["add_special_tokens"] = self.format.bos
        return request


def _with_tokens(address: Address, drawn: Sequence[Completion]) -> list[Completion]:
    """The completions with tokens. Raises NoLogprobs if one has text without log probabilities."""
    # a completion that ended at once has neither text nor tokens
    if any(one.tokens is None and one.text for one in drawn):
        raise failures.NoLogprobs(address)
    return [one for one in drawn if one.tokens]


def _seed_field(seed: int | None, number: int) -> dict[str, int]:
    return {} if seed is None else {"seed": (seed + number) % 2**31}


def _prompt_text(form: Format, question: Question, limit: int = _UNLIMITED) -> str:
    """The prompt in at most `limit` characters.

    It is normalised to NFC, as the models' tokenizers do, since llama.cpp's server does not.
    """
    marks = {mark: -number for number, mark in enumerate(form.special, 1)}
    of_number = {number: mark for mark, number in marks.items()}
    prompter = Prompter(form, lambda text: list(map(ord, text)), special=marks)
    numbers, _ = prompter.fit(question, limit)
    text = "".join(of_number[number] if number < 0 else chr(number) for number in numbers)
    return unicodedata.normalize("NFC", text)


def _is_shortened(form: Format, question: Question, limit: int) -> bool:
    """Whether the state, not only the context, is shorter in a prompt of `limit` characters."""
    return question.state not in _prompt_text(form, question, limit)


def _info(address: Address, model: str, listed: Sequence[Mapping[str, Any]]) -> Info:
    """The facts about a model in a server's list of models."""
    entry = next((one for one in listed if one.get("id") == model), {})
    of_llama = entry.get("meta")
    context = entry.get(
        "max_model_len", of_llama.get("n_ctx") if isinstance(of_llama, dict) else None
    )
    return Info(
        description=f"{model} at {address}",
        device=address.origin,
        context=context if isinstance(context, int) else None,
    )


async def _check_tokenizer(server: Server, form: Format) -> None:
    """Raise WrongTokenizer if the server's tokenizer loses Lean's symbols or lacks a special token.

    vLLM, SGLang and llama.cpp's server have calls for this. Other servers are not checked.
    """
    try:
        numbers = await tokenize(server, goals.TRIAL, special=False)
        text = await detokenize(server, numbers)
        if not set("⊢∧") <= set(text):
            raise failures.WrongTokenizer(server.address, "loses Lean's symbols")
        for mark in form.special:
            if len(await tokenize(server, mark, special=False)) != 1:
                raise failures.WrongTokenizer(server.address, f"has no special token {mark}")
    except NoTokens:
        return
