"""The evaluation: what counts as a right answer, and the committed held-out goals."""

from __future__ import annotations

import http.server
import json
import os
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import ClassVar

from convert.starter import data
from convert.starter.evaluate import Question, daemon, evaluate, normal, read_questions, table

ROOT = Path(__file__).parents[4]


def test_any_known_step_counts_wherever_it_stands() -> None:
    questions = [
        Question("propositional/and", "g1", frozenset({"constructor", "exact ⟨a, b⟩"})),
        Question("lists/length", "g2", frozenset({"simp"})),
    ]
    scores = evaluate(questions, lambda goal, count: ["rfl", "constructor"][:count], 5)
    assert (scores["propositional"].first, scores["propositional"].found) == (0, 1)
    assert scores["lists"].found == 0
    assert "| all | 2 | 0.0% | 50.0% |" in table(scores)


def test_only_the_first_suggestions_count() -> None:
    questions = [Question("lists/length", "g", frozenset({"simp"}))]
    assert evaluate(questions, lambda goal, count: ["rfl", "simp"], 1)["all"].found == 0


def test_white_space_does_not_matter() -> None:
    assert normal("  rw  [h]\n exact  k ") == "rw [h]\nexact k"


def test_the_committed_questions_are_held_out() -> None:
    questions = read_questions()
    assert len(questions) >= 400
    assert {q.family.split("/")[0] for q in questions} == {
        "arithmetic",
        "equality",
        "lists",
        "propositional",
        "quantifiers",
    }
    goals = {str(sample.goal) for sample in data.training(4, 3000)}
    assert goals.isdisjoint(q.goal for q in questions)


def test_evaluation_needs_no_torch() -> None:
    code = "import convert.starter.__main__, sys; assert 'torch' not in sys.modules"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, env=environment)


class _Handler(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[object]] = []

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.asked.append((self.path, json.loads(self.rfile.read(length))))
        body = json.dumps({"suggestions": [{"text": "simp"}, {"text": "rfl"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def test_a_daemon_is_asked_through_its_socket() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.sock"
        with socketserver.UnixStreamServer(str(path), _Handler) as server:
            assert server.socket.family == socket.AF_UNIX
            threading.Thread(target=server.serve_forever, daemon=True).start()
            assert daemon(path)("⊢ 2 = 2", 5) == ["simp", "rfl"]
            server.shutdown()
    assert _Handler.asked == [("/v1/suggest", {"goal": "⊢ 2 = 2", "n": 5})]
