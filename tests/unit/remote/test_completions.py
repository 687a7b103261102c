"""Reading the completions that servers send, and ranking the suggestions in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmsuggestd.remote.completions import (
    Completion,
    Malformed,
    Token,
    read,
    suggestions,
)


def body(*choices: dict[str, Any]) -> bytes:
    return json.dumps({"choices": choices, "usage": {"prompt_tokens": 7}}).encode()


def completion(text: str, *scores: float, finished: bool = True) -> Completion:
    tokens = [Token(text, scores[0]), *(Token("", score) for score in scores[1:])]
    return Completion(text, tokens, finished)


@pytest.mark.parametrize(
    "logprobs",
    [
        {"tokens": ["rf", "l"], "token_logprobs": [-0.5, -1.0], "top_logprobs": [{}, {}]},
        {"tokens": ["rf", "l"], "token_logprobs": [-0.5, -1.0], "top_logprobs": None},
        {"content": [{"token": "rf", "logprob": -0.5}, {"token": "l", "logprob": -1}]},
    ],
    ids=["vLLM, SGLang, llama-cpp-python", "without others", "llama.cpp"],
)
def test_log_probabilities_are_read_in_each_servers_form(logprobs: dict[str, Any]) -> None:
    answer = read(body({"text": "rfl", "finish_reason": "stop", "logprobs": logprobs}))
    assert answer.prompt_tokens == 7
    assert answer.completions == [Completion("rfl", [Token("rf", -0.5), Token("l", -1.0)], True)]


@pytest.mark.parametrize(
    "logprobs",
    [
        {"tokens": ["token_id:7"], "token_logprobs": [-0.5],
         "top_logprobs": [{"token_id:7": -0.5, "token_id:0": -1.5}]},
        {"content": [{"id": 7, "token": "rf", "logprob": -0.5, "top_logprobs": [
            {"id": 7, "token": "rf", "logprob": -0.5}, {"id": 0, "token": "", "logprob": -1.5}]}]},
    ],
    ids=["vLLM", "llama.cpp"],
)  # fmt: skip
def test_the_ids_of_the_likeliest_tokens_are_read(logprobs: dict[str, Any]) -> None:
    (found,) = read(body({"text": "rf", "logprobs": logprobs})).completions
    assert found.tokens is not None
    assert (found.tokens[0].id, found.tokens[0].likeliest) == (7, {7: -0.5, 0: -1.5})


def test_choices_are_sorted_by_their_index() -> None:
    answer = read(body({"text": "b", "index": 1}, {"text": "a", "index": 0}))
    assert [one.text for one in answer.completions] == ["a", "b"]


@pytest.mark.parametrize("logprobs", [None, {}, [], {"token_logprobs": None}, {"content": []}])
def test_a_completion_without_log_probabilities_has_no_tokens(logprobs: object) -> None:
    (found,) = read(body({"text": "rfl", "logprobs": logprobs})).completions
    assert found.tokens is None


@pytest.mark.parametrize(
    "text",
    [
        b"", b"<html>", b"[]", b"{}", b'{"choices": 1}', b'{"choices": [{}]}', b"\xff",
        b'{"choices": [{"text": 1}]}', b'{"choices": [{"text": "a"}]',
        b'{"choices": [{"text": "a", "logprobs": {"token_logprobs": ["x"]}}]}',
        b'{"choices": [{"text": "a", "logprobs": {"content": [{"token": "a"}]}}]}',
        b'{"choices": [{"text": "a", "logprobs": {"content": ["a"]}}]}',
    ],
)  # fmt: skip
def test_other_answers_are_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        read(text)


def test_suggestions_are_ranked_by_mean_log_probability_and_merged_up_to_white_space() -> None:
    drawn = [
        completion("simp", -1.0),
        completion(" exact  h", -0.2, -0.4),
        completion("exact h", -0.9),
        completion("\n ", -0.1),
        completion("rfl", -0.2, -0.1),
    ]
    found = suggestions(drawn, prefix="", n=3)
    assert [(one.text, round(one.score, 6)) for one in found] == [
        ("rfl", -0.15), ("exact  h", -0.3), ("simp", -1.0)
    ]  # fmt: skip
    assert suggestions(drawn, prefix="", n=1) == found[:1]


def test_a_completion_begins_with_the_spaces_taken_back_from_the_prefix() -> None:
    drawn = [completion(" [h]", -0.1), completion("_all", -0.2)]
    (found,) = suggestions(drawn, prefix="simp ", removed_space=" ", n=5)
    assert found.text == "simp [h]"


def test_a_stop_string_that_a_server_ignores_ends_a_suggestion() -> None:
    tokens = [Token("rfl", -0.2), Token("[/TAC]", -0.4), Token("junk", -9.0)]
    drawn = [Completion("rfl[/TAC]junk", tokens, False)]
    (found,) = suggestions(drawn, prefix="", stops=["[/TAC]"], n=1)
    assert (found.text, round(found.score, 6), found.finished) == ("rfl", -0.3, True)


def test_an_incomplete_character_is_dropped_and_invalid_text_gives_no_suggestion() -> None:
    drawn = [
        completion("exact ⟨h, \ufffd", -0.1, finished=False),
        completion("exact \ufffd", -0.1),
    ]
    assert [one.text for one in suggestions(drawn, prefix="", n=5)] == ["exact ⟨h,"]
