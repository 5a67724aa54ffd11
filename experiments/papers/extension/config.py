"""A model extended to two, four and eight times its trained length: directly, by PI, NTK, YaRN, LoRA and LongLoRA.

Reproduces: tables 1 and 2 of YaRN (arXiv 2309.00071), tables 1 to 3 of PI (arXiv 2306.15595), figure 1 and table 2 of
LongLoRA (arXiv 2309.12307). The sweeps of ../{yarn,pi,longlora} run the arms and read them; a single one is

    python -m experiments.train --config=experiments/papers/extension/config.py:base --workdir=runs/base
    python -m experiments.train --config=experiments/papers/extension/config.py:yarn2 --config.model=runs/base \\
        --workdir=runs/yarn2

An arm ends in its factor. `direct`, `pi`, `ntk`, `yarn` train all parameters under full attention; `yarn8` continues
yarn4 at the length of that ("train short, test long"); `lora`, `norms`, `embedding` and `plus` are LoRA under PI, with
norms, embedding, and both trained as well; `longlora` is plus in shifted groups, `shifted` and `short` are all
parameters in shifted groups and in groups that are not. `yarn2@gpu` is an arm at another size.

| size | model | trained on | steps | learning rate |
|---|---|---|---|---|
| cpu | 3 layers, width 96, of bytes, made by `base` in 480 steps of 4096 bytes | 256 | 60 of 4096 bytes | 3e-4 |
| gpu | SmolLM2-135M-Instruct, Q4_1 | 8192 | 400 of 131072 tokens of Python's library | 2e-5 |
| paper | Llama-2-7B | 4096 | 1000 of 64 rows of PG-19, YaRN 400 and 200 | 2e-5 |

The base of rotation of the byte model, 770, leaves of the slowest pair as much of a turn as Llama 2 has at 4096 (256 /
3193 and 4096 / 54410, both 8 %), while the fastest turns 41 times, more than YaRN's beta_fast of 32.

Time: four minutes for the base and one for an arm on one CPU core. Expected: docs/results.md.
"""

import re
from typing import Any, NamedTuple

from ml_collections import ConfigDict

ROTATION = 770.0
MODEL = (
    "LlamaConfig(vocabulary=256, width=96, layers=3, heads=4, key_heads=4, head_dim=32, feed_forward=256, "
    "norm_eps=1e-5, trained_length=256, tied_head=True)"
)


class Size(NamedTuple):
    """`model` is what arms extend, where it is not trained here; `tokens` are those of a step."""

    model: str
    original: int
    tokens: int
    steps: int
    lr: float
    warmup: int
    source: str
    tokenizer: str
    held: int
    dtype: str


SIZES = {
    "cpu": Size("", 256, 4096, 60, 3e-4, 0, "python_stdlib", "bytes", 16384, "float32"),
    "gpu": Size("smollm2", 8192, 131072, 400, 2e-5, 20, "python_stdlib", "model", 262144, "bfloat16"),
    "paper": Size("meta-llama/Llama-2-7b-hf", 4096, 0, 1000, 2e-5, 20, "pg19", "model", 1048576, "bfloat16"),
}
ROWS = 64  # of the papers' batches, whatever the length
YARN_STEPS = {2: 400, 4: 400, 8: 200}  # of the paper, whose batches are those above
LONG = (0.5, 1, 2, 4, 6, 8)
COLUMNS = {2: (0.5, 1, 1.5, 2, 2.5), 4: LONG, 8: LONG}  # of YaRN's tables 1 and 2, in trained lengths

PI = "PI(factor={factor}.0)"
ENCODINGS = {
    "direct": "",  # the model's own, further out
    "pi": PI,
    "ntk": "NTK(alpha={factor}.0)",
    "yarn": "YaRN(factor={factor}.0, original_length={original})",
}
LORA = {
    "lora": "LoRA(rank=8, alpha=16.0)",
    "norms": "LoRA(rank=8, alpha=16.0, also=('norms',))",
    "embedding": "LoRA(rank=8, alpha=16.0, also=('embedding',))",
    "plus": "LoRA(rank=8, alpha=16.0, also=('embedding', 'norms'))",
    "longlora": "LoRA(rank=8, alpha=16.0, also=('embedding', 'norms'))",
}
SHIFTED = "ShiftedSparse(group={group})"
GROUPS = {"longlora": SHIFTED, "shifted": SHIFTED, "short": "Grouped(group={group})"}
METHODS = tuple(dict.fromkeys((*ENCODINGS, *LORA, *GROUPS)))
ARM = re.compile(r"(?P<method>[a-z]+)(?P<factor>[248])?(@(?P<size>[a-z]+))?")


def get_config(arm: str = "yarn2") -> ConfigDict:
    """`:base` for the model that is extended, `:pi4` for PI to four times its length, `:pi4@gpu` for another size."""
    found = ARM.fullmatch(arm)
    size = SIZES.get((found and found["size"]) or "cpu")
    if found and size and found["method"] == "base" and not size.model:
        return base()
    if not found or not size or found["method"] not in METHODS or not found["factor"]:
        raise ValueError(
            f"no arm {arm!r}; there are base, {', '.join(METHODS)} with 2, 4 or 8 after it, and @gpu or @paper"
        )
    return extended(found["method"], int(found["factor"]), size)


def base() -> ConfigDict:
    return ConfigDict(
        {
            "model": MODEL,
            "encoding": f"RoPE(base={ROTATION})",
            "pattern": "Causal()",
            "adaptation": "Full()",
            "phases": "",
            "length": 256,
            "batch": 16,
            "steps": 480,
            "seed": 0,
            "optimizer": {"lr": 3e-3, "schedule": "cosine", "warmup": 50, "weight_decay": 0.1, "clip": 1.0},
            "data": {"source": "python_stdlib", "tokenizer": "bytes"},
            "held": {"every": 0, "lengths": (128, 256, 384, 512, 640, 1024), "tokens": 16384, "patterns": ""},
            "saving": {"every": 240, "keep": 1},
            "compute": {"dtype": "float32", "remat": "nothing", "kernel": "auto", "accumulate": 1},
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1, "sequence": 1},
        }
    )


def extended(method: str, factor: int, size: Size) -> ConfigDict:
    config: Any = base()
    trained = min(factor, 4) * size.original  # eight times is trained at four: train short, test long
    words = {"factor": factor, "original": size.original, "group": trained // 4}
    config.model = size.model or "runs/base"
    config.encoding = ENCODINGS.get(method, PI).format(**words)
    config.pattern = GROUPS.get(method, "Causal()").format(**words)
    config.adaptation = LORA.get(method, "Full()")
    config.length, config.batch = trained, size.tokens // trained or ROWS
    config.steps = YARN_STEPS.get(factor, size.steps) if method == "yarn" and not size.tokens else size.steps
    config.optimizer = ConfigDict(
        {"lr": size.lr, "schedule": "constant", "warmup": size.warmup, "b1": 0.9, "b2": 0.95, "weight_decay": 0.0}
    )
    config.data.update({"source": size.source, "tokenizer": size.tokenizer})
    lengths = tuple(int(times * size.original) for times in COLUMNS[factor])
    looked_at = factor == 2 or method == "pi"  # PI's table 3 is one of steps, and so is YaRN's claim about its table 1
    every = size.steps // 5 if looked_at else 0
    config.held.update({"every": every, "lengths": lengths, "tokens": size.held, "patterns": "Causal()"})
    config.saving.every = size.steps // 2
    if size.model:
        config.compute.update({"dtype": size.dtype, "remat": "layers"})
        config.mesh.update({"data": 1, "fsdp": -1})
    return config
