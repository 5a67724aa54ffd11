"""Dilated attention: perplexity compared with fixed sparse, local and full attention, and its time.

Reproduces: table 2 and the runtime figure of LongNet (arXiv 2307.02486).

    python -m experiments.sweep --sweep=experiments/papers/longnet/sweep.py --workdir=runs/longnet --parallel=2

Sizes: config.py has them; `sweep.py:gpu` and `:paper` for the others. Three seeds at the size of
a laptop, one else.

Time: cpu 8 minutes on two cores; gpu 10 minutes an arm on one H100. Expected: docs/results.md.
"""

from ropelab.cli.sweeps.runs import Sweep, chain, product, run, seeds, with_report

TABLES = ("longnet", "runtime")
ARMS = {
    "cpu": ("dense256", "local256", "sparse256", "dilated256"),
    "gpu": ("dense2048", "sparse4096", "dilated4096", "sparse8192", "dilated8192"),
    "paper": ("dense2048", *(f"{name}{n}" for n in (8192, 16384, 32768) for name in ("sparse", "dilated"))),
}
DENSE = {"cpu": "1024,2048,4096,8192,16384", "gpu": "8192,32768,131072"}
DILATED = {"cpu": DENSE["cpu"] + ",65536", "gpu": DENSE["gpu"] + ",1048576"}


def get_sweep(size: str = "cpu") -> Sweep:
    return with_report(runs(size), TABLES)


def runs(size: str) -> Sweep:
    arms = chain(
        *(
            run("train", f"experiments/papers/longnet/config.py:{arm}@{size}", name=f"longnet/{arm}")
            for arm in ARMS[size]
        )
    )
    trainings = product(arms, seeds(3 if size == "cpu" else 1))
    machine = "cpu" if size == "cpu" else "gpu"
    return chain(
        trainings,
        run("experiments.papers.longnet.runtime", name="runtime", dense=DENSE[machine], dilated=DILATED[machine]),
    )
