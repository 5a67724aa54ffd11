"""YaRN compared with NTK and PI, in fewer steps, and beyond the length it was extended to.

Reproduces: tables 1 and 2 of arXiv 2309.00071.

    python -m experiments.sweep --sweep=experiments/papers/yarn/sweep.py --workdir=runs/yarn --parallel=2

Sizes: ../extension/config.py has them; `sweep.py:gpu` and `:paper` for the others. cpu has three seeds, a base
each; the others one model and one seed, as the paper has.

Time: cpu 15 minutes on two cores; gpu half an hour an arm on one H100. Expected: docs/results.md.
"""

from experiments.papers.extension.sweep import bases, extended
from ropelab.cli.sweeps.runs import Sweep, chain, with_report

TABLES = ("yarn1", "yarn2")


def get_sweep(size: str = "cpu") -> Sweep:
    return with_report(runs(size), TABLES)


def runs(size: str) -> Sweep:
    first = chain(*(extended(arm, size) for arm in ("pi2", "ntk2", "yarn2", "yarn4")))
    return chain(bases(size), first, extended("yarn8", size, of="yarn4"))
