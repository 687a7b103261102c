"""Writes docs/benchmarks.md: the figures of `engine.py` as tables and plots."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.benchmarks.contenders import TABLE

Figures = dict[str, Any]

HEAD: Final = """# Benchmarks

`make bench` generates this page: it measures on one machine, prints these tables and draws the
plots. Each section says which machine. The models have the shapes of known ones, and random
weights. With random weights a tactic never ends, so each suggestion of each contender has all its
16 tokens. With a trained model, ours stops earlier. Read the figures as ratios.

"""

WRITTEN_BY_HAND: Final = "## What limits it\n"
"""The heading of the page's last part, which explains the figures and is written by hand."""


def tables(figures: Figures, shapes: list[str]) -> str:
    """All sections that have figures, as Markdown."""
    return "\n\n".join(sections(figures, shapes).values()) + "\n"


def sections(figures: Figures, shapes: list[str]) -> dict[str, str]:
    """The page's generated sections that have figures, by heading."""
    named: dict[str, tuple[str, Callable[[Figures, list[str]], str]]] = {
        "Beside other engines": ("versus", _versus),
        "Without AVX-512": ("versus-avx2", _without_avx512),
        "An editing trace": ("trace", _traces),
        "Beside a busy Lean": ("load", lambda figures, _: _load(figures, [*shapes, "starter"])),
        "Growth": ("count length width", _growth),
        "Share of the hardware's limit": ("limit", _limit),
        "Starting and cancelling": ("start cancel", _waits),
    }
    found = {}
    for heading, (measures, write) in named.items():
        if text := write(figures, shapes):
            machine = _machine(figures, measures.split())
            found[heading] = f"## {heading}\n\n{machine}{text}"
    return found


def _machine(figures: Figures, measures: list[str]) -> str:
    """The machine, and the days of these measurements."""
    if (machine := figures.get("hardware")) is None:
        return ""
    days = sorted(
        {one["when"][:10] for name, one in figures.items() if name.split("/")[-1] in measures}
    )
    return (
        f"{machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory'] / 2**30:.0f} GiB, Python {machine['python']}, {' and '.join(days)}."
        f" {machine.get('note', '')}".rstrip()
    ) + "\n\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _title(name: str) -> str:
    return f"**{TABLE[name].title}**" if name == "ours" else TABLE[name].title


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


VERSUS: Final = """\
Seconds for 1, 5 and 16 suggestions of 16 tokens on new goals of about 60 tokens, and for the first
token after a prompt of that length and after one of 512: medians. The contenders run one at a time,
warmed up, each in its own process with all cores. They take turns in the order of the table, and
most have two turns. *Bits* are those of the weights, on average. The memory is the peak, mapped
files included.
"""


def _versus(figures: Figures, shapes: list[str]) -> str:
    parts = []
    for shape in shapes:
        if (found := figures.get(f"{shape}/versus")) is None:
            continue
        rows = [_versus_row(name, one) for name, one in found["contenders"].items()]
        if "hardware" in figures:
            rows.append(_limits_row(found, figures["hardware"]))
        head = [shape, "1", "5", "16", "prompt", "512", "weights", "bits", "memory"]
        parts += [_table(head, rows), _loads(found), _faster(found)]
    if not parts:
        return ""
    parts.insert(0, VERSUS.rstrip())
    parts.append(_kinds(figures, shapes, "versus"))
    if "hardware" in figures:
        parts.append(_limits_text(figures["hardware"]))
    parts.append(_ratios(figures, shapes, RATIOS))
    return "\n\n".join(part for part in parts if part)


def _versus_row(name: str, one: Figures) -> list[str]:
    seconds = [_seconds(one["seconds"].get(n)) for n in ("1", "5", "16")]
    prompts = [_seconds(one["prompt"].get(n)) for n in ("55", "512")]
    memory = f"{one['peak'] / 2**30:.1f} GiB"
    return [_title(name), *seconds, *prompts, TABLE[name].weights, f"{one['bits']:.1f}", memory]


TOKENS: Final = 16
"""Tokens of a suggestion."""
PROMPT: Final = 62
"""Tokens of a prompt of the goals."""


def limits(found: Figures, machine: Figures) -> dict[str, float]:
    """The least seconds that reading our weights and multiplying them take.

    By number of suggestions, and by the prompt's length (`55` for that of the goals, `512`).
    """
    layers, head = (found["multiply_adds"][name] for name in ("layers", "head"))
    reading = found["weights_bytes"] / machine["bytes_per_second"]

    def decode(tokens: int, outputs: int) -> float:
        products = tokens * layers + outputs * head
        return float(max(reading, products / machine["multiply_adds_per_second"]))

    prompt = decode(PROMPT, 1)
    suggestions = {str(n): prompt + (TOKENS - 1) * decode(n, n) for n in (1, 5, 16)}
    return suggestions | {"55": prompt, "512": decode(512, 1)}


