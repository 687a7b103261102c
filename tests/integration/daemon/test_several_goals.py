"""`POST /v1/suggest` with `goals`: each goal gets the answer that it gets alone."""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from llmsuggestd.engine import kernels
from tests.conftest import Home
from tests.support import raw

CONTEXT = "p q r : Prop\nhp : p\nhq : q\nh : p → q → r\n"
GOALS = [CONTEXT + "⊢ p ∧ q", CONTEXT + "⊢ r", "⊢ 2 + 2 = 4", "n : Nat\n⊢ n + 0 = n"]
LONG = {"n": 32, "max_tokens": 512}


def ask(home: Home, goals: list[str], **fields: object) -> dict[str, Any]:
    code, answer = home.curl("/v1/suggest", body={"goals": goals} | fields)
    assert code == 200, answer
    assert len(answer["results"]) == len(goals)
    assert answer["model"] == "starter"
    assert isinstance(answer, dict)
    return answer


def found(result: dict[str, Any]) -> list[tuple[str, float]]:
    """Texts and scores. Scores are rounded with llama.cpp's kernels, whose rounding varies."""
    digits = 17 if not kernels.why_not() else 1
    return [(one["text"], round(one["score"], digits)) for one in result["suggestions"]]


def computed(home: Home) -> float:
    """Number of goals that the engine has answered."""
    return raw.metrics(home)['llmsuggestd_answers_total{source="engine"}']


def test_each_goal_gets_the_answer_that_it_gets_alone(served: Home) -> None:
    # the two limits, which no suggestion reaches, keep the cache from answering
    together = ask(served, GOALS, n=4, max_tokens=48)
    assert [result["cached"] for result in together["results"]] == [False] * 4
    for goal, result in zip(GOALS, together["results"], strict=True):
        _, alone = served.curl("/v1/suggest", body={"goal": goal, "n": 4, "max_tokens": 49})
        assert not alone["cached"]
        assert set(alone) == set(result) | {"model", "remote", "timings"}
        assert found(result) == found(alone)
        assert len(result["suggestions"]) == 4
    timings = together["timings"]
    assert timings["prompt_tokens"] > 60
    assert timings["reused_tokens"] > 20  # the second goal begins like the first
    assert timings["total_ms"] >= timings["prompt_ms"] + timings["decode_ms"] > 0


def test_goals_that_need_several_batches_are_answered_as_alone(served: Home) -> None:
    goals = [f"a b : Nat\nh : a = b + {n}\n⊢ a + {n} = b + {2 * n}" for n in range(16)]
    together = ask(served, goals, n=8, max_tokens=40)
    alone = [ask(served, [goal], n=8, max_tokens=41)["results"][0] for goal in goals]
    assert [found(result) for result in together["results"]] == [found(one) for one in alone]


def test_goals_longer_than_the_context_are_truncated(served: Home) -> None:
    long = "".join(f"h{i} : a{i} = b{i}\n" for i in range(1500)) + "⊢ a1 = b1"
    results = ask(served, [GOALS[0], long, long + " + 1", GOALS[2]], n=2)["results"]
    assert [result["truncated"] for result in results] == [False, True, True, False]
    assert all(len(result["suggestions"]) == 2 for result in results)


def test_each_goal_is_cached_by_itself_and_equal_goals_are_decoded_once(served: Home) -> None:
    goals = [f"k : Nat\n⊢ k * {n} = {n} * k" for n in range(4)]
    before = computed(served)
    _, alone = served.curl("/v1/suggest", body={"goal": goals[1]})
    spellings = [goals[0], goals[1] + "\r\n", "case a\n" + goals[2], goals[0] + "  "]
    results = ask(served, spellings)["results"]
    assert [result["cached"] for result in results] == [False, True, False, False]
    assert results[1]["suggestions"] == alone["suggestions"]
    assert results[0] == results[3]
    assert computed(served) - before == 3
    _, alone = served.curl("/v1/suggest", body={"goal": goals[0]})
    assert alone["cached"]
    assert alone["suggestions"] == results[0]["suggestions"]
    again = ask(served, [goals[1], goals[0]])
    assert [result["cached"] for result in again["results"]] == [True, True]
    assert again["timings"]["decode_ms"] == 0


