"""YaRN beside NTK and PI, in fewer steps, and beyond what it was extended to.

Reproduces: tables 1 and 2 of arXiv 2309.00071.

    python -m experiments.sweep --sweep=configs/sweeps/yarn_tables.py --workdir=runs/yarn --parallel=2

Sizes: configs/extension.py has them; `yarn_tables.py:gpu` and `:paper` for the others. cpu has three seeds, a base
each; the others one model and one seed, as the paper has.

Time: cpu 15 minutes on two cores; gpu half an hour an arm on one H100. Expected: docs/results.md.
"""

from configs.sweeps.parts.bases import bases, extended
from experiments.sweeps.runs import Sweep, chain, with_report

TABLES = ("yarn1", "yarn2")


def get_sweep(size: str = "cpu") -> Sweep:
    return with_report(runs(size), TABLES)


def runs(size: str) -> Sweep:
    first = chain(*(extended(arm, size) for arm in ("pi2", "ntk2", "yarn2", "yarn4")))
    return chain(bases(size), first, extended("yarn8", size, of="yarn4"))