def _limits_row(found: Figures, machine: Figures) -> list[str]:
    values = [f"{value:.2f}" for value in limits(found, machine).values()]
    return ["*this machine's limits*", *values, "Q4_K_M", "", ""]


def _limits_text(machine: Figures) -> str:
    return (
        f"*Limits*: this machine reads {machine['bytes_per_second'] / 1e9:.1f} GB/s (numpy's "
        f"`sum`), and does {machine['multiply_adds_per_second'] / 1e9:.0f} G multiply-adds of\n"
        "bytes per second (oneDNN's product of two large matrices). A step reads all weights "
        "once, and multiplies them\nwith each candidate; the slower of the two counts."
    )


def _faster(found: Figures) -> str:
    """The contenders that are faster than ours, and in what."""
    ours = found["contenders"].get("ours")
    if ours is None:
        return ""
    wins = []
    for name, one in found["contenders"].items():
        if name == "ours":
            continue
        places = [
            f"{label} ({one[kind][key] / ours[kind][key]:.2f} of our time)"
            for kind, key, label in (
                ("seconds", "1", "one suggestion"),
                ("seconds", "5", "five"),
                ("seconds", "16", "sixteen"),
                ("prompt", "55", "the prompt"),
                ("prompt", "512", "the prompt of 512"),
            )
            if key in one[kind] and key in ours[kind] and one[kind][key] < ours[kind][key]
        ]
        if places:
            wins.append(f"- {TABLE[name].title}: {', '.join(places)}")
    return "\n".join(["Faster than ours:\n", *wins]) if wins else "None is faster than ours."


def _loads(found: Figures) -> str:
    before, after = found["load"]
    return f"The load average was {before:.2f} before and {after:.2f} after."


def _kinds(figures: Figures, shapes: list[str], kind: str) -> str:
    """How each contender is run, and its versions."""
    lines = {}
    for shape in shapes:
        for name, one in figures.get(f"{shape}/{kind}", {"contenders": {}})["contenders"].items():
            versions = ", ".join(f"{x} {version}" for x, version in one["versions"].items())
            text = " ".join((TABLE[name].__doc__ or "").split())
            lines[name] = f"- {_title(name)} ({versions}). {text}"
    return "\n".join(lines.values())


def _without_avx512(figures: Figures, shapes: list[str]) -> str:
    rows = []
    loads = []
    for shape in shapes:
        if (found := figures.get(f"{shape}/versus-avx2")) is None:
            continue
        for name, one in found["contenders"].items():
            seconds = one["seconds"]
            five = seconds["5"] / seconds["1"] if "5" in seconds and "1" in seconds else None
            values = [seconds.get("1"), seconds.get("5"), five, one["prompt"].get("55")]
            limit = " ".join(f"`{x}`" for x in TABLE[name].without_avx512 or ())
            rows.append([shape, _title(name), *map(_seconds, values), limit])
        loads.append(f"{shape}: {_loads(found)}")
    if not rows:
        return ""
    return "\n\n".join(
        [
            "The same with AVX-512 switched off by an environment variable, or in a build for "
            "AVX2.",
            _table(["", "", "1", "5", "5 / 1", "prompt", "switched off by"], rows),
            " ".join(loads),
            _ratios(figures, shapes, RATIOS_AVX2),
        ]
    )


def _traces(figures: Figures, shapes: list[str]) -> str:
    rows = []
    for shape in shapes:
        for method in ("transformers", "completions", "ours"):
            if found := figures.get(f"{shape}/{method}/trace"):
                rows.append([shape, _title(method), f"{found['total']:.2f}"])
    if not rows:
        return ""
    return (
        "Seconds for 40 calls for 5 suggestions, as an editor makes them: the goals of one proof "
        "after another, each with\nthe context of the previous one, 12 of them repeated because "
        "the user edited an earlier line. The others do not\ncache answers. At 2.8B, only two of "
        "the five proofs are measured for them, and scaled up.\n\n"
    ) + _table(["", "", "trace"], rows)


class Ratio(NamedTuple):
    """A ratio of our time to that of others, and the goal for it by shape."""

    title: str
    others: tuple[str, ...]
    """The contenders compared with, of which the fastest counts; none for a ratio of our own."""
    kind: str
    """`seconds` or `prompt`, or `peak` for memory."""
    key: str
    goals: dict[str, float]
    """The largest ratio to aim for."""


