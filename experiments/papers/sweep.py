"""Every table of the papers, runs that several of them need made once.

    python -m experiments.sweep --sweep=configs/sweeps/tables.py --workdir=runs/tables --parallel=2

Sizes: `tables.py:cpu` for two CPU cores, `:gpu` for one H100 or H200, `:paper` for those who have the machines.

Time: cpu 64 minutes on two cores of an AMD EPYC. Expected: docs/results.md, which is this sweep's report.
"""

from configs.sweeps import (
    knobs,
    lex_table,
    longlora_figure,
    longnet_table,
    mpt_curriculum,
    pi_tables,
    untuned,
    yarn_tables,
)
from experiments.sweeps.runs import Sweep, chain, with_report

SWEEPS = (lex_table, yarn_tables, pi_tables, untuned, longnet_table, longlora_figure, mpt_curriculum, knobs)


def get_sweep(size: str = "cpu") -> Sweep:
    tables = tuple(table for sweep in SWEEPS for table in sweep.TABLES)
    return with_report(chain(*(sweep.runs(size) for sweep in SWEEPS)), tables)
