"""Length extrapolation from scratch at the size of a laptop: the table of LEX on the bytes of Python's library.

Reproduces: the comparison of table 2 of arXiv 2212.10554 (sinusoidal, ALiBi, RoPE, LEX = xPos + blockwise causal
attention), at 64 bytes of training instead of 1024 tokens, with the ablation that the paper does not print: every arm
measured with and without blockwise causal attention.

    for arm in sinusoidal nope rope alibi xpos; do
        for seed in 0 1 2; do
            python -m experiments.train --config=configs/lex.py:$arm --config.seed=$seed --workdir=runs/lex/$arm-$seed
        done
    done
    python -m experiments.verdicts --table=lex --workdir=runs/lex
    python -m experiments.resolution --workdir=runs/lex --lengths=64,128,256

Sizes: 3 layers, width 96, 4 heads, 64 bytes a row, 32 rows, 1200 steps: 2.5 million bytes. Measured on 65536 held-out
bytes at 32 to 512, in windows that do not overlap.

Time: two to four minutes an arm on one CPU core. Expected: from four times the trained length on sinusoidal >> RoPE >
ALiBi > LEX in every seed (30.4, 10.3, 4.88, 4.44 at 256), and LEX falling all the way to eight times (4.60 to 4.42);
docs/training.md has the table and what did not reproduce, docs/evaluation.md the attention resolution.
"""

from ml_collections import ConfigDict

LENGTH = 64
ARMS = {
    "sinusoidal": "Sinusoidal(layout='interleaved')",
    "nope": "NoPE()",
    "rope": "RoPE(base=10000.0)",
    "alibi": "ALiBi()",
    # torchscale's 512 for 1024 tokens of training: half the trained length
    "xpos": f"XPos(base=10000.0, scale_base={LENGTH // 2}, pairing='interleaved')",
}


def get_config(arm: str = "xpos") -> ConfigDict:
    """`--config=configs/lex.py:rope` for an arm by name."""
    if arm not in ARMS:
        raise ValueError(f"no arm {arm!r}; there are {', '.join(ARMS)}")
    return ConfigDict(
        {
            "model": "LlamaConfig(vocabulary=256, width=96, layers=3, heads=4, key_heads=4, head_dim=24, "
            f"feed_forward=256, norm_eps=1e-5, trained_length={LENGTH}, tied_head=True)",
            "encoding": ARMS[arm],
            "pattern": "Causal()",
            "adaptation": "Full()",
            "phases": "",
            "length": LENGTH,
            "batch": 32,
            "steps": 1200,
            "seed": 0,
            "optimizer": {"lr": 3e-3, "schedule": "cosine", "warmup": 50, "weight_decay": 0.1, "clip": 1.0},
            "data": {"source": "python_stdlib", "tokenizer": "bytes"},
            "held": {
                "every": 0,
                "lengths": (32, 64, 128, 256, 512),
                "tokens": 65536,
                "patterns": f"Causal(); BlockwiseCausal(block={LENGTH})",
            },
            "saving": {"every": 400, "keep": 1},
            "compute": {"dtype": "float32", "remat": "nothing", "kernel": "auto", "accumulate": 1},
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1, "sequence": 1},
        }
    )