RATIOS: Final = (
    Ratio("OpenVINO, one", ("openvino",), "seconds", "1", {"2.8B": 0.95}),
    Ratio("OpenVINO, five", ("openvino",), "seconds", "5",
          {"2.8B": 0.8, "410M": 0.7, "1.3B": 0.8}),
    Ratio("OpenVINO, sixteen", ("openvino",), "seconds", "16", {"2.8B": 0.8}),
    Ratio("OpenVINO, prompt", ("openvino",), "prompt", "55", {"2.8B": 0.75}),
    Ratio("llama.cpp's server, five", ("server",), "seconds", "5", {"2.8B": 0.4}),
    Ratio("ik_llama.cpp, five", ("ik", "ik-native"), "seconds", "5", {}),
    Ratio("CTranslate2, five", ("ctranslate2",), "seconds", "5", {}),
    Ratio("llama-cpp-python, five", ("completions",), "seconds", "5", {"2.8B": 0.5}),
    Ratio("transformers, five", ("transformers",), "seconds", "5", {"2.8B": 0.28}),
    Ratio("transformers, memory", ("transformers",), "peak", "", {"2.8B": 0.2}),
    Ratio("arithmetic's limit, prompt of 512", ("limit",), "prompt", "512", {"2.8B": 1 / 0.7}),
)  # fmt: skip

RATIOS_AVX2: Final = (
    Ratio("ours for one, five", (), "seconds", "5", {"2.8B": 1.6}),
    Ratio("OpenVINO, five", ("openvino",), "seconds", "5", {"2.8B": 0.9}),
    Ratio("ik_llama.cpp, five", ("ik",), "seconds", "5", {"2.8B": 0.85}),
    Ratio("llama.cpp's server, five", ("server",), "seconds", "5", {"2.8B": 0.6}),
)


def ratio(wanted: Ratio, found: Figures, machine: Figures | None) -> float | None:
    """A ratio of a shape's figures, None without them."""

    def value(one: Figures, key: str) -> float | None:
        got = one[wanted.kind] if wanted.kind == "peak" else one[wanted.kind].get(key)
        return None if got is None else float(got)

    contenders = found["contenders"]
    if "ours" not in contenders or (ours := value(contenders["ours"], wanted.key)) is None:
        return None
    if not wanted.others:
        others = [value(contenders["ours"], "1")]
    elif wanted.others == ("limit",):
        others = [limits(found, machine)[wanted.key]] if machine else []
    else:
        others = [value(contenders[x], wanted.key) for x in wanted.others if x in contenders]
    known = [other for other in others if other is not None]
    return ours / min(known) if known else None


def _ratios(figures: Figures, shapes: list[str], ratios: tuple[Ratio, ...]) -> str:
    kind = "versus" if ratios is RATIOS else "versus-avx2"
    measured = [shape for shape in shapes if f"{shape}/{kind}" in figures]
    rows = []
    for wanted in ratios:
        cells = []
        for shape in measured:
            got = ratio(wanted, figures[f"{shape}/{kind}"], figures.get("hardware"))
            goal = f" (≤ {wanted.goals[shape]:.2f})" if shape in wanted.goals else ""
            cells.append("" if got is None else f"{got:.2f}{goal}")
        if any(cells):
            rows.append([wanted.title, *cells])
    return _table(["ours / … (target)", *measured], rows) if rows else ""


def _load(figures: Figures, shapes: list[str]) -> str:
    rows = []
    for shape in shapes:
        for method in ("completions", "ours"):
            load = figures.get(f"{shape}/{method}/load")
            if load is None:
                continue
            cells = [shape, _title(method), f"{1000 * load['idle']:.0f}"]
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
        "Milliseconds for 5 suggestions, on an idle machine and beside "
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
    return "\n\n".join(part for part in parts if part)


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
        "A step of one candidate reads all weights once. Its "
        "bytes per second are compared with numpy's `sum` on all cores.\nA prompt of 512 tokens "
        "is limited by arithmetic. Its multiply-adds per second are compared with oneDNN's "
        "product of two large\nmatrices of bytes.\n\n"
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
        "The time from `llmsuggestd start` to 5 suggestions of 16 "
        "tokens, with the model's file in the page cache. The\nmilliseconds from a request's "
        "cancellation, at a random moment, to its end in the engine.\n\n"
    ) + _table(
        ["", "start to suggestions", "cancelled inside a long prompt", "between decode steps"],
        rows,
    )


def write(figures: Figures, shapes: list[str], docs: Path) -> None:
    """Write docs/benchmarks.md and its plots.

    Keeps the sections that have no figures, and the last one, which is written by hand.
    """
    page = docs / "benchmarks.md"
    before = page.read_text(encoding="utf-8") if page.exists() else ""
    generated, _, by_hand = before.partition(WRITTEN_BY_HAND)
    found = sections(figures, shapes)
    if "Growth" in found:
        plots = _plots(figures, shapes, docs / "pictures")
        pictures = [f"![{title}](pictures/{name})" for name, title in plots]
        found["Growth"] = "\n\n".join([found["Growth"], *pictures])
    parts = _merged(generated, found)
    page.write_text(f"{HEAD}{parts}\n\n{WRITTEN_BY_HAND}{by_hand}", encoding="utf-8")


def _merged(page: str, found: dict[str, str]) -> str:
    """The sections of a page, with the new ones in their places, and those it lacks first."""
    parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]
    old = {part.partition("\n")[0].removeprefix("## "): part.strip() for part in parts}
    new = {heading: text for heading, text in found.items() if heading not in old}
    return "\n\n".join((new | old | found).values())


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
