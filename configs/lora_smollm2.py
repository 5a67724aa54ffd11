"""Twenty steps of LoRA on SmolLM2-135M-Instruct on a laptop: does extending a real pretrained model work here?

The weights of "smollm2" are those of a Q4_1 GGUF, computed in float32.

Reproduces: nothing of a paper; LongLoRA's adapters (rank 8, alpha 16, q, k, v, o) under YaRN, at a length, a batch and
a learning rate for which two CPU cores and 24 GB are enough.

    python -m experiments.train --config=configs/lora_smollm2.py --workdir=runs/lora

Sizes: 1 x 2048 tokens a step, Python's language reference, 921,600 of 135 million parameters trained.

Time: about eleven minutes on one CPU core. Expected: held-out perplexity falls from 13.5 to 13.0 after ten steps and
12.5 after twenty.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    return ConfigDict(
        {
            "model": "smollm2",
            "encoding": "YaRN(factor=2.0, original_length=8192)",
            "pattern": "Causal()",
            "adaptation": "LoRA(rank=8, alpha=16.0)",
            "phases": "",
            "length": 2048,
            "batch": 1,
            "steps": 20,
            "seed": 0,
            "optimizer": {"lr": 3e-4, "schedule": "constant", "warmup": 2, "weight_decay": 0.0, "clip": 1.0},
            "data": {"source": "python_docs", "tokenizer": "model"},
            "held": {"every": 10, "lengths": (2048,), "tokens": 8192, "patterns": ""},
            "saving": {"every": 10, "keep": 1},
            "compute": {"dtype": "float32", "remat": "nothing", "kernel": "auto", "accumulate": 1},
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1, "sequence": 1},
        }
    )
