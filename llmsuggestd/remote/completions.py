"""Parses the answers of `/v1/completions`, and ranks the suggestions in them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from llmsuggestd.engine.prompt import suggestion_text
from llmsuggestd.engine.protocol import Suggestion

_REPLACEMENT: Final = "\ufffd"
"""The character that a server puts in place of bytes that are not UTF-8."""


class Token(NamedTuple):
    """A generated token."""

    text: str
    log_probability: float
    id: int | None = None
    likeliest: Mapping[int, float] = {}
    """The ids of the likeliest tokens at this position, with their log probabilities, if known."""


class Completion(NamedTuple):
    """A continuation that a server has generated."""

    text: str
    tokens: list[Token] | None
    """Includes the end token if the server counts it. None without log probabilities."""
    finished: bool
    """Whether an end token or a stop string ended it, rather than the length limit."""


class Answer(NamedTuple):
    """A server's answer to one request."""

    completions: list[Completion]
    prompt_tokens: int


class Malformed(ValueError):
    """The body is not an answer of `/v1/completions`."""


class _Choice(msgspec.Struct):
    text: str
    index: int = 0
    finish_reason: str | None = None
    logprobs: Any = None


class _Alternative(msgspec.Struct):
    logprob: float
    id: int | None = None


class _LlamaToken(msgspec.Struct):
    """A token in llama.cpp's form."""

    token: str
    logprob: float
    id: int | None = None
    top_logprobs: list[_Alternative] | None = None

    def likeliest(self) -> dict[int, float]:
        return {one.id: one.logprob for one in self.top_logprobs or [] if one.id is not None}


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0


class _Body(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


_decoder = msgspec.json.Decoder(_Body)


def read(body: bytes) -> Answer:
    """Parse an answer's body. Raises Malformed."""
    try:
        found = _decoder.decode(body)
        completions = [
            Completion(choice.text, _tokens(choice.logprobs), choice.finish_reason == "stop")
            for choice in sorted(found.choices, key=lambda choice: choice.index)
        ]
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, ValueError, KeyError) as error:
        raise Malformed from error
    return Answer(completions, found.usage.prompt_tokens if found.usage else 0)


def _tokens(found: Any) -> list[Token] | None:
    """The tokens in a choice's `logprobs`; None if there are none.

    vLLM, SGLang and llama-cpp-python use OpenAI's form, with `tokens` and `token_logprobs`.
    llama.cpp's own server uses the form of chat completions, with a list `content`.
    """
    if not isinstance(found, dict):
        return None
    if isinstance(content := found.get("content"), list):
        tokens = [
            Token(one.token, one.logprob, one.id, one.likeliest())
            for one in msgspec.convert(content, list[_LlamaToken])
        ]
    else:
        tokens = _openai_tokens(found)
    if any(math.isnan(token.log_probability) for token in tokens):
        raise Malformed
    return tokens or None


def _openai_tokens(found: Mapping[str, Any]) -> list[Token]:
    values = found.get("token_logprobs")
    if not isinstance(values, list):
        return []
    names, others = (
        column if isinstance(column := found.get(key), list) and len(column) == len(values) else []
        for key in ("tokens", "top_logprobs")
    )
    return [
        Token(str(name or ""), float(value), _id(name), _ids(other))
        for value, name, other in itertools.zip_longest(values, names, others)
        if value is not None  # the first token of an echoed prompt has none
    ]


def _id(name: object) -> int | None:
    """The id in a token's name, if the server was asked for ids (vLLM)."""
    is_id = isinstance(name, str) and (found := re.fullmatch(r"token_id:(\d+)", name))
    return int(found[1]) if is_id and found else None


def _ids(likeliest: object) -> dict[int, float]:
    if not isinstance(likeliest, dict):
        return {}
    pairs = ((_id(name), float(value)) for name, value in likeliest.items())
    return {token: value for token, value in pairs if token is not None}


def suggestions(
    completions: Iterable[Completion],
    *,
    prefix: str,
    removed_space: str = "",
    stops: Sequence[str] = (),
    n: int,
) -> list[Suggestion]:
    """The best `n` suggestions among completions, best first.

    `removed_space` is the white space that was removed from the prompt's end. A completion has to
    begin with it to continue the prefix. Texts that differ only in white space count once.
    """
    best: dict[str, Suggestion] = {}
    for completion in completions:
        if (found := _suggestion(completion, prefix, removed_space, stops)) is None:
            continue
        key = " ".join(found.text.split())
        if key not in best or found.score > best[key].score:
            best[key] = found
    return sorted(best.values(), key=lambda one: -one.score)[:n]


def _suggestion(
    completion: Completion, prefix: str, removed_space: str, stops: Sequence[str]
) -> Suggestion | None:
    """Make a suggestion of a completion. None if it is empty or not text."""
    text, tokens, finished = completion
    assert tokens is not None  # answers without log probabilities were refused
    if (end := first_stop(text, stops)) is not None:  # the server did not heed it
        stop_begins, stop_ends = end
        tokens = _up_to(tokens, stop_ends)
        text, finished = text[:stop_begins], True
    found = read_text(text, finished, prefix, removed_space)
    score = sum(token.log_probability for token in tokens) / max(1, len(tokens))
    return None if found is None or not math.isfinite(score) else Suggestion(found, score, finished)


def read_text(text: str, finished: bool, prefix: str, removed_space: str) -> str | None:
    """The suggestion in a continuation of a prompt. None if it is empty or not text."""
    if not finished:
        text = text.rstrip(_REPLACEMENT)  # cut off inside a character
    if _REPLACEMENT in text or not text.startswith(removed_space):
        return None
    return suggestion_text(prefix, text.removeprefix(removed_space).encode())


def first_stop(text: str, stops: Sequence[str]) -> tuple[int, int] | None:
    """Where the first stop string in a text begins and ends."""
    found = [(at, at + len(stop)) for stop in stops if (at := text.find(stop)) >= 0]
    return min(found, default=None)


def _up_to(tokens: list[Token], length: int) -> list[Token]:
    """The tokens of a text's first `length` characters; all tokens if theirs do not add up."""
    total = 0
    for count, token in enumerate(tokens, 1):
        total += len(token.text)
        if total >= length:
            return tokens[:count]
    return tokens
