"""The contract of every encoding, as functions that anyone can run on their own class."""

from ropelab.contract.suite import PROPERTIES, Verdict, broken_hook, examine, ready, verdict

__all__ = ["PROPERTIES", "Verdict", "broken_hook", "examine", "ready", "verdict"]
