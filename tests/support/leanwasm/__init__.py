"""The Lean for the tests: the one on this machine, or one from npm. See README.md."""

from tests.support.leanwasm.lean import Lean, NoLeanError, Result, find_lean, run_lean

__all__ = ["Lean", "NoLeanError", "Result", "find_lean", "run_lean"]
