"""Figures about the daemon in Prometheus' text format. No goal, path or client's name is in them.

The registry is our own: prometheus-client's global one counts Python's garbage and the like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from llmsuggestd.daemon.cache import AnswerCache
from llmsuggestd.daemon.schema import Status, Timings

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class Metrics:
    """Counters, which each call increments. `_Gauges` has the values that are read at a scrape."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "llmsuggestd_requests", "HTTP requests answered.",
            ["door", "path", "status"], registry=self._registry,
        )  # fmt: skip
        self.answers = Counter(
            "llmsuggestd_answers",
            "Goals: answered from the cache, sharing a computation, or computed by the engine.",
            ["source"], registry=self._registry,
        )  # fmt: skip
        for source in ("cache", "shared", "engine"):
            self.answers.labels(source)
        self.refused = Counter(
            "llmsuggestd_refused", "Requests refused because the queue was full.",
            registry=self._registry,
        )  # fmt: skip
        self.switches = Counter(
            "llmsuggestd_switches", "Changes of the model.", ["result"], registry=self._registry
        )
        for result in ("done", "failed"):
            self.switches.labels(result)
        self._phases = Histogram(
            "llmsuggestd_phase_seconds", "Time of computed answers, by phase.",
            ["phase"], buckets=SECONDS, registry=self._registry,
        )  # fmt: skip
        self._prompt_tokens = Counter(
            "llmsuggestd_prompt_tokens", "Tokens of prompts: decoded, or reused from before.",
            ["source"], registry=self._registry,
        )  # fmt: skip
        for source in ("reused", "decoded"):
            self._prompt_tokens.labels(source)
        ProcessCollector(registry=self._registry)  # memory, open files, processor time

    def observe(self, timings: Timings) -> None:
        """Count a computed answer's times, and its prompt's tokens."""
        for phase in ("queue", "load", "prompt", "decode"):
            self._phases.labels(phase).observe(getattr(timings, f"{phase}_ms") / 1000)
        reused = timings.reused_tokens
        self._prompt_tokens.labels("reused").inc(reused)
        self._prompt_tokens.labels("decoded").inc(timings.prompt_tokens - reused)

    def watch(self, status: Callable[[], Status], answers: AnswerCache) -> None:
        """Include gauges of the daemon's status and of its cache."""
        self._registry.register(_Gauges(status, answers))

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _Gauges(Collector):
    """Gauges, read at each scrape."""

    def __init__(self, status: Callable[[], Status], answers: AnswerCache) -> None:
        self._status = status
        self._answers = answers

    def collect(self) -> Iterable[Metric]:
        """The present values."""
        status, answers = self._status(), self._answers
        yield GaugeMetricFamily("llmsuggestd_queue", "Questions waiting or being answered.",
                                status.queue)  # fmt: skip
        yield GaugeMetricFamily("llmsuggestd_cached_answers", "Answers in the cache.",
                                len(answers))  # fmt: skip
        yield GaugeMetricFamily("llmsuggestd_cached_characters", "Their suggestions' length.",
                                answers.characters)  # fmt: skip
        yield GaugeMetricFamily("llmsuggestd_engine_up", "1 while a model is in memory.",
                                int(status.engine_pid is not None))  # fmt: skip
        info = GaugeMetricFamily("llmsuggestd_info", "1, with what is served.",
                                 labels=["version", "llama_cpp", "model", "device"])  # fmt: skip
        info.add_metric([status.version, status.llama_cpp, status.model.id, status.device or ""], 1)
        yield info
