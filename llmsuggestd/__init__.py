"""llmsuggestd: next-tactic suggestions for Lean 4 from a local language model.

The package holds the daemon, its engine, the models, the tray and the command line;
docs/architecture.md says how they fit together.
"""

from llmsuggestd.version import __version__

__all__ = ["__version__"]
