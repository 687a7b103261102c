"""Requests with tokens instead of texts, which a beam search needs.

vLLM and llama.cpp's server take prompts of tokens, answer with the ids of the likeliest tokens, and
have the calls `/tokenize` and `/detokenize`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from llmsuggestd.remote.server import Server

_TRIAL_TOKENS: Final = 64
"""Limit of the tokens in which the trial has to end."""


class NoTokens(Exception):
    """The server lacks a call or a field for tokens."""


async def tokenize(server: Server, text: str, *, special: bool) -> list[int]:
    """The ids of a text's tokens. `special` adds those that the model begins with.

    Raises NoTokens if the server has no call for it.
    """
    request = {
        "prompt": text,  # vLLM's and SGLang's names
        "add_special_tokens": special,
        "content": text,  # llama.cpp's
        "add_special": special,
    }
    found = await server.ask("/tokenize", request)
    ids = found.get("tokens") if found is not None else None
    if not isinstance(ids, list) or not all(isinstance(one, int) for one in ids):
        raise NoTokens
    return ids


async def detokenize(server: Server, ids: Sequence[int]) -> str:
    """The text of tokens. Raises NoTokens if the server has no call for it."""
    found = await server.ask("/detokenize", {"tokens": list(ids)}) or {}
    text = found.get("prompt", found.get("content"))
    if not isinstance(text, str):
        raise NoTokens
    return text


async def end_token(server: Server, prompt: Sequence[int]) -> int | None:
    """The token with which the model ends a text; None if it does not end the likeliest text.

    Raises NoTokens if the server does not answer with ids.
    """
    answer = await server.complete(request([list(prompt)], _TRIAL_TOKENS, 1))
    (completion, *_) = answer.completions
    last = completion.tokens[-1] if completion.tokens else None
    if last is None or last.id is None:
        raise NoTokens
    await detokenize(server, prompt)
    return last.id if completion.finished else None


def request(prompts: list[list[int]], max_tokens: int, alternatives: int) -> dict[str, object]:
    """The fields of `/v1/completions` for the likeliest continuations of prompts of tokens.

    The answer has the ids of this many likeliest `alternatives` at each position.
    """
    return {
        "prompt": prompts,
        "max_tokens": max_tokens,
        "temperature": 0.0,
        "logprobs": alternatives,
        "return_tokens_as_token_ids": True,  # vLLM's; llama.cpp's server has the ids anyway
        "stream": False,
    }