def test_prefix_and_sampling_apply_to_all_goals(served: Home) -> None:
    results = ask(served, GOALS, prefix="exact h", n=3)["results"]
    assert all(s["text"].startswith("exact h") for r in results for s in r["suggestions"])
    fields: dict[str, Any] = {"mode": "sample", "seed": 5, "temperature": 1.2, "n": 3}
    together = ask(served, GOALS, max_tokens=48, **fields)["results"]
    for goal, result in zip(GOALS, together, strict=True):
        _, alone = served.curl("/v1/suggest", body={"goal": goal, "max_tokens": 48} | fields)
        assert alone["cached"]
        assert found(alone) == found(result)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"goals": [GOALS[0], GOALS[1], "no goal"]}, 422, "`⊢ …`"),
        ({"goals": [GOALS[0], GOALS[1], "⊢"]}, 422, "`$.goals[2]`"),
        ({"goals": [GOALS[0], GOALS[1], 5]}, 400, "`$.goals[2]`"),
        ({"goals": [GOALS[0], GOALS[1], " "]}, 400, "`$.goals[2]`"),
        (
            {"goals": [GOALS[0], GOALS[1], "x" * 100_001]},
            400,
            "characters - at `$.goals[2]`",
        ),
        ({"goals": []}, 400, "not empty - at `$.goals`"),
        ({"goals": GOALS * 5}, 400, "at most 16 - at `$.goals`"),
        ({"goals": GOALS[0]}, 400, "`$.goals`"),
        ({"goals": None}, 400, "`$.goals`"),
        ({"goals": GOALS, "goal": GOALS[0]}, 400, "either `goal` or `goals`"),
        ({"prefix": "exact"}, 400, "either `goal` or `goals`"),
        ({"goals": GOALS, "n": 0}, 400, "`$.n`"),
    ],
)
def test_an_invalid_goal_is_named_and_no_goal_is_answered(
    served: Home, body: dict[str, object], status: int, words: str
) -> None:
    before = computed(served)
    code, answer = served.curl("/v1/suggest", body=body)
    assert code == status
    assert words in answer["error"]["message"]
    assert computed(served) == before


def test_a_request_for_several_goals_ends_when_its_client_hangs_up(served: Home) -> None:
    goals = [f"{'x' * 900} {n}\n⊢ False" for n in range(16)]
    with pytest.raises(Exception, match="28"):  # curl: operation timed out
        served.curl("/v1/suggest", "--max-time", "0.3", body={"goals": goals} | LONG)
    served.wait_until(lambda status: status["queue"] == 0, timeout=5)
    ask(served, GOALS, n=2, max_tokens=60)


def test_a_newer_request_of_a_client_supersedes_several_goals(served: Home) -> None:
    answers: list[tuple[int, Any]] = []
    body = {"goals": [f"{'y' * 900} {n}\n⊢ False" for n in range(16)], "client": "prover"} | LONG

    older = threading.Thread(target=lambda: answers.append(served.curl("/v1/suggest", body=body)))
    older.start()
    served.wait_until(lambda status: status["queue"] == 16)
    newer = ask(served, GOALS, n=3, max_tokens=61, client="prover")
    older.join()
    assert len(newer["results"]) == 4
    assert answers[0][0] == 409
    assert answers[0][1]["error"]["code"] == "superseded"


def test_a_full_queue_refuses_more_questions(served: Home) -> None:
    clients = ("prover", "another")
    threads = []
    for client in clients:
        goals = [f"{'z' * 900} {n}\n⊢ {client} = 0" for n in range(16)]
        body = {"goals": goals, "client": client} | LONG
        ask_long = functools.partial(served.curl, "/v1/suggest", body=body)
        threads.append(threading.Thread(target=ask_long))
        threads[-1].start()
    served.wait_until(lambda status: status["queue"] == 32)
    code, answer = served.curl("/v1/suggest", body={"goals": GOALS, "max_tokens": 55})
    assert (code, answer["error"]["code"]) == (503, "busy")
    # newer requests of the same clients end the older ones, and take their places in the queue
    with ThreadPoolExecutor() as pool:
        newer = [
            pool.submit(ask, served, GOALS, max_tokens=56, client=client) for client in clients
        ]
    assert all(len(answer.result()["results"]) == 4 for answer in newer)
    for thread in threads:
        thread.join()
