"""Dilated, fixed sparse, local and full attention, trained from random parameters.

Reproduces: table 2 of LongNet (arXiv 2307.02486): perplexity of a Transformer, a Sparse Transformer and LongNet, by the
length trained on and the length measured at. `experiments/papers/longnet/sweep.py` runs the arms and reads them.

    python -m experiments.train --config=experiments/papers/longnet/config.py:dilated256 --workdir=runs/dilated256

An arm is a pattern and the length that it is trained on; `dilated2048@gpu` is one at another size.

| size | model | trained on | tokens |
|---|---|---|---|
| cpu | LongNet's, 3 layers, width 96, of bytes | 256 | 240 steps of 2048 bytes |
| gpu | 8 layers, width 512, of bytes | 2048 to 8192 | 4000 steps of 65536 bytes |
| paper | 12 layers, width 768, of bytes | 2048 to 32768 | 300000 steps of 524288 bytes of PG-19 |

Branches are the segments n/8, n/4, n/2, n at rates 1, 2, 4, 8 of the trained length n, offsets by head; the Sparse
Transformer's blocks are n/8 with a summary of 3n/64 and the local window is n/8, by all of which a query sees as many
keys (`ropelab.training.flops.mean_keys_per_query`: 30.4, 30.5 and 29.9 of 256), as the paper asks of its two. Every
arm is also measured under blockwise causal attention of n, as the paper does beyond it. The paper trains on the tokens
of The Stack; a model that is made here reads bytes.

Time: a minute an arm on one CPU core. Expected: docs/results.md.
"""

import re
from typing import NamedTuple

from ml_collections import ConfigDict


class Size(NamedTuple):
    """`tokens` are those of a step; `lengths` those measured at, the first three being the table's columns."""

    model: str
    tokens: int
    steps: int
    lr: float
    schedule: str
    warmup: int
    source: str
    lengths: tuple[int, ...]
    held: int
    dtype: str


MODEL = (
    "LongNetConfig(vocabulary=256, width={width}, layers={layers}, heads={heads}, head_dim={head_dim}, "
    "feed_forward={wide}, norm_eps=1e-5, trained_length={{length}})"
)
TINY = MODEL.format(width=96, layers=3, heads=4, head_dim=24, wide=256)
SMALL = MODEL.format(width=512, layers=8, heads=8, head_dim=64, wide=2048)
PAPER = MODEL.format(width=768, layers=12, heads=12, head_dim=64, wide=3072)
LENGTHS = (2048, 8192, 32768)
SIZES = {
    "cpu": Size(TINY, 2048, 240, 3e-3, "cosine", 50, "python_stdlib", (64, 256, 1024), 32768, "float32"),
    "gpu": Size(SMALL, 65536, 4000, 6e-4, "cosine", 200, "python_stdlib", LENGTHS, 524288, "bfloat16"),
    "paper": Size(PAPER, 524288, 300000, 6e-4, "linear", 750, "pg19", LENGTHS, 1048576, "bfloat16"),
}
PATTERNS = {
    "dense": "Causal()",
    "dilated": "Dilated(segments=({0}, {1}, {2}, {3}), rates=(1, 2, 4, 8))",
    "sparse": "FixedSparse(block={0}, summary={4})",
    "local": "SlidingWindow(window={0})",
}
ARM = re.compile(r"(?P<name>[a-z]+)(?P<length>\d+)(@(?P<size>[a-z]+))?")


def get_config(arm: str = "dilated256") -> ConfigDict:
    """`:sparse256` for an arm, `:sparse8192@gpu` for one at another size."""
    found = ARM.fullmatch(arm)
    size = SIZES.get((found and found["size"]) or "cpu")
    if not found or not size or found["name"] not in PATTERNS or int(found["length"]) % 64:
        names = ", ".join(PATTERNS)
        raise ValueError(f"no arm {arm!r}; there are {names} with a multiple of 64 after it, and @gpu or @paper")
    return trained(PATTERNS[found["name"]], int(found["length"]), size)


def trained(pattern: str, length: int, size: Size) -> ConfigDict:
    pattern = pattern.format(*(length // n for n in (8, 4, 2, 1)), 3 * length // 64)
    return ConfigDict(
        {
            "model": size.model.format(length=length),
            "encoding": "XPos(base=10000.0, pairing='interleaved')",
            "pattern": pattern,
            "adaptation": "Full()",
            "phases": "",
            "length": length,
            "batch": size.tokens // length,
            "steps": size.steps,
            "seed": 0,
            "optimizer": {
                "lr": size.lr, "schedule": size.schedule, "warmup": size.warmup, "b1": 0.9, "b2": 0.98,
                "weight_decay": 0.01, "clip": 1.0,
            },
            "data": {"source": size.source, "tokenizer": "bytes"},
            "held": {
                "every": 0,
                "lengths": size.lengths,
                "tokens": size.held,
                "patterns": f"{pattern}; BlockwiseCausal(block={length})",
            },
            "saving": {"every": size.steps // 2, "keep": 1},
            "compute": {"dtype": size.dtype, "remat": "nothing", "kernel": "auto", "accumulate": 1},
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1, "sequence": 1},
        }
    )  # fmt: skip
