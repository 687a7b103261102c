"""Inserts every offer in every place of `Places.lean`, and counts wrong marks.

    python -m tests.benchmarks.lean_offers [PARTS [FIRST]]

The npm Lean has 32-bit addresses, so the places are divided into PARTS (16 by default). FIRST (0 by
default) is the first part to run. Prints the counts after each part, and then each offer that does
not do what its mark says. The exit code is 1 if there is one.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.end_to_end.lean.answers import ANSWERS
from tests.end_to_end.lean.fake_daemon import fake_daemon
from tests.end_to_end.lean.offers import mismatches, offers, sample
from tests.end_to_end.lean.test_offers import PLACES
from tests.support.leanwasm import find_lean


def main() -> None:
    """Print places, offers and mismatches."""
    parts = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    lean = find_lean()
    places = total = 0
    wrong: list[str] = []
    with fake_daemon() as fake, tempfile.TemporaryDirectory() as folder:
        fake.answers = ANSWERS
        for part in range(first, parts):
            file = Path(folder) / f"Places{part}.lean"
            file.write_text(sample(PLACES.read_text(), parts, part))
            result = lean.run(file, env=fake.env, options=["--json"], timeout=3000)
            made = offers(result.output)
            places += len({(offer.start, offer.end) for offer in made})
            total += len(made)
            wrong += mismatches(lean, file, made, Path(folder))
            counts = f"{places} places, {total} offers inserted, {len(wrong)} mismatches"
            print(f"after part {part} of {parts}: {counts}", flush=True)
    print(*wrong, sep="\n\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
