"""The contract of every encoding, as functions that anyone can run on a class of their own."""

from ropelab.contract.suite import PROPERTIES, Verdict, examine, ready, verdict

__all__ = ["PROPERTIES", "Verdict", "examine", "ready", "verdict"]
