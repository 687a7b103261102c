"""A goal has one answer, whatever its spelling and through whichever door it comes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Home
from tests.support import raw
from tests.support.spellings import NEXT_GOAL, SPELLINGS

GOAL = "case left\np q : Prop\nh : p ∧ q\n⊢ q ∧ p"
COUNT = 8
LENGTH = 128

INSTRUCTION = "Put the next tactic inside [TAC]...[/TAC]\n-/\n[STATE]\n{}\n[/STATE]\n[TAC]\n"
FEW_SHOT = "Tactic state:\n---\n{}\n---\nNext tactic:\n---\n"
MARKDOWN = (
    "The current proof state is as follows:\n{}\n\nYour task is to generate the next tactic in the"
    " proof.\n"
)


def post(home: Home, door: str, path: str, body: object) -> Any:
    """The answer of a listener, whose status must be 200."""
    status, _, answer = raw.ask(home, raw.post(path, body), door)
    assert status == 200, answer
    return answer


def own_call(home: Home, goal: str, count: int = COUNT, length: int = LENGTH) -> list[str]:
    """The suggestions of `POST /v1/suggest`."""
    body = {"goal": goal, "n": count, "max_tokens": length}
    return [s["text"] for s in post(home, "socket", "/v1/suggest", body)["suggestions"]]


def argument(home: Home, goal: str) -> list[str]:
    return from_command_line(home.run(*COMMAND, goal))


def standard_input(home: Home, goal: str) -> list[str]:
    return from_command_line(home.run(*COMMAND, "-", input_=goal))


COMMAND = ("suggest", "--json", "-n", str(COUNT), "--max-tokens", str(LENGTH))


def from_command_line(result: subprocess.CompletedProcess[str]) -> list[str]:
    assert result.returncode == 0, result.stderr
    return [s["text"] for s in json.loads(result.stdout)["suggestions"]]


def llmstep(home: Home, goal: str) -> list[str]:
    body = {"tactic_state": goal, "prefix": "", "context": ""}
    return list(post(home, "llmstep", "/", body)["suggestions"])


def tutorial(home: Home, goal: str) -> list[str]:
    return list(post(home, "tutorial", "/", {"tactic_state": goal})["suggestions"])


def leancopilot(home: Home, goal: str) -> list[str]:
    body = {"name": "any", "input": goal, "prefix": ""}
    return [o["output"] for o in post(home, "leancopilot", "/generate", body)["outputs"]]


def completions(template: str) -> Callable[[Home, str], list[str]]:
    """Ask OpenAI's completions, with LLMLean's prompts and with bare goals."""

    def ask(home: Home, goal: str) -> list[str]:
        body = {"prompt": template.format(goal), "n": COUNT, "max_tokens": LENGTH}
        texts = [c["text"] for c in post(home, "llmlean", "/v1/completions", body)["choices"]]
        return [text.removeprefix("```lean4\n").removesuffix("\n```") for text in texts]

    return ask


def chat(home: Home, goal: str) -> list[str]:
    messages = [{"role": "user", "content": INSTRUCTION.format(goal)}]
    body = {"messages": messages, "n": COUNT, "max_tokens": LENGTH}
    answer = post(home, "llmlean", "/v1/chat/completions", body)
    return [choice["message"]["content"] for choice in answer["choices"]]


def ollama(home: Home, goal: str) -> list[str]:
    body = {"prompt": INSTRUCTION.format(goal), "options": {"num_predict": LENGTH}}
    return [post(home, "llmlean", "/api/generate", body)["response"]]


def among_goals(home: Home, goal: str) -> list[str]:
    body = {"goals": [NEXT_GOAL, goal], "n": COUNT, "max_tokens": LENGTH}
    result = post(home, "socket", "/v1/suggest", body)["results"][1]
    return [suggestion["text"] for suggestion in result["suggestions"]]


DOORS: dict[str, tuple[Callable[[Home, str], list[str]], int, int]] = {
    # how to ask, the number of suggestions, and their `max_tokens`
    "POST /v1/suggest": (own_call, COUNT, LENGTH),
    "one of several goals": (among_goals, COUNT, LENGTH),
    "an argument": (argument, COUNT, LENGTH),
    "standard input": (standard_input, COUNT, LENGTH),
    "llmstep": (llmstep, 10, 128),
    "tutorial": (tutorial, 5, 50),
    "leancopilot": (leancopilot, 8, 128),
    "instruction prompt": (completions(INSTRUCTION), COUNT, LENGTH),
    "few-shot prompt": (completions(FEW_SHOT), COUNT, LENGTH),
    "markdown prompt": (completions(MARKDOWN), COUNT, LENGTH),
    "our own prompt": (completions("[GOAL]{}[PROOFSTEP]"), COUNT, LENGTH),
    "bare goal as a prompt": (completions("{}"), COUNT, LENGTH),
    "chat": (chat, COUNT, LENGTH),
    "ollama": (ollama, 1, LENGTH),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_spelling_has_the_same_answer_at_every_door(exposed: Home, door: str) -> None:
    ask, count, length = DOORS[door]
    expected = own_call(exposed, GOAL, count, length)
    assert expected
    for name, spelling in SPELLINGS.items():
        assert ask(exposed, spelling(GOAL)) == expected, name


def test_every_spelling_shares_the_cached_answer(exposed: Home) -> None:
    body = {"goal": GOAL, "n": 2, "max_tokens": 20}
    assert not post(exposed, "socket", "/v1/suggest", body)["cached"]
    for spelling in SPELLINGS.values():
        answer = post(exposed, "socket", "/v1/suggest", body | {"goal": spelling(GOAL)})
        assert answer["cached"]


def test_of_many_goals_the_first_is_answered_in_full(exposed: Home) -> None:
    """All goals together are longer than the context, but the first is not."""
    state = "\n\n".join([GOAL, *[NEXT_GOAL] * 100])
    answer = post(exposed, "socket", "/v1/suggest", {"goal": state, "n": 2, "max_tokens": 20})
    assert not answer["truncated"]
    assert (
        answer["suggestions"]
        == post(exposed, "socket", "/v1/suggest", {"goal": GOAL, "n": 2, "max_tokens": 20})[
            "suggestions"
        ]
    )


def test_text_without_a_goal_is_refused_at_every_door(exposed: Home) -> None:
    """The message is in the body, where LLMLean and curl show it."""
    words = "a goal needs a line `⊢ …`"
    for door, path, body in [
        ("socket", "/v1/suggest", {"goal": "2 + 2 = 4"}),
        ("llmstep", "/", {"tactic_state": "hello", "prefix": ""}),
        ("tutorial", "/", {"tactic_state": "hello"}),
        ("leancopilot", "/generate", {"name": "any", "input": "hello", "prefix": ""}),
        ("llmlean", "/api/generate", {"prompt": INSTRUCTION.format("hello")}),
        ("llmlean", "/v1/completions", {"prompt": INSTRUCTION.format("hello")}),
    ]:
        status, _, answer = raw.ask(exposed, raw.post(path, body), door)
        assert (status, answer["error"]["code"]) == (422, "not_a_goal"), door
        assert answer["error"]["message"].startswith(words), door


@pytest.mark.parametrize(
    ("arguments", "input_", "words"),
    [
        (["suggest", ""], None, "a goal needs a line `⊢ …`"),
        (["suggest", "2 + 2 = 4"], None, "a goal needs a line `⊢ …`"),
        (["suggest", "-"], b"", "standard input is empty"),
        (["suggest", "-"], b"\xff \xe2\x8a\xa2 2 = 2", "not UTF-8"),
        (["suggest", "-"], "⊢ 2 = 2\0".encode(), "not text"),
        (["suggest", "-"], "⊢ 2 = 2".encode("utf-16-le"), "not"),
        (["suggest", "\udcff ⊢ 2 = 2"], None, "not UTF-8"),
        (["suggest", "⊢ 2 = 2", "--prefix", "\udcff"], None, "not UTF-8"),
    ],
)
def test_the_command_line_refuses_text_without_a_goal_in_one_line(
    exposed: Home, arguments: list[str], input_: bytes | None, words: str
) -> None:
    result = exposed.run(*arguments, input_=input_)
    assert result.returncode == 2
    first, *more = result.stderr.splitlines()
    assert words in first
    assert "$" not in first, "the message must not mention JSON"
    assert len(more) <= 1
    assert result.stdout == ""


def test_a_file_from_powershell_is_read(exposed: Home) -> None:
    """PowerShell writes UTF-16 with a byte order mark."""
    result = exposed.run(*COMMAND, "-", input_=GOAL.encode("utf-16"))
    assert from_command_line(result) == own_call(exposed, GOAL)
