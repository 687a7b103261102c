"""The calls that other projects' clients make, answered as those clients expect.

llmstep and the tutorial's llmsuggest post a state to `/`; LeanCopilot's external generator posts to
`/generate`; LLMLean and LeanCopilot's runners speak Ollama's and OpenAI's APIs, where the state is
inside a prompt written for another kind of model: it is taken out again, and our model asked in its
own format. llmstep and LeanCopilot expect the prefix in the answer, LLMLean does not. docs/clients/
says how to point each here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
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
    MAX_COUNT,
    MAX_TOKENS,
    Goal,
    Prefix,
    SuggestAnswer,
    SuggestRequest,
)
from llmsuggestd.errors import UsageError
from llmsuggestd.goals import TARGET, plain

LLMSTEP: Final = Calls("llmstep")
LEANCOPILOT: Final = Calls("leancopilot")
LLMLEAN: Final = Calls("llmlean")

GROUPS: Final = {"llmstep": "llmstep", "tutorial": "llmstep", "leancopilot": "leancopilot",
                 "llmlean": "llmlean"}  # fmt: skip
"""The calls behind each compatibility listener."""

SEPARATOR: Final = "[SUGGESTION]"
"""llmstep's script joins the suggestions with it, and its tactic splits them there."""


async def ask(request: web.Request, **fields: object) -> SuggestAnswer:
    """Have our own question answered, checked like one that came in as such."""
    try:
        question = msgspec.convert(fields, SuggestRequest)
    except msgspec.ValidationError as error:
        raise invalid(error) from None
    return await request.app[DAEMON].suggest(question)


# --- llmstep and the tutorial's llmsuggest -------------------------------------------------------


class StateRequest(Struct, frozen=True):
    """What llmstep posts, and the tutorial's llmsuggest without a prefix."""

    tactic_state: Goal
    prefix: Prefix | None = None
    context: Annotated[str, Meta(description="The file above the tactic.")] = ""


class StateAnswer(Struct):
    """Tactics, prefix included, best first."""

    suggestions: list[str]


@LLMSTEP.declare("POST", "/", body=StateRequest, answer=StateAnswer, errors=(422, 503, 504))
async def llmstep(request: web.Request, body: StateRequest) -> StateAnswer:
    """Suggestions for llmstep (with a prefix) and the tutorial's llmsuggest (without).

    As many and as long as from their own servers, but found by beam search: the same goal has the
    same answer, best first, and asking again costs nothing.
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
    """What LeanCopilot's `ExternalGenerator` posts; its `name` is not needed."""

    input: Goal
    prefix: Prefix = ""


