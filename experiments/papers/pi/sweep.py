"""Position Interpolation and direct fine-tuning: perplexity by length and by steps, and the effective context.

Reproduces: tables 1 to 4 of arXiv 2306.15595.

    python -m experiments.sweep --sweep=experiments/papers/pi/sweep.py --workdir=runs/pi --parallel=2

Sizes: ../extension/config.py and config.py have them; `sweep.py:gpu` and `:paper` for the others, which ask for
passkeys of the extended models in place of symbols. cpu has three seeds.

Time: cpu 20 minutes on two cores; gpu half an hour an arm on one H100. Expected: docs/results.md.
"""

from experiments.papers.extension.sweep import SEEDS, bases, extended
from ropelab.cli.sweeps.runs import FOLDER, Sweep, chain, names, product, run, seeds, with_report

ARMS = ("direct4", "pi4")  # PI's own factors are four and more
TABLES = ("pi1", "pi3", "kmax")


def get_sweep(size: str = "cpu") -> Sweep:
    return with_report(runs(size), TABLES)


def runs(size: str) -> Sweep:
    extensions = chain(*(extended(arm, size) for arm in ("direct2", "pi2", "pi4")))
    return chain(bases(size), extensions, finding() if size == "cpu" else passkeys(size, names(extensions)))


def finding() -> Sweep:
    """k_max of small models on symbols."""
    made = product(run("train", "experiments/papers/pi/config.py:base", name="kmax/base"), seeds(SEEDS["cpu"]))
    more = chain(*(sought(arm, base.name) for base in made for arm in ARMS))
    return chain(
        made, more, run("experiments.papers.pi.kmax", name="kmax/table", after=names(more), workdir=f"{FOLDER}/kmax")
    )


def sought(arm: str, base: str) -> Sweep:
    seed = base.rpartition("-")[2]
    fields = {"model": f"{FOLDER}/{base}", "seed": int(seed)}
    return run(
        "train", f"experiments/papers/pi/config.py:{arm}", name=f"kmax/{arm}-{seed}", fields=fields, after=(base,)
    )


def passkeys(size: str, after: tuple[str, ...]) -> Sweep:
    """k_max of extended models by passkeys, 32 distances and 10 trials at each, as the paper asks."""
    longest = {"gpu": 16384, "paper": 8192}[size]
    return run(
        "measure",
        name="kmax/passkeys",
        after=after,
        runs=f"{FOLDER}/bytes/*2-0",
        evals="kmax(trials=10, distances=32)",
        lengths=longest,
    )
