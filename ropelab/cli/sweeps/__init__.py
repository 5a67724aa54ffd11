"""Sweeps: lists of runs, made by combinators, written to a manifest before anything starts, and run by an executor."""

from ropelab.cli.sweeps.runs import (
    FOLDER,
    Run,
    Sweep,
    chain,
    names,
    product,
    run,
    seeds,
    variants,
    vary,
    with_report,
    zip_runs,
)

__all__ = [
    "FOLDER",
    "Run",
    "Sweep",
    "chain",
    "names",
    "product",
    "run",
    "seeds",
    "variants",
    "vary",
    "with_report",
    "zip_runs",
]
