"""The calls of other projects' clients, with the answers that these expect.

llmstep and the tutorial's llmsuggest post a state to `/`, and LeanCopilot's external generator to
`/generate`. LLMLean and LeanCopilot's runners use Ollama's and OpenAI's APIs, where the state is
inside a prompt for another kind of model. It is recovered from that prompt, and our model is asked
in its own format. llmstep and LeanCopilot expect the prefix in the answer, LLMLean does not.
docs/clients/ describes how to configure each client.
"""

from __future__ import annotations

import math
import time
from typing import Annotated, Final, Literal, NamedTuple
from uuid import uuid4

import msgspec
from aiohttp import web
from msgspec import Meta, Struct, field

from llmsuggestd import formats
from llmsuggestd.daemon.calls import Calls, invalid
from llmsuggestd.daemon.daemon import DAEMON
from llmsuggestd.daemon.schema import (
    MAX_CONTEXT,
    Goal,
    Prefix,
    SuggestAnswer,
    SuggestRequest,
)
from llmsuggestd.errors import UsageError
from llmsuggestd.goals import is_target, plain
from llmsuggestd.limits import MAX_CANDIDATES, MAX_TOKENS

LLMSTEP: Final = Calls("llmstep")
LEANCOPILOT: Final = Calls("leancopilot")
LLMLEAN: Final = Calls("llmlean")

GROUPS: Final = {"llmstep": "llmstep", "tutorial": "llmstep", "leancopilot": "leancopilot",
                 "llmlean": "llmlean"}  # fmt: skip
"""The calls behind each compatibility listener."""

SEPARATOR: Final = "[SUGGESTION]"
"""The separator with which llmstep's script joins suggestions, for its tactic to split them."""


async def ask(request: web.Request, **fields: object) -> SuggestAnswer:
    """Answer a request with these fields, after the checks of `POST /v1/suggest`."""
    try:
        question = msgspec.convert(fields, SuggestRequest)
    except msgspec.ValidationError as error:
        raise invalid(error) from None
    return await request.app[DAEMON].suggest(question)


# --- llmstep and the tutorial's llmsuggest -------------------------------------------------------


class StateRequest(Struct, frozen=True):
    """The request of llmstep, and of the tutorial's llmsuggest, which has no prefix."""

    tactic_state: Goal
    prefix: Prefix | None = None
    context: Annotated[str, Meta(description="The file above the tactic.")] = ""


class StateAnswer(Struct):
    """Tactics, prefix included, best first."""

    suggestions: list[str]


@LLMSTEP.declare("POST", "/", body=StateRequest, answer=StateAnswer, errors=(422, 503, 504))
async def llmstep(request: web.Request, body: StateRequest) -> StateAnswer:
    """Suggestions for llmstep (with a prefix) and the tutorial's llmsuggest (without).

    Their number and length are those of these projects' own servers. But they are found by beam
    search, so the same goal gets the same answer, best first, and repeating it costs nothing.
    """
    count, length = (5, 50) if body.prefix is None else (10, 128)
    answer = await ask(
        request,
        goal=body.tactic_state,
        prefix=body.prefix or "",
        n=count,
        max_tokens=length,
        context=bounded(body.context),
    )
    texts = [suggestion.text for suggestion in answer.suggestions]
    return StateAnswer([text for text in texts if SEPARATOR not in text])


# --- LeanCopilot ---------------------------------------------------------------------------------


class GenerateRequest(Struct, frozen=True):
    """The request of LeanCopilot's `ExternalGenerator`, without its `name`, which is not needed."""

    input: Goal
    prefix: Prefix = ""


class Generation(Struct):
    """A tactic, prefix included."""

    output: str
    score: Annotated[
        float, Meta(ge=0, le=1, description="The mean probability of the tactic's tokens.")
    ]


class GenerateAnswer(Struct):
    """Tactics, best first."""

    outputs: list[Generation]


@LEANCOPILOT.declare(
    "POST", "/generate", body=GenerateRequest, answer=GenerateAnswer, errors=(422, 503, 504)
)
async def leancopilot(request: web.Request, body: GenerateRequest) -> GenerateAnswer:
    """Suggestions for LeanCopilot's external generator."""
    if body.input.strip() == "no goals":
        return GenerateAnswer([])
    answer = await ask(request, goal=body.input, prefix=body.prefix, n=8, max_tokens=128)
    return GenerateAnswer(
        [Generation(s.text, min(1.0, math.exp(s.score))) for s in answer.suggestions]
    )


# --- LLMLean -------------------------------------------------------------------------------------


class Question(NamedTuple):
    """The question that a prompt asks."""

    goal: str
    prefix: str
    markdown: bool = False
    """Whether the client expects the whole tactic in a code block, rather than a continuation."""
    context: str = ""
    """The file above the tactic."""