class Generation(Struct):
    """A tactic, prefix included."""

    output: str
    score: Annotated[
        float, Meta(ge=0, le=1, description="Taken for the probability that the tactic is right.")
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
    """What a prompt asks for."""

    goal: str
    prefix: str
    markdown: bool = False
    """Whether the answer is looked for in a code block, whole and not only its continuation."""
    context: str = ""
    """The file above the tactic."""


# What stands before the state in each prompt, and between the state and the prefix.
PROMPTS: Final = (
    formats.LLMSTEP.marks(),
    ("[STATE]\n", "\n[/STATE]\n[TAC]\n"),  # LLMLEAN_PROMPT=instruction
    ("[STATE]\n", "\n[/STATE]\n[THOUGHTS]\n"),  # reasoning
    ("Tactic state:\n---\n", "\n---\nNext tactic:\n---\n"),  # fewshot
)
# The same of the prompts whose answer is looked for in a code block, and what stands before the
# prefix there.
MARKDOWN: Final = (
    (
        "The current proof state is as follows:\n",
        "\n\nYour task is to generate the next tactic",
        "The tactic you generate should start with ",
    ),
    (  # LeanCopilot's runners of InternLM2 and of chat models; the misspelling is theirs
        "My LEAN 4 state is:\n```lean\n",
        "```\nPlease predict a possible tactic to help me prove the theorem.",
        None,
    ),
    (
        "Here is a theorom you need to prove in Lean:\n",
        "\nNow you should suggest one line tactic in lean code:",
        None,
    ),
)

# What stands before and behind the file above the tactic, directly before the state's own mark.
CONTEXTS: Final = (("[CTX]\n", "\n[/CTX]\n"), ("```lean4\n", "\n```\n\n"))

STATE_ALONE: Final = formats.FORMATS["bfs-prover"].marks()[1]
"""What follows the state in LLMLEAN_PROMPT=tacticstate, which has nothing else."""


def recover(prompt: str) -> Question | None:
    """The state and the prefix in a prompt; None if it has none (few-shot's second prompt).

    The file above the tactic is part of some prompts, so that what counts is what stands last.
    Raises UsageError for a prompt that asks for a whole proof.
    """
    prompt = plain(prompt)
    found: list[tuple[int, Question]] = []
    for opening, closing in PROMPTS:
        for before, state, rest in _between(prompt, opening, closing):
            question = Question(state, rest.rstrip("\n"), context=_context(before))
            found.append((len(prompt) - len(rest), question))
    for opening, closing, before_prefix in MARKDOWN:
        for before, state, rest in _between(prompt, opening, closing):
            prefix = rest.partition(before_prefix)[2] if before_prefix else ""
            question = Question(state, prefix, markdown=True, context=_context(before))
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


def _between(prompt: str, opening: str, closing: str) -> Iterator[tuple[str, str, str]]:
    """What stands before, between and behind two marks, the last ones; nothing without them."""
    end = prompt.rfind(closing)
    start = prompt.rfind(opening, 0, end) if end >= 0 else -1
    if start >= 0:
        yield prompt[:start], prompt[start + len(opening) : end], prompt[end + len(closing) :]


def _context(before: str) -> str:
    """The file above the tactic, if a prompt shows it directly before the state."""
    for opening, closing in CONTEXTS:
        if before.endswith(closing):
            return before.removesuffix(closing).partition(opening)[2]
    return ""


def _has_target(text: str) -> bool:
    return any(line.lstrip().startswith(TARGET) for line in text.split("\n"))


def bounded(context: str) -> str:
    """As much of a file's end as our own calls take."""
    return context.replace("\0", "")[-MAX_CONTEXT:]


async def continuations(
    request: web.Request, prompt: str, count: int, tokens: int, temperature: float | None
) -> tuple[list[str], str]:
    """What continues a prompt, at least one text, and the model that says so.

    A temperature above 0 means draws, since LLMLean asks the same several times for variety.
    """
    question = recover(prompt)
    if question is None:
        return [""], request.app[DAEMON].suggester.model.id
    answer = await ask(
        request,
        goal=question.goal,
        prefix=question.prefix,
        n=count,
        max_tokens=min(tokens, MAX_TOKENS) if tokens > 0 else 128,
        context=bounded(question.context),
        **({"mode": "sample", "temperature": temperature} if temperature else {}),
    )
    texts = [
        f"```lean4\n{s.text}\n```" if question.markdown else s.text.removeprefix(question.prefix)
        for s in answer.suggestions
    ]
    return texts or [""], answer.model


Prompt = Annotated[str, Meta(min_length=1)]
Temperature = Annotated[float, Meta(ge=0, le=10)]


class OllamaOptions(Struct, frozen=True):
    """Those of Ollama's options that mean something here."""

    temperature: Temperature | None = None
    num_predict: Annotated[int, Meta(ge=-2, le=2**31)] = 128


class OllamaRequest(Struct, frozen=True):
    """What LLMLean posts with LLMLEAN_API=ollama."""

    prompt: Prompt
    options: OllamaOptions = field(default_factory=OllamaOptions)


class OllamaAnswer(Struct):
    """One object, which is also a whole stream of Ollama's."""

    model: str
    response: Annotated[str, Meta(description="What follows the prefix.")]
    done: bool = True
    done_reason: str = "stop"


@LLMLEAN.declare(
    "POST", "/api/generate", body=OllamaRequest, answer=OllamaAnswer, errors=(422, 503, 504)
)
async def ollama(request: web.Request, body: OllamaRequest) -> OllamaAnswer:
    """One continuation, for LLMLean through Ollama's API."""
    options = body.options
    texts, model = await continuations(
        request, body.prompt, 1, options.num_predict, options.temperature
    )
    return OllamaAnswer(model, texts[0])


class Message(Struct, frozen=True):
    """A message of a chat."""

    role: str
    content: str


class CompletionRequest(Struct, frozen=True):
    """What a client of OpenAI's completions posts."""

    prompt: Prompt
    n: Annotated[int, Meta(ge=1, le=MAX_COUNT)] = 1
    max_tokens: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    temperature: Temperature | None = None
    stream: Literal[False] = False


class ChatRequest(Struct, frozen=True):
    """What LLMLean posts with LLMLEAN_API=openai or together; the last message is the prompt."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    n: Annotated[int, Meta(ge=1, le=MAX_COUNT)] = 1
    max_tokens: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    temperature: Temperature | None = None
    stream: Literal[False] = False


class CompletionChoice(Struct):
    """One continuation."""

    index: int
    text: str
    finish_reason: str = "stop"


class CompletionAnswer(Struct):
    """What OpenAI's completions answer."""

    id: str
    created: int
    model: str
    choices: list[CompletionChoice]
    object: str = "text_completion"


class ChatChoice(Struct):
    """One continuation, as a message."""

    index: int
    message: Message
    finish_reason: str = "stop"


class ChatAnswer(Struct):
    """What OpenAI's chat completions answer."""

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
    """Continuations of a prompt, as OpenAI's completions."""
    texts, model = await continuations(
        request, body.prompt, body.n, body.max_tokens or 0, body.temperature
    )
    choices = [CompletionChoice(index, text) for index, text in enumerate(texts)]
    return CompletionAnswer(f"cmpl-{uuid4().hex}", int(time.time()), model, choices)


@LLMLEAN.declare(
    "POST", "/v1/chat/completions", body=ChatRequest, answer=ChatAnswer, errors=(422, 503, 504)
)
async def chat(request: web.Request, body: ChatRequest) -> ChatAnswer:
    """Continuations of a prompt, for LLMLean through OpenAI's chat completions."""
    texts, model = await continuations(
        request, body.messages[-1].content, body.n, body.max_tokens or 0, body.temperature
    )
    choices = [ChatChoice(index, Message("assistant", text)) for index, text in enumerate(texts)]
    return ChatAnswer(f"chatcmpl-{uuid4().hex}", int(time.time()), model, choices)
