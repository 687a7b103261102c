"""Writes docs/benchmarks.md: the figures of `engine.py` as tables and plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

Figures = dict[str, Any]

METHODS: Final = {
    "transformers": "(a) transformers, beam search, float32",
    "completions": "(b) llama-cpp-python, `create_completion` n times, Q4_K_M",
    "ours": "**(c) ours, Q4_K_M**",
}

HEAD: Final = """# Benchmarks

`make bench` generates this page: it measures on one machine, prints these tables and draws the
plots. The models have the shapes of Pythia 410M and 2.8B, and random weights. With random weights a
tactic never ends, so each suggestion of each contender has all its 16 tokens. With a trained model,
ours stops earlier. Read the figures as ratios.

The contenders run one at a time, warmed up, each in its own process with all cores:

- (a) the tutorial server's method: transformers' `generate(num_beams=n)`, float32;
- (b) llama-cpp-python's `create_completion`, n times in sequence, with its prompt cache;
- (c) ours: the daemon, asked over its Unix socket.

"""

WRITTEN_BY_HAND: Final = "## What limits it\n"
"""The heading of the page's last part, which explains the figures and is written by hand."""


def tables(figures: Figures, shapes: list[str]) -> str:
    """All tables that have figures, as Markdown."""
    parts = [_machine(figures), _fresh(figures, shapes), _ratios(figures, shapes)]
    parts += [_load(figures, [*shapes, "starter"])]
    parts += [_growth(figures, shapes), _limit(figures, shapes), _waits(figures, shapes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(figures: Figures) -> str:
    if (machine := figures.get("hardware")) is None:
        return ""
    days = sorted({section["when"][:10] for section in figures.values()})
    return (
        f"{machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory'] / 2**30:.0f} GiB, Python {machine['python']}, {' and '.join(days)}."
        f" {machine.get('note', '')}".rstrip()
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _fresh(figures: Figures, shapes: list[str]) -> str:
    rows = []
    for shape in shapes:
        for method, title in METHODS.items():
            fresh = figures.get(f"{shape}/{method}/fresh")
            if fresh is None:
                continue
            trace = figures.get(f"{shape}/{method}/trace")
            seconds = [fresh["seconds"].get(count) for count in ("1", "5", "16")]
            seconds.append(trace and trace["total"])
            cells = ["" if value is None else f"{value:.2f}" for value in seconds]
            rows.append([shape, title, *cells, f"{fresh['peak'] / 2**30:.2f} GiB"])
    if not rows:
        return ""
    return (
        "## New goals, and an editing trace\n\nSeconds for 1, 5 and 16 suggestions of 16 tokens: "
        "medians over goals of about 55 tokens. The trace is a sequence\nof 40 calls for 5 "
        "suggestions, as an editor makes them: the goals of one proof after another, each with "
        "the\ncontext of the previous one, 12 of them repeated because the user edited an "
        "earlier line. Its figure is the total\nof all calls. (The other two do not cache "
        "answers. At 2.8B, only two of the five proofs are measured for them, and\nscaled up.)\n"
        "\n"
    ) + _table(["", "", "1", "5", "16", "trace", "peak memory"], rows)


RATIOS: Final = (
    # title, section, how to read it, above, below, goal ("<": at most)
    ("(b) / ours, 5 suggestions", "completions/fresh", "5", "ours/fresh", "5", "≥ 2"),
    ("(a) / ours, 5 suggestions", "transformers/fresh", "5", "ours/fresh", "5", "≥ 3.5"),
    ("ours, 5 suggestions / 1", "ours/fresh", "5", "ours/fresh", "1", "≤ 1.8"),
    ("(b) / ours, 16 suggestions", "completions/fresh", "16", "ours/fresh", "16", "≥ 3"),
    ("peak memory, ours / (a)", "ours/fresh", "peak", "transformers/fresh", "peak", "≤ 0.2"),
    ("(b) / ours, trace", "completions/trace", "total", "ours/trace", "total", "≥ 5"),
    ("(a) / ours, trace", "transformers/trace", "total", "ours/trace", "total", "≥ 8"),
)


def _ratios(figures: Figures, shapes: list[str]) -> str:
    def value(shape: str, section: str, key: str) -> float:
        found = figures[f"{shape}/{section}"]
        return float(found["seconds"][key] if key.isdigit() else found[key])

    rows = []
    for title, above, over, below, under, goal in RATIOS:
        cells = []
        for shape in shapes:
            try:
                cells.append(f"{value(shape, above, over) / value(shape, below, under):.2f}")
            except KeyError:
                cells.append("")
        if any(cells):
            rows.append([title, *cells, goal])
    return _table(["ratio", *shapes, "goal at 2.8B"], rows) if rows else ""


def _load(figures: Figures, shapes: list[str]) -> str:
    rows = []
    for shape in shapes:
        for method in ("completions", "ours"):
            load = figures.get(f"{shape}/{method}/load")
            if load is None:
                continue
            cells = [shape, METHODS[method], f"{1000 * load['idle']:.0f}"]
            for kind in ("sessions", "threads"):
                if kind in load:
                    median, p95 = load[kind]["median"], load[kind]["p95"]
                    cells += [f"{1000 * median:.0f}", f"{1000 * p95:.0f}",
                              f"{p95 / load['idle']:.1f}"]  # fmt: skip
                else:
                    cells += ["", "", ""]
            rows.append(cells)
    if not rows:
        return ""
    return (
        "## Beside a busy Lean\n\nMilliseconds for 5 suggestions, on an idle machine and beside "
        "two busy processes per core in a separate session:\nmedian, 95th percentile, and its "
        "ratio to the idle median. *Sessions*: the kernel gives each session an equal\nshare "
        "(Linux's default outside systemd's slices). *Threads*: it does not, and each of the 8 "
        "other threads has the\nsame share as one of ours, so 3 times the idle time would be "
        "fair.\n\n"
    ) + _table(
        ["", "", "idle", "sessions: median", "p95", "p95 / idle", "threads: median", "p95",
         "p95 / idle"], rows)  # fmt: skip


def _growth(figures: Figures, shapes: list[str]) -> str:
    parts = [
        _curve(figures, shapes, "count", "Ours, seconds by number of suggestions:"),
        _curve(figures, shapes, "length", "Seconds for the prompt alone by its length in tokens:"),
        _curve(figures, shapes, "width", "Milliseconds per step by number of candidates:", 1000),
    ]
    return "\n\n".join(["## Growth", *filter(None, parts)]) if any(parts) else ""


def _curve(figures: Figures, shapes: list[str], measure: str, title: str, scale: int = 1) -> str:
    curves = {
        shape: {int(x): y for x, y in figures[f"{shape}/ours/{measure}"].items() if x != "when"}
        for shape in shapes
        if f"{shape}/ours/{measure}" in figures
    }
    if not curves:
        return ""
    xs = sorted({x for curve in curves.values() for x in curve})
    digits = 2 if scale == 1 else 0
    rows = [
        [shape, *(f"{scale * curve[x]:.{digits}f}" if x in curve else "" for x in xs)]
        for shape, curve in curves.items()
    ]
    return f"{title}\n\n" + _table(["", *map(str, xs)], rows)


def _limit(figures: Figures, shapes: list[str]) -> str:
    machine = figures.get("hardware")
    rows = []
    for shape in shapes:
        limit = figures.get(f"{shape}/ours/limit")
        if limit is None or machine is None:
            continue
        read = limit["weights_bytes"] / limit["step_seconds"]
        done = limit["prompt_multiply_adds"] / limit["prompt_seconds"]
        rows.append(
            [
                shape,
                f"{1000 * limit['step_seconds']:.0f} ms",
                f"{read / 1e9:.1f} of {machine['bytes_per_second'] / 1e9:.1f} GB/s",
                f"{read / machine['bytes_per_second']:.0%}",
                f"{done / 1e9:.0f} of {machine['multiply_adds_per_second'] / 1e9:.0f} G/s",
                f"{done / machine['multiply_adds_per_second']:.0%}",
            ]
        )
    if not rows:
        return ""
    return (
        "## Share of the hardware's limit\n\nA step of one candidate reads all weights once. Its "
        "bytes per second are compared with numpy's `sum` on all cores.\nA prompt of 512 tokens "
        "is limited by arithmetic. Its multiply-adds per second are compared with a float32 "
        "matrix\nproduct on this machine, which the integer arithmetic of quantised weights can "
        "exceed.\n\n"
    ) + _table(["", "step", "weights read", "share", "prompt, multiply-adds", "share"], rows)


def _waits(figures: Figures, shapes: list[str]) -> str:
    rows = []
    for shape in (*shapes, "starter"):
        start = figures.get(f"{shape}/waits/start")
        cancel = figures.get(f"{shape}/waits/cancel", {})
        if start is None and not cancel:
            continue
        cells = [shape, f"{start['start_to_answer']:.2f} s" if start else ""]
        for phase in ("inside a long prompt", "between decode steps"):
            waits = cancel.get(phase)
            cells.append(
                f"{1000 * waits['median']:.0f}, at most {1000 * waits['longest']:.0f}"
                if waits
                else ""
            )
        rows.append(cells)
    if not rows:
        return ""
    return (
        "## Starting and cancelling\n\nThe time from `llmsuggestd start` to 5 suggestions of 16 "
        "tokens, with the model's file in the page cache. The\nmilliseconds from a request's "
        "cancellation, at a random moment, to its end in the engine.\n\n"
    ) + _table(
        ["", "start to suggestions", "cancelled inside a long prompt", "between decode steps"],
        rows,
    )


def write(figures: Figures, shapes: list[str], docs: Path) -> None:
    """Write docs/benchmarks.md and its plots. Keeps the last part, which is written by hand."""
    page = docs / "benchmarks.md"
    before = page.read_text(encoding="utf-8") if page.exists() else ""
    text = HEAD + tables(figures, shapes)
    for name, title in _plots(figures, shapes, docs / "pictures"):
        text += f"\n![{title}](pictures/{name})\n"
    text += f"\n{WRITTEN_BY_HAND}{before.partition(WRITTEN_BY_HAND)[2]}"
    page.write_text(text, encoding="utf-8")


def _plots(figures: Figures, shapes: list[str], directory: Path) -> list[tuple[str, str]]:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "llmsuggestd"
    from matplotlib import pyplot

    drawn = []
    for measure, label in (("count", "suggestions"), ("length", "tokens of the prompt")):
        figure, axes = pyplot.subplots(figsize=(5, 3.2), layout="constrained")
        for shape in shapes:
            curve = figures.get(f"{shape}/ours/{measure}", {})
            points = sorted((int(x), y) for x, y in curve.items() if x != "when")
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", label=shape)
        if not axes.lines:
            continue
        axes.set(xlabel=label, ylabel="seconds", ylim=(0, None), xlim=(0, None))
        axes.legend(title="ours, Q4_K_M")
        name = f"bench-{measure}.svg"
        directory.mkdir(exist_ok=True)
        figure.savefig(directory / name, metadata={"Date": None})
        pyplot.close(figure)
        drawn.append((name, f"seconds by {label}"))
    return drawn
