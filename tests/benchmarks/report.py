"""docs/benchmarks.md: the figures of `engine.py` as tables and plots."""

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

`make bench` makes this page: it measures on one machine, prints these tables and draws the plots.
The models have the shapes of Pythia 410M and 2.8B and random weights, made on the spot. Random
weights never end a tactic, so each answer of each contender has all its 16 tokens a suggestion;
with a trained model ours stops earlier. Read the figures as ratios.

The contenders run one at a time, each in a process of its own, with all cores, warm:

- (a) the tutorial server's way: transformers' `generate(num_beams=n)`, float32;
- (b) llama-cpp-python's `create_completion`, n times one after another, its prompt cache on;
- (c) ours: the daemon, asked over its Unix socket.

"""

WRITTEN_BY_HAND: Final = "## What limits it\n"
"""Where the page stops being made: what the figures of one run come from is not for a program to
say."""


def tables(figures: Figures, shapes: list[str]) -> str:
    """Every table for which there are figures, as Markdown."""
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
        "## Goals nobody asked before, and an editing trace\n\n"
        "Seconds for 1, 5 and 16 suggestions of 16 tokens, medians over goals of about 55 tokens. "
        "The trace is 40 calls\nof 5 suggestions as an editor makes them: the goals of one proof "
        "after another, each sharing its context with\nthe one before, 12 of them repeated "
        "because something above was edited; the seconds are those of all calls.\n"
        "(The other two keep no answers, so that at 2.8B two of the five proofs are measured and "
        "stand for all.)\n\n"
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
        "## Beside a busy Lean\n\n"
        "Milliseconds for 5 suggestions, idle and beside two busy processes a core in a session of "
        "their own: median, 95th\npercentile, and how many times the idle median that is. "
        "*Sessions*: the kernel gives each session an equal share\n(Linux's default outside "
        "systemd's slices). *Threads*: it does not, and each of 8 other threads has the share of\n"
        "one of ours, so that 3 times the idle time is what is fair.\n\n"
    ) + _table(
        ["", "", "idle", "sessions: median", "p95", "p95 / idle", "threads: median", "p95",
         "p95 / idle"], rows)  # fmt: skip


def _growth(figures: Figures, shapes: list[str]) -> str:
    parts = [
        _curve(figures, shapes, "count", "Ours, seconds by suggestions:"),
        _curve(figures, shapes, "length", "Seconds for a prompt alone by its tokens:"),
        _curve(figures, shapes, "width", "Milliseconds a step by candidates:", 1000),
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
        "## Share of the hardware's limit\n\n"
        "A step of one candidate reads all weights once: bytes a second beside what numpy's `sum` "
        "reads on all cores.\nA prompt of 512 tokens is arithmetic: multiply-adds a second beside "
        "what a float32 matrix product reaches here\n(integer arithmetic of quantised weights can "
        "pass it).\n\n"
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
        "## Starting and cancelling\n\n"
        "From `llmsuggestd start` to 5 suggestions of 16 tokens, the model's file in the page "
        "cache; and milliseconds\nfrom a request's cancellation, at random moments, to its end in "
        "the engine.\n\n"
    ) + _table(
        ["", "start to suggestions", "cancelled inside a long prompt", "between decode steps"],
        rows,
    )


def write(figures: Figures, shapes: list[str], docs: Path) -> None:
    """Write docs/benchmarks.md and its plots, but for what a person has written at its end."""
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
