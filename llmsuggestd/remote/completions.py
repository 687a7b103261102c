"""Parses the answers of `/v1/completions`, and ranks the suggestions in them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
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
    alternatives: Mapping[str, float] = {}
    """The likeliest tokens at this position, this one included, with their log probabilities."""


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
        pairs = [(one["token"], one["logprob"]) for one in content]
    else:
        values = found.get("token_logprobs")
        if not isinstance(values, list):
            return None
        names = found.get("tokens")
        names = (
            names if isinstance(names, list) and len(names) == len(values) else [""] * len(values)
        )
        pairs = list(zip(names, values, strict=True))
    others = found.get("top_logprobs")
    others = others if isinstance(others, list) and len(others) == len(pairs) else [{}] * len(pairs)
    tokens = [
        Token(str(name or ""), float(value), more if isinstance(more, dict) else {})
        for (name, value), more in zip(pairs, others, strict=True)
        if value is not None  # the first token of an echoed prompt has none
    ]
    if any(math.isnan(token.log_probability) for token in tokens):
        raise Malformed
    return tokens or None


def scored(
    beams: Sequence[Completion], echoed: Sequence[Answer], prompt_tokens: int
) -> list[Completion]:
    """Add log probabilities to beams, from `echoed`: for each beam, the scored prompt and beam.

    An echoed answer has the text's tokens except the first, and then the likeliest next token. If
    the beam has ended, the score includes its end token. The end tokens' names are those of the
    next tokens with which an echoed answer finished.
    """
    ends = {
        tokens[-1].text
        for answer in echoed
        if (tokens := answer.completions[0].tokens) and answer.completions[0].finished
    }
    found = []
    for beam, answer in zip(beams, echoed, strict=True):
        tokens = answer.completions[0].tokens or []
        text = tokens[max(0, prompt_tokens - 1) : answer.prompt_tokens - 1]
        if beam.finished and len(tokens) >= answer.prompt_tokens:
            text = [*text, _end_token(tokens[-1], ends)]
        found.append(beam._replace(tokens=text))
    return [beam for beam in found if beam.tokens]


def _end_token(after: Token, ends: Collection[str]) -> Token:
    """The end token at the position of `after`.

    If it is not among the likely tokens there, it counts as the least likely of them.
    """
    likely = {**after.alternatives, after.text: after.log_probability}
    end = max((value for name, value in likely.items() if name in ends), default=None)
    return Token("", min(likely.values()) if end is None else end)


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
    if (end := _first_stop(text, stops)) is not None:  # the server did not heed it
        stop_begins, stop_ends = end
        tokens = _up_to(tokens, stop_ends)
        text, finished = text[:stop_begins], True
    if not finished:
        text = text.rstrip(_REPLACEMENT)  # cut off inside a character
    if _REPLACEMENT in text or not text.startswith(removed_space):
        return None
    found = suggestion_text(prefix, text.removeprefix(removed_space).encode())
    score = mean(tokens)
    return None if found is None or not math.isfinite(score) else Suggestion(found, score, finished)


def mean(tokens: Sequence[Token]) -> float:
    """The mean log probability of tokens."""
    return sum(token.log_probability for token in tokens) / max(1, len(tokens))


def _first_stop(text: str, stops: Sequence[str]) -> tuple[int, int] | None:
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
