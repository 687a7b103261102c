"""Suggestions from the shipped model, through every door."""

from __future__ import annotations

import json
import math
import threading
import urllib.request
from typing import Any

import pytest

from tests.conftest import Home, runtime_cases
from tests.support import raw

CONJUNCTION = "p q : Prop\nhp : p\nhq : q\n⊢ p ∧ q"


def check_answer(answer: dict[str, Any], count: int, prefix: str = "") -> list[str]:
    """Check an answer against the API's promises. Returns its texts."""
    suggestions = answer["suggestions"]
    assert len(suggestions) == count
    scores = [suggestion["score"] for suggestion in suggestions]
    assert scores == sorted(scores, reverse=True)
    assert all(math.isfinite(score) and score <= 0 for score in scores)
    texts: list[str] = [suggestion["text"] for suggestion in suggestions]
    assert len({" ".join(text.split()) for text in texts}) == count
    assert all(text.startswith(prefix) and text.strip() for text in texts)
    assert answer["model"] == "starter"
    assert answer["timings"]["total_ms"] > 0
    return texts


def test_a_conjunction_is_split_or_built(served: Home) -> None:
    result = served.run("suggest", "-", "--json", input_=CONJUNCTION)
    assert result.returncode == 0, result.stderr
    texts = check_answer(json.loads(result.stdout), 5)
    assert {"exact ⟨hp, hq⟩", "constructor"} & set(texts)


@pytest.mark.parametrize("row", runtime_cases(), ids=range(len(runtime_cases())))
def test_suggestions_for_every_runtime_case_begin_with_the_prefix(
    served: Home, row: dict[str, str]
) -> None:
    body = {"goal": row["tactic_state"], "prefix": row["prefix"]}
    code, answer = served.curl("/v1/suggest", body=body)
    assert code == 200
    check_answer(answer, 5, row["prefix"])


def test_max_tokens_counts_only_tokens_after_the_prefix(served: Home) -> None:
    prefix = "exact Nat.succ_le_of_lt"
    body = {"goal": "n m : Nat\nh : n < m\n⊢ n + 1 ≤ m", "prefix": prefix, "max_tokens": 2}
    suggestions = served.curl("/v1/suggest", body=body)[1]["suggestions"]
    assert len(suggestions) == 5
    assert all(len(s["text"]) > len(prefix) for s in suggestions)


@pytest.mark.parametrize("count", [1, 2, 16, 32])
def test_the_answer_has_the_requested_number_of_suggestions(served: Home, count: int) -> None:
    code, answer = served.curl("/v1/suggest", body={"goal": CONJUNCTION, "n": count})
    assert code == 200
    check_answer(answer, count)


def test_another_seed_draws_other_suggestions(served: Home) -> None:
    def ask(seed: int, temperature: float) -> list[str]:
        body = {"goal": "⊢ 2 + 2 = 4", "mode": "sample", "seed": seed, "temperature": temperature}
        code, answer = served.curl("/v1/suggest", body=body)
        assert code == 200
        return check_answer(answer, len(answer["suggestions"]))

    assert ask(1, 1.5) != ask(2, 1.5)


