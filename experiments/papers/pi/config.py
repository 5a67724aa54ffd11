"""Effective context of a small model: unchanged, fine-tuned directly, and by PI.

Reproduces: table 4 of PI (arXiv 2306.15595), the effective context k_max against steps of fine-tuning, with 128 tokens
of training in place of 2048.

    for seed in 0 1 2; do
        python -m experiments.train --config=experiments/papers/pi/config.py:base --config.seed=$seed \\
            --workdir=runs/kmax/base-$seed
        for arm in direct2 direct4 pi2 pi4; do
            python -m experiments.train --config=experiments/papers/pi/config.py:$arm --config.seed=$seed \\
                --config.model=runs/kmax/base-$seed --workdir=runs/kmax/$arm-$seed
        done
    done
    python -m experiments.papers.pi.kmax --workdir=runs/kmax

Sizes: 2 layers, width 64, 4 heads. A sign tells two digits of sixteen somewhere among random symbols; at the end the
sign stands again, and the digits are asked for. Base 440 leaves of the slowest pair as much of a turn as Llama has at
4096 (128 / 1292 against 4096 / 54410, 10 and 8 %). Then 200 steps at 256 or 512, 4096 tokens a step, rate 3e-4.

Time: two minutes for a base on one CPU core, one for an arm. Expected: docs/results.md, and docs/evaluation.md for a
base of 1500 steps.
"""

from typing import Any

from ml_collections import ConfigDict

LENGTH, BASE = 128, 440.0
ARMS = {"direct": "", "pi": "PI(factor={factor}.0)"}
FACTORS = (2, 4)


def get_config(arm: str = "pi4") -> ConfigDict:
    """`:base` for the model that is extended, `:pi4` for PI to four times its length."""
    extensions = {f"{name}{factor}": (text, factor) for name, text in ARMS.items() for factor in FACTORS}
    if arm != "base" and arm not in extensions:
        raise ValueError(f"no arm {arm!r}; there are base, {', '.join(extensions)}")
    return base() if arm == "base" else extended(*extensions[arm])


def base() -> ConfigDict:
    return ConfigDict(
        {
            "model": "LlamaConfig(vocabulary=34, width=64, layers=2, heads=4, key_heads=4, head_dim=16, "
            f"feed_forward=128, norm_eps=1e-5, trained_length={LENGTH}, tied_head=True)",
            "encoding": f"RoPE(base={BASE})",
            "pattern": "Causal()",
            "adaptation": "Full()",
            "phases": "",
            "length": LENGTH,
            "batch": 32,
            "steps": 1000,
            "seed": 0,
            "optimizer": {"lr": 3e-3, "schedule": "cosine", "warmup": 50, "weight_decay": 0.1, "clip": 1.0},
            "data": {"source": "Needle(symbols=16, told=2, values=16)"},
            "held": {"every": 0, "lengths": (LENGTH,), "tokens": 65536, "patterns": ""},
            "saving": {"every": 500, "keep": 1},
            "compute": {"dtype": "float32", "remat": "nothing", "kernel": "auto", "accumulate": 1},
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1, "sequence": 1},
        }
    )


def extended(encoding: str, factor: int) -> ConfigDict:
    config: Any = base()
    length = LENGTH * factor
    config.model = "runs/kmax/base-0"
    config.encoding = encoding.format(factor=factor)
    config.length, config.batch, config.steps = length, 32 // factor, 200
    config.optimizer.update({"lr": 3e-4, "schedule": "constant", "warmup": 0, "weight_decay": 0.0})
    config.held.update({"lengths": (LENGTH, length)})
    config.saving.update({"every": 25, "keep": 8})
    return config
