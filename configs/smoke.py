"""A tiny byte model for a minute: does training, measuring, saving and going on work on this machine?

    python -m experiments.train --config=configs/smoke.py --workdir=runs/smoke

Sizes: 2 layers, width 64, the bytes of Python's standard library, 60 steps of 8 x 128, evaluations at 128 and 256,
checkpoints after 20, 40 and 60 steps.

Time: under a minute on two CPU cores. Expected: the loss falls from 5.55 (log 256) to less than 3.5.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    return ConfigDict(
        {
            "model": "LlamaConfig(vocabulary=256, width=64, layers=2, heads=4, key_heads=4, head_dim=16, "
            "feed_forward=192, norm_eps=1e-5, trained_length=128, tied_head=True)",
            "encoding": "RoPE(base=10000.0)",
            "pattern": "Causal()",
            "adaptation": "Full()",
            "phases": "",
            "length": 128,
            "batch": 8,
            "steps": 60,
            "seed": 0,
            "optimizer": {"lr": 3e-3, "schedule": "cosine", "warmup": 5, "weight_decay": 0.1, "clip": 1.0},
            "data": {"source": "python_stdlib", "tokenizer": "bytes"},
            "held": {"every": 30, "lengths": (128, 256), "tokens": 16384},
            "saving": {"every": 20, "keep": 3},
            "compute": {"dtype": "float32", "remat": "nothing", "kernel": "auto", "accumulate": 1},
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1, "sequence": 1},
        }
    )
