"""ALiBi trained on short and then briefly on long texts, compared with ALiBi trained on short texts only.

Reproduces: the recipe of MPT-30B, 1000 billion tokens at 2048 and 50 billion, one in twenty, at 8192.

    python -m experiments.sweep --sweep=experiments/papers/mpt/sweep.py --workdir=runs/mpt --parallel=2

Sizes: ../lex/config.py has them; `sweep.py:gpu` and `:paper` for the others. Three seeds.

Time: cpu 5 minutes on two cores. Expected: docs/results.md.
"""

from ropelab.cli.sweeps.runs import Sweep, chain, product, run, seeds, with_report

TABLES = ("mpt",)
# the last twentieth of the steps at four times the length, as many tokens per step
PHASES = {
    "cpu": "Phase(start=570, length=256, batch=8)",
    "gpu": "Phase(start=9500, length=4096, batch=8)",
    "paper": "Phase(start=47500, length=4096, batch=128)",
}


def get_sweep(size: str = "cpu") -> Sweep:
    return with_report(runs(size), TABLES)


def runs(size: str) -> Sweep:
    short = run("train", f"experiments/papers/lex/config.py:alibi@{size}", name="lex/alibi")
    long = run(
        "train",
        f"experiments/papers/lex/config.py:alibi@{size}",
        name="mpt/curriculum",
        fields={"phases": PHASES[size]},
    )
    return product(chain(short, long), seeds(3))
