"""Runs that YaRN, PI and LongLoRA share: the models that are extended, and arms of config.py in every seed.

At the size of a laptop the bases are trained first, three of them; else they are a pretrained model, one seed.
"""

from ropelab.cli.sweeps.runs import FOLDER, Sweep, chain, product, run, seeds

SEEDS = {"cpu": 3, "gpu": 1, "paper": 1}


def bases(size: str) -> Sweep:
    """The models to be extended; none where that is a pretrained one."""
    if size != "cpu":
        return []
    return product(run("train", "experiments/papers/extension/config.py:base", name="bytes/base"), seeds(SEEDS[size]))


def extended(arm: str, size: str, *, of: str = "base") -> Sweep:
    """An arm in every seed, extending the base, or another arm, of the same seed."""
    return chain(*(one(arm, size, of, seed) for seed in range(SEEDS[size])))


def one(arm: str, size: str, of: str, seed: int) -> Sweep:
    fields: dict[str, object] = {"seed": seed}
    after: tuple[str, ...] = ()
    if size == "cpu" or of != "base":
        fields["model"], after = f"{FOLDER}/bytes/{of}-{seed}", (f"bytes/{of}-{seed}",)
    return run(
        "train",
        f"experiments/papers/extension/config.py:{arm}@{size}",
        name=f"bytes/{arm}-{seed}",
        fields=fields,
        after=after,
    )