class Prompts(NamedTuple):
    """A kind of prompts."""

    opening: str
    """The text before the state."""
    closing: str
    """The text between the state and the prefix, or the rest of the prompt."""
    markdown: bool = False
    """As in `Question`."""
    prefix_mark: str = ""
    """The text before the prefix, in Markdown prompts that may have one."""


PROMPTS: Final = (
    Prompts(*formats.LLMSTEP.marks()),
    Prompts("[STATE]\n", "\n[/STATE]\n[TAC]\n"),  # LLMLEAN_PROMPT=instruction
    Prompts("[STATE]\n", "\n[/STATE]\n[THOUGHTS]\n"),  # reasoning
    Prompts("Tactic state:\n---\n", "\n---\nNext tactic:\n---\n"),  # fewshot
    Prompts(  # markdown
        "The current proof state is as follows:\n",
        "\n\nYour task is to generate the next tactic",
        markdown=True,
        prefix_mark="The tactic you generate should start with ",
    ),
    # LeanCopilot's runners of InternLM2 and of chat models; the misspelling is theirs
    Prompts(
        "My LEAN 4 state is:\n```lean\n",
        "```\nPlease predict a possible tactic to help me prove the theorem.",
        markdown=True,
    ),
    Prompts(
        "Here is a theorom you need to prove in Lean:\n",
        "\nNow you should suggest one line tactic in lean code:",
        markdown=True,
    ),
)

CONTEXTS: Final = (("[CTX]\n", "\n[/CTX]\n"), ("```lean4\n", "\n```\n\n"))
"""The texts before and after the file above the tactic. The state's opening text follows."""

STATE_ALONE: Final = formats.FORMATS["bfs-prover"].marks()[1]
"""The text after the state with LLMLEAN_PROMPT=tacticstate, which has none before it."""


def recover(prompt: str) -> Question | None:
    """The question that a prompt asks; None if it has no state (few-shot's second prompt).

    Some prompts show the file above the tactic, which may look like another prompt. So the last
    match counts. Raises UsageError for a prompt that asks for a whole proof.
    """
    prompt = plain(prompt)
    found: list[tuple[int, Question]] = []
    for kind in PROMPTS:
        if (parts := _divided(prompt, kind.opening, kind.closing)) is None:
            continue
        before, state, rest = parts
        if kind.markdown:
            prefix = rest.partition(kind.prefix_mark)[2] if kind.prefix_mark else ""
        else:
            prefix = rest.rstrip("\n")
        question = Question(state, prefix, kind.markdown, _context(before))
        found.append((len(prompt) - len(rest), question))
    if found:
        return max(found)[1]
    state, _, prefix = prompt.rpartition(STATE_ALONE)
    if _has_target(state) and "\n" not in prefix.rstrip("\n"):
        return Question(state, prefix.rstrip("\n"))
    if "[PROOF]" in prompt or "Your task is to generate the proof" in prompt:
        raise UsageError(
            "the prompt asks for a whole proof, and this model suggests one tactic",
            "use LLMLean's `llmstep` instead of `llmqed`",
        )
    return Question(prompt, "") if _has_target(prompt) else None


def _divided(prompt: str, opening: str, closing: str) -> tuple[str, str, str] | None:
    """The texts before, between and after the last occurrence of two marks; None without them."""
    end = prompt.rfind(closing)
    start = prompt.rfind(opening, 0, end) if end >= 0 else -1
    if start < 0:
        return None
    return prompt[:start], prompt[start + len(opening) : end], prompt[end + len(closing) :]


def _context(before: str) -> str:
    """The file above the tactic, if a prompt shows it directly before the state."""
    for opening, closing in CONTEXTS:
        if before.endswith(closing):
            return before.removesuffix(closing).partition(opening)[2]
    return ""


def _has_target(text: str) -> bool:
    return any(is_target(line.strip()) for line in text.split("\n"))


def bounded(context: str) -> str:
    """The end of a file, in the form and length that `POST /v1/suggest` accepts."""
    return context.replace("\0", "")[-MAX_CONTEXT:]


Reason = Literal["stop", "length"]
"""Why a text ends: the model ended it, or the limit of tokens did."""


class Continuation(NamedTuple):
    """A continuation of a prompt."""

    text: str
    reason: Reason


NOTHING: Final = Continuation("", "stop")


