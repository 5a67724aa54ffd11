"""Extending a byte model to two and four times its trained length: directly, and by PI, NTK and YaRN.

Reproduces: at the size of a laptop, the claim of YaRN's table 1 (arXiv 2309.00071: PI's perplexity in 40 % of the
steps) and the perplexity against steps of PI's table 3 (arXiv 2306.15595).

    python -m experiments.train --config=configs/extension.py:base --workdir=runs/extension/base
    for arm in direct pi ntk yarn; do
        for factor in 2 4; do
            python -m experiments.train --config=configs/extension.py:$arm-$factor \\
                --config.model=runs/extension/base --workdir=runs/extension/$arm-$factor
        done
    done
    python -m experiments.verdicts --table=extension --workdir=runs/extension

Sizes: 4 layers, width 128, 4 heads, trained on 512 bytes with base 1300, which leaves of the slowest pair as much of a
turn as Llama 2 has at 4096 (512 / 5218 against 4096 / 54410: 10 and 8 %), while the fastest turns 81 times, more than
YaRN's beta_fast of 32. Then 100 steps at the new length, 4096 bytes a step, learning rate 3e-4.

Time: twenty minutes for the base on one CPU core, three to four for an arm. Expected: NTK and YaRN begin below what PI
comes to (4.5, 4.4 and 5.7 at 1024 bytes; 4.8, 4.3 and 7.4 at 2048); docs/training.md has the figures, and what did not
reproduce.
"""

from ml_collections import ConfigDict

LENGTH, BASE = 512, 1300.0
MODEL = (
    "LlamaConfig(vocabulary=256, width=128, layers=4, heads=4, key_heads=4, head_dim=32, feed_forward=344, "
    f"norm_eps=1e-5, trained_length={LENGTH}, tied_head=True)"
)
ENCODINGS = {
    "direct": "",  # the base's own, further out
    "pi": "PI(factor={factor}.0)",
    "ntk": "NTK(alpha={factor}.0)",
    "yarn": f"YaRN(factor={{factor}}.0, original_length={LENGTH})",
}


def get_config(arm: str = "yarn-2") -> ConfigDict:
    """`:base` for the model that is extended, `:pi-4` for PI to four times its length."""
    name, _, factor = arm.partition("-")
    if arm != "base" and (name not in ENCODINGS or factor not in ("2", "4")):
        raise ValueError(f"no arm {arm!r}; there are base and {', '.join(f'{n}-2, {n}-4' for n in ENCODINGS)}")
    return base() if arm == "base" else extended(ENCODINGS[name], int(factor))


def base() -> ConfigDict:
    return ConfigDict(
        {
            "model": MODEL,
            "encoding": f"RoPE(base={BASE})",
            "pattern": "Causal()",
            "adaptation": "Full()",
            "phases": "",
            "length": LENGTH,
            "batch": 8,
            "steps": 1500,
            "seed": 0,
            "optimizer": {"lr": 3e-3, "schedule": "cosine", "warmup": 50, "weight_decay": 0.1, "clip": 1.0},
            "data": {"source": "python_stdlib", "tokenizer": "bytes"},
            "held": {"every": 0, "lengths": (LENGTH,), "tokens": 65536, "patterns": ""},
            "saving": {"every": 250, "keep": 1},
            "compute": {"dtype": "float32", "remat": "nothing", "kernel": "auto", "accumulate": 1},
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1, "sequence": 1},
        }
    )


def extended(encoding: str, factor: int) -> ConfigDict:
    config, length = base(), LENGTH * factor
    config.model = "runs/extension/base"
    config.encoding = encoding.format(factor=factor)
    config.length, config.batch, config.steps = length, 8 // factor, 100
    config.optimizer.update({"lr": 3e-4, "schedule": "constant", "warmup": 0, "weight_decay": 0.0})
    config.held.update({"every": 10, "lengths": (LENGTH, length, 2 * length), "tokens": 32768})
    config.saving.every = 50
    return config
