"""Length extrapolation from scratch at the size of a laptop: the table of LEX on the bytes of Python's library.

Reproduces: the comparison of table 2 of arXiv 2212.10554 (sinusoidal, ALiBi, RoPE, LEX = xPos + blockwise causal
attention), at 64 bytes of training instead of 1024 tokens, with the ablation that the paper does not print: every arm
measured with and without blockwise causal attention.

    python -m experiments.train --config=experiments/papers/lex/config.py:rope --workdir=runs/rope

is one of them; `sweep.py` trains all in three seeds and reads them. `rope@gpu` is an arm at another size. All are
measured on held-out text at half to eight times the trained length, in windows that do not overlap.

| size | model | trained on | steps |
|---|---|---|---|
| cpu | 3 layers, width 96, 4 heads, of bytes | 64 | 600 of 2048 bytes |
| gpu | 8 layers, width 512, 8 heads, of bytes | 1024 | 10000 of 32768 bytes |
| paper | 24 layers, width 1024, 16 heads, of bytes | 1024 | 50000 of 524288 bytes of PG-19 |

The paper's table is of 1024 tokens of training. Text, tokens, steps and rate of `paper` are ours: a model that is made
here reads bytes.

Time: one to two minutes an arm on one CPU core. Expected: from four times the trained length on sinusoidal >> RoPE >
ALiBi > LEX in every seed (32.8, 9.85, 5.42, 4.41 at 256), and LEX falling all the way to eight times (4.58 to 4.38).
"""

from typing import NamedTuple

from ml_collections import ConfigDict


class Size(NamedTuple):
    """Settings that differ between sizes."""

    model: str
    length: int
    batch: int
    steps: int
    lr: float
    source: str
    held: int
    dtype: str


MODEL = (
    "LlamaConfig(vocabulary={}, width={}, layers={}, heads={}, key_heads={}, head_dim={}, feed_forward={}, "
    "norm_eps=1e-5, trained_length={}, tied_head=True)"
)
TINY = MODEL.format(256, 96, 3, 4, 4, 24, 256, 64)
SMALL = MODEL.format(256, 512, 8, 8, 8, 64, 1408, 1024)
PAPER = MODEL.format(256, 1024, 24, 16, 16, 64, 2816, 1024)
SIZES = {
    "cpu": Size(TINY, 64, 32, 600, 3e-3, "python_stdlib", 16384, "float32"),
    "gpu": Size(SMALL, 1024, 32, 10000, 1e-3, "python_stdlib", 524288, "bfloat16"),
    "paper": Size(PAPER, 1024, 512, 50000, 3e-4, "pg19", 1048576, "bfloat16"),
}
ARMS = {
    "sinusoidal": "Sinusoidal(layout='interleaved')",
    "nope": "NoPE()",
    "rope": "RoPE(base=10000.0)",
    "alibi": "ALiBi()",
    # torchscale's 512 for 1024 tokens of training: half the trained length
    "xpos": "XPos(base=10000.0, scale_base={half}, pairing='interleaved')",
}
TIMES = (0.5, 1, 2, 4, 8)


def get_config(arm: str = "xpos") -> ConfigDict:
    """`--config=experiments/papers/lex/config.py:rope` for an arm, `:rope@gpu` for one at another size."""
    name, _, of = arm.partition("@")
    if name not in ARMS or of not in ("", *SIZES):
        raise ValueError(f"no arm {arm!r}; there are {', '.join(ARMS)}, with @{' or @'.join(SIZES)} after it")
    size = SIZES[of or "cpu"]
    return ConfigDict(
        {
            "model": size.model,
            "encoding": ARMS[name].format(half=size.length // 2),
            "pattern": "Causal()",
            "adaptation": "Full()",
            "phases": "",
            "length": size.length,
            "batch": size.batch,
            "steps": size.steps,
            "seed": 0,
            "optimizer": {"lr": size.lr, "schedule": "cosine", "warmup": 50, "weight_decay": 0.1, "clip": 1.0},
            "data": {"source": size.source, "tokenizer": "bytes"},
            "held": {
                "every": 0,
                "lengths": tuple(int(times * size.length) for times in TIMES),
                "tokens": size.held,
                "patterns": f"Causal(); BlockwiseCausal(block={size.length})",
            },
            "saving": {"every": size.steps // 2, "keep": 1},
            "compute": {"dtype": size.dtype, "remat": "nothing", "kernel": "auto", "accumulate": 1},
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1, "sequence": 1},
        }
    )
