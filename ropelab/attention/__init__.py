"""Patterns as counts, kernels that evaluate the one formula, and `attend`, which joins them."""

from ropelab.attention.dispatch import attend
from ropelab.attention.patterns import ALL, Causal, Pattern, SlidingWindow, parse

__all__ = ["ALL", "Causal", "Pattern", "SlidingWindow", "attend", "parse"]
