"""k_max against steps: a small model raw, fine-tuned directly and by PI, three seeds.

Reproduces: table 4 of PI (arXiv 2306.15595), as configs/kmax.py has it.

    python -m experiments.sweep --sweep=configs/sweeps/kmax.py --workdir=runs/kmax --parallel=2

Sizes: three bases of 1500 steps, twelve extensions of 200, each 4096 tokens a step.

Time: 15 minutes on two CPU cores. Expected: kmax.md as in docs/evaluation.md.
"""

from experiments.sweeps.runs import FOLDER, Sweep, chain, product, run, seeds

ARMS = ("direct2", "direct4", "pi2", "pi4")


def get_sweep() -> Sweep:
    bases = product(run("train", "configs/kmax.py:base", name="base"), seeds(3))
    extensions = chain(*(extended(arm, base.name) for base in bases for arm in ARMS))
    done = tuple(one.name for one in extensions)
    return chain(bases, extensions, run("kmax", name="table", after=done, workdir=FOLDER))


def extended(arm: str, base: str) -> Sweep:
    seed = base.rpartition("-")[2]
    fields = {"model": f"{FOLDER}/{base}", "seed": int(seed)}
    return run("train", f"configs/kmax.py:{arm}", name=f"{arm}-{seed}", fields=fields, after=(base,))
