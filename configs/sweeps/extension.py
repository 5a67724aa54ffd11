"""Extending a byte model to two and four times its trained length, four ways: perplexity against steps.

Reproduces: the claims of table 1 of YaRN (arXiv 2309.00071) and table 3 of PI (arXiv 2306.15595), as
configs/extension.py has them.

    python -m experiments.sweep --sweep=configs/sweeps/extension.py --workdir=runs/extension --parallel=2

Sizes: a base of 1500 steps of 4096 bytes, eight extensions of 100.

Time: 35 minutes on two CPU cores. Expected: report.md as in docs/training.md.
"""

from experiments.sweeps.runs import FOLDER, Sweep, chain, run

ARMS = tuple(f"{method}-{factor}" for method in ("direct", "pi", "ntk", "yarn") for factor in (2, 4))


def get_sweep() -> Sweep:
    base = {"model": f"{FOLDER}/base"}
    return chain(
        run("train", "configs/extension.py:base", name="base"),
        *(run("train", f"configs/extension.py:{arm}", name=arm, fields=base, after=("base",)) for arm in ARMS),
        run("verdicts", name="table", after=ARMS, table="extension", workdir=FOLDER),
    )
