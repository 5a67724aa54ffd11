"""Training: a pure step, the loop around it, and what survives a crash."""
