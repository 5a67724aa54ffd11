"""Every table of the papers; runs that several of them need are made once.

    python -m experiments.sweep --sweep=experiments/papers/sweep.py --workdir=runs/tables --parallel=2

Sizes: `sweep.py:cpu` for two CPU cores, `:gpu` for one H100 or H200, `:paper` for those who have the machines.

Time: cpu 64 minutes on two cores of an AMD EPYC. Expected: docs/results.md, which is this sweep's report.
"""

from experiments.papers.lex import sweep as lex
from experiments.papers.longlora import sweep as longlora
from experiments.papers.longnet import sweep as longnet
from experiments.papers.mpt import sweep as mpt
from experiments.papers.ntk import sweep as ntk
from experiments.papers.pi import sweep as pi
from experiments.papers.rope_settings import sweep as rope_settings
from experiments.papers.yarn import sweep as yarn
from ropelab.cli.sweeps.runs import Sweep, chain, with_report

PAPERS = (lex, yarn, pi, ntk, longnet, longlora, mpt, rope_settings)


def get_sweep(size: str = "cpu") -> Sweep:
    tables = tuple(table for paper in PAPERS for table in paper.TABLES)
    return with_report(chain(*(paper.runs(size) for paper in PAPERS)), tables)