async def continuations(
    request: web.Request, prompt: str, count: int, tokens: int, temperature: float | None
) -> tuple[list[Continuation], str]:
    """Return at least one continuation of a prompt, and the id of the model that answered.

    A temperature above 0 means sampling, since LLMLean repeats a request to get other suggestions.
    """
    question = recover(prompt)
    if question is None:
        return [NOTHING], request.app[DAEMON].suggester.model.id
    answer = await ask(
        request,
        goal=question.goal,
        prefix=question.prefix,
        n=count,
        max_tokens=min(tokens, MAX_TOKENS) if tokens > 0 else 128,
        context=bounded(question.context),
        **({"mode": "sample", "temperature": temperature} if temperature else {}),
    )
    found = [
        Continuation(
            f"```lean4\n{s.text}\n```"
            if question.markdown
            else s.text.removeprefix(question.prefix),
            "stop" if s.finished else "length",
        )
        for s in answer.suggestions
    ]
    return found or [NOTHING], answer.model


Prompt = Annotated[str, Meta(min_length=1)]
Temperature = Annotated[float, Meta(ge=0, le=10)]


class OllamaOptions(Struct, frozen=True):
    """The options of Ollama that have an effect here."""

    temperature: Temperature | None = None
    num_predict: Annotated[int, Meta(ge=-2, le=2**31)] = 128


class OllamaRequest(Struct, frozen=True):
    """The request of LLMLean with LLMLEAN_API=ollama."""

    prompt: Prompt
    options: OllamaOptions = field(default_factory=OllamaOptions)


class OllamaAnswer(Struct):
    """An answer of one object, which is also valid as Ollama's stream."""

    model: str
    response: Annotated[str, Meta(description="The tactic after the prefix.")]
    done: bool = True
    done_reason: Reason = "stop"


@LLMLEAN.declare(
    "POST", "/api/generate", body=OllamaRequest, answer=OllamaAnswer, errors=(422, 503, 504)
)
async def ollama(request: web.Request, body: OllamaRequest) -> OllamaAnswer:
    """One continuation, for LLMLean through Ollama's API."""
    options = body.options
    found, model = await continuations(
        request, body.prompt, 1, options.num_predict, options.temperature
    )
    return OllamaAnswer(model, found[0].text, done_reason=found[0].reason)


class Message(Struct, frozen=True):
    """A message of a chat."""

    role: str
    content: str


class OpenAIOptions(Struct, frozen=True):
    """The options of OpenAI's two calls that have an effect here."""

    n: Annotated[int, Meta(ge=1, le=MAX_CANDIDATES)] = 1
    max_tokens: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    temperature: Temperature | None = None
    stream: Literal[False] = False


class CompletionRequest(OpenAIOptions, frozen=True, kw_only=True):
    """The request of a client of OpenAI's completions."""

    prompt: Prompt


class ChatRequest(OpenAIOptions, frozen=True, kw_only=True):
    """The request of LLMLean with LLMLEAN_API=openai or together. The last message counts."""

    messages: Annotated[list[Message], Meta(min_length=1)]


class CompletionChoice(Struct):
    """One continuation."""

    index: int
    text: str
    finish_reason: Reason


class CompletionAnswer(Struct):
    """The answer of OpenAI's completions."""

    id: str
    created: int
    model: str
    choices: list[CompletionChoice]
    object: str = "text_completion"


class ChatChoice(Struct):
    """One continuation, as a message."""

    index: int
    message: Message
    finish_reason: Reason


class ChatAnswer(Struct):
    """The answer of OpenAI's chat completions."""

    id: str
    created: int
    model: str
    choices: list[ChatChoice]
    object: str = "chat.completion"


@LLMLEAN.declare(
    "POST",
    "/v1/completions",
    body=CompletionRequest,
    answer=CompletionAnswer,
    errors=(422, 503, 504),
)
async def completions(request: web.Request, body: CompletionRequest) -> CompletionAnswer:
    """Continuations of a prompt, in the form of OpenAI's completions."""
    found, model = await continuations(
        request, body.prompt, body.n, body.max_tokens or 0, body.temperature
    )
    choices = [CompletionChoice(i, text, reason) for i, (text, reason) in enumerate(found)]
    return CompletionAnswer(f"cmpl-{uuid4().hex}", int(time.time()), model, choices)


@LLMLEAN.declare(
    "POST", "/v1/chat/completions", body=ChatRequest, answer=ChatAnswer, errors=(422, 503, 504)
)
async def chat(request: web.Request, body: ChatRequest) -> ChatAnswer:
    """Continuations of a prompt, for LLMLean through OpenAI's chat completions."""
    found, model = await continuations(
        request, body.messages[-1].content, body.n, body.max_tokens or 0, body.temperature
    )
    choices = [
        ChatChoice(i, Message("assistant", text), reason) for i, (text, reason) in enumerate(found)
    ]
    return ChatAnswer(f"chatcmpl-{uuid4().hex}", int(time.time()), model, choices)
