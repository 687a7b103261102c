"""Draws the learning curve of a training run, for the documents."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any


def points_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The validation points of a run, after those of the run whose weights it began with.

    `tokens` counts from the first of these runs, and `run` is the number of a point's run.
    """
    runs = [record]
    while runs[0].get("start"):
        runs.insert(0, runs[0]["start"])
    points: list[dict[str, Any]] = []
    tokens = 0
    for number, run in enumerate(runs):
        for point in run["curve"]:
            points.append(point | {"tokens": tokens + point["tokens"], "run": number})
        tokens += run["tokens"]
    return points


def draw(record: Path, picture: Path) -> None:
    """Draw the validation points of a `training.json`. Needs matplotlib (extra `train`)."""
    from matplotlib import pyplot

    points = points_of(json.loads(record.read_text(encoding="utf-8")))
    tokens = [point["tokens"] / 1e6 for point in points]
    pyplot.rcParams["svg.hashsalt"] = "starter"
    figure, losses = pyplot.subplots(figsize=(7, 3.5), layout="constrained")
    trained = [p["train_loss"] for p in points]
    losses.plot(tokens, trained, color="#888", label="training, the goals' text with it")
    losses.plot(tokens, [p["validation_loss"] for p in points], color="#c33", label="validation")
    losses.set_xlabel("tokens read (millions)")
    losses.set_ylabel("loss of a step's token (nats)")
    answered = losses.twinx()
    shares = [100 * p["validation_greedy"] for p in points]
    answered.plot(tokens, shares, color="#36c", linestyle="--", label="answered (right axis)")
    answered.set_ylabel("answered greedily (%)")
    answered.set_ylim(0, 100)
    changes = [a for a, b in itertools.pairwise(points) if a["run"] != b["run"]]
    for point in changes:
        losses.axvline(point["tokens"] / 1e6, color="#bbb", linewidth=0.8)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, metadata={"Date": None})
    pyplot.close(figure)
