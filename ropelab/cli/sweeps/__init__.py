"""Sweeps: lists of runs made by combinators, written down before anything starts, and run by an executor."""
