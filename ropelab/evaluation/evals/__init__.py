"""Evaluations by name: what `experiments.evaluate` runs, each a value that says what is measured."""