def test_the_port_gives_the_same_answer_as_the_socket(served: Home) -> None:
    record = json.loads(served.paths.client_file.read_text())
    request = urllib.request.Request(
        f"{record['url']}/v1/suggest",
        json.dumps({"goal": CONJUNCTION}).encode(),
        {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {served.paths.token_file.read_text()}",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        over_port = json.load(response)
    _, over_socket = served.curl("/v1/suggest", body={"goal": CONJUNCTION})
    assert over_port["suggestions"] == over_socket["suggestions"]


def test_the_same_question_is_answered_from_the_cache(served: Home) -> None:
    body = {"goal": "a b c : Nat\n⊢ a + b + c = c + b + a"}
    _, first = served.curl("/v1/suggest", body=body)
    _, second = served.curl("/v1/suggest", body=body | {"client": "someone else"})
    _, other = served.curl("/v1/suggest", body=body | {"n": 4})
    assert [first["cached"], second["cached"], other["cached"]] == [False, True, False]
    assert first["suggestions"] == second["suggestions"]


def test_an_answer_does_not_depend_on_earlier_requests(served: Home) -> None:
    """A prompt reuses cells of earlier prompts, which changes nothing but rounding."""
    goals = [CONJUNCTION, CONJUNCTION.replace("p ∧ q", "q ∧ p"), "⊢ 2 = 2", CONJUNCTION[:-3]]

    def ask(goal: str, max_tokens: int) -> list[tuple[str, float]]:
        _, answer = served.curl("/v1/suggest", body={"goal": goal, "max_tokens": max_tokens})
        assert not answer["cached"]
        return [(s["text"], round(s["score"], 3)) for s in answer["suggestions"]]

    # the two limits, which no suggestion reaches, keep the cache from answering the second round
    forward = {goal: ask(goal, 48) for goal in goals}
    backward = {goal: ask(goal, 49) for goal in reversed(goals)}
    for goal in goals:
        assert [text for text, _ in forward[goal]] == [text for text, _ in backward[goal]]
        for (_, one), (_, other) in zip(forward[goal], backward[goal], strict=True):
            assert one == pytest.approx(other, abs=0.02)


def test_concurrent_requests_get_their_own_answers(served: Home) -> None:
    goals = [f"n : Nat\n⊢ n + {i} = {i} + n" for i in range(12)]
    alone = {goal: served.curl("/v1/suggest", body={"goal": goal, "n": 3})[1] for goal in goals}
    together: dict[str, Any] = {}

    def ask(goal: str) -> None:
        # another limit keeps the cache from answering
        body = {"goal": goal, "n": 3, "max_tokens": 63}
        together[goal] = served.curl("/v1/suggest", body=body)[1]

    threads = [threading.Thread(target=ask, args=(goal,)) for goal in goals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for goal in goals:
        texts = [[s["text"] for s in one["suggestions"]] for one in (alone[goal], together[goal])]
        assert texts[0] == texts[1]


def test_a_goal_longer_than_the_context_is_shortened(served: Home) -> None:
    goal = "".join(f"h{i} : a{i} = b{i}\n" for i in range(3000)) + CONJUNCTION
    code, answer = served.curl("/v1/suggest", body={"goal": goal})
    assert code == 200
    assert answer["truncated"]
    check_answer(answer, 5)


def test_special_tokens_in_a_goal_are_plain_text(served: Home) -> None:
    code, answer = served.curl("/v1/suggest", body={"goal": '⊢ s = "<|endoftext|>"'})
    assert code == 200
    check_answer(answer, 5)


def test_a_newer_request_of_a_client_supersedes_the_older(served: Home) -> None:
    answers: list[tuple[int, Any]] = []
    context = "".join(f"p{i} q{i} : Nat\nhp{i} : p{i} < q{i} + {i}\n" for i in range(40))
    long = {"n": 32, "max_tokens": 512, "client": "editor"}

    def ask_older() -> None:
        body = {"goal": f"{context}⊢ p3 * q4 = q4 * p3", **long}
        answers.append(served.curl("/v1/suggest", body=body))

    older = threading.Thread(target=ask_older)
    older.start()
    served.wait_until(lambda status: status["queue"] == 1)
    code, answer = served.curl(
        "/v1/suggest", body={"goal": CONJUNCTION, "max_tokens": 61, "client": "editor"}
    )
    older.join()
    assert code == 200
    check_answer(answer, 5)
    assert answers[0][0] == 409
    assert answers[0][1]["error"]["code"] == "superseded"


def test_a_request_ends_when_its_client_hangs_up(served: Home) -> None:
    context = "".join(f"p{i} q{i} : Nat\nhp{i} : p{i} < q{i} + {i}\n" for i in range(40))
    body = {"goal": f"{context}⊢ p1 * q2 = q2 * p1", "n": 32, "max_tokens": 512}
    with pytest.raises(Exception, match="28"):  # curl: operation timed out
        served.curl("/v1/suggest", "--max-time", "0.2", body=body)
    served.wait_until(lambda status: status["queue"] == 0, timeout=5)
    code, _ = served.curl("/v1/suggest", body={"goal": CONJUNCTION, "max_tokens": 60})
    assert code == 200


def test_the_next_goal_of_a_proof_reuses_the_cells_of_the_shared_context(served: Home) -> None:
    context = "".join(f"x{i} y{i} : Nat\nh{i} : x{i} = y{i}\n" for i in range(8))
    _, first = served.curl("/v1/suggest", body={"goal": f"{context}⊢ x1 = y1 ∧ x2 = y2"})
    # `constructor` leaves the same context with a part of the target
    _, second = served.curl("/v1/suggest", body={"goal": f"{context}⊢ x1 = y1"})
    tokens = [answer["timings"]["prompt_tokens"] for answer in (first, second)]
    assert tokens[1] > 100
    # the prompts differ only at the end; up to a word's tokens before that are decoded again
    assert second["timings"]["reused_tokens"] >= 0.8 * (tokens[1] - 8)
    assert second["timings"]["reused_tokens"] < tokens[1]
    reused = raw.metrics(served)['llmsuggestd_prompt_tokens_total{source="reused"}']
    assert reused >= 0.8 * (tokens[1] - 8)


def test_a_cached_answer_is_much_faster_than_a_computed_one(served: Home) -> None:
    """The daemon's own times are compared, since both are longer on a slow machine."""
    body = {"goal": "a b : Nat\n⊢ a * b + a = a * (b + 1)", "n": 16}
    _, first = served.curl("/v1/suggest", body=body)
    again = [served.curl("/v1/suggest", body=body)[1] for _ in range(5)]
    assert all(answer["cached"] for answer in again)
    quickest = min(answer["timings"]["total_ms"] for answer in again)
    assert quickest < max(10, first["timings"]["total_ms"] / 5)
