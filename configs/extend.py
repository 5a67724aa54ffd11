"""The papers' recipes for extending a pretrained Llama, their hyperparameters as they printed them.

    python -m experiments.train --config=configs/extend.py:yarn --config.data.source=pg19 --workdir=runs/yarn
    python -m experiments.train --config=configs/extend.py:longlora --config.data.source=local_text:books \\
        --config.steps=20 --config.length=2048 --config.batch=1 --workdir=runs/longlora

| recipe | paper | steps | learning rate | encoding |
|---|---|---|---|---|
| pi | Chen et al., 2306.15595, section 3.1 | 1000 | 2e-5, constant after 20 | PI |
| ntk | the NTK row of YaRN's table 1 | 400 | 2e-5 | base raised |
| yarn | Peng et al., 2309.00071, section 4.1 | 400 | 2e-5, constant after 20 | YaRN |
| longlora | Chen et al., 2309.12307, section 4.1 | 1000 | 2e-5, constant after 20 | PI, ShiftedSparse, LoRA |

Batches of 64, AdamW with (0.9, 0.95), no weight decay. The model is SmolLM2-135M-Instruct (Q4_1), extended from 8192 to
16384; another is named by `--config.model=<a Hugging Face directory or hub id>`. LongLoRA trains under `ShiftedSparse`
of a quarter of the length and is measured under full attention, as the paper does.

Time: these are for an accelerator. On two CPU cores a step of 1 x 2048 tokens of SmolLM2 takes half a minute or so:
`configs/lora_smollm2.py` is what fits there.
"""

from ml_collections import ConfigDict

LENGTH, ORIGINAL = 16384, 8192
FACTOR = LENGTH // ORIGINAL
RECIPES = {
    "pi": {"encoding": f"PI(factor={FACTOR}.0)", "steps": 1000},
    "ntk": {"encoding": f"NTK(alpha={FACTOR}.0)", "steps": 400},
    "yarn": {"encoding": f"YaRN(factor={FACTOR}.0, original_length={ORIGINAL})", "steps": 400},
    "longlora": {
        "encoding": f"PI(factor={FACTOR}.0)",
        "pattern": f"ShiftedSparse(group={LENGTH // 4})",
        "adaptation": "LoRA(rank=8, alpha=16.0, also=('embedding', 'norms'))",
        "steps": 1000,
    },
}


def get_config(recipe: str = "yarn") -> ConfigDict:
    """`--config=configs/extend.py:pi` for a recipe by name."""
    if recipe not in RECIPES:
        raise ValueError(f"no recipe {recipe!r}; there are {', '.join(RECIPES)}")
    return ConfigDict(
        {
            "model": "smollm2",
            "pattern": "Causal()",
            "adaptation": "Full()",
            "phases": "",
            "length": LENGTH,
            "batch": 64,
            "seed": 0,
            "optimizer": {
                "lr": 2e-5, "schedule": "constant", "warmup": 20, "b1": 0.9, "b2": 0.95, "weight_decay": 0.0,
                "clip": 1.0,
            },
            "data": {"source": "pg19", "tokenizer": "model"},
            "held": {"every": 100, "lengths": (ORIGINAL, LENGTH), "tokens": 262144, "patterns": "Causal()"},
            "saving": {"every": 100, "keep": 2, "best": 1},
            "compute": {"dtype": "bfloat16", "remat": "layers", "kernel": "auto", "accumulate": 1},
            "mesh": {"data": 1, "fsdp": -1, "tensor": 1, "sequence": 1},
        }
        | RECIPES[recipe]
    )  # fmt: skip
