"""Prints which parts of llmsuggestd import which others, and the circles. Lazy imports count.

    python -m tests.support.import_graph

A part is a package or a module directly below `llmsuggestd`.
"""

from __future__ import annotations

import grimp

ROOT = "llmsuggestd"


def parts() -> dict[str, set[str]]:
    """Each part with the other parts that it imports."""
    graph = grimp.build_graph(ROOT)
    found: dict[str, set[str]] = {part: set() for part in graph.find_children(ROOT)}
    for module in graph.modules - {ROOT}:
        importer = _part(module)
        for imported in graph.find_modules_directly_imported_by(module) - {ROOT}:
            if _part(imported) != importer:
                found[importer].add(_part(imported))
    return found


def reachable(found: dict[str, set[str]], start: str) -> set[str]:
    """The parts that a part imports, directly or through others."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = found[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def circles(found: dict[str, set[str]]) -> set[frozenset[str]]:
    """The largest sets of parts that all import each other, directly or through others."""
    below = {part: reachable(found, part) for part in found}
    return {
        frozenset(other for other in below[part] if part in below[other])
        for part in found
        if part in below[part]
    }


def _part(module: str) -> str:
    return ".".join(module.split(".")[:2])


def main() -> None:
    """Print the table: first the parts that import nothing."""
    found = parts()
    for part in sorted(found, key=lambda part: (len(reachable(found, part)), part)):
        imported = " ".join(sorted(name.removeprefix(f"{ROOT}.") for name in found[part]))
        print(f"{part.removeprefix(f'{ROOT}.'):<14} {imported}")
    for circle in circles(found):
        print("circle:", " ".join(sorted(circle)))
    if not circles(found):
        print("no circles")


if __name__ == "__main__":
    main()
