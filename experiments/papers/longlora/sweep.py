"""LongLoRA compared with LoRA and full fine-tuning: perplexity, memory, arithmetic.

Reproduces: figure 1 and table 2 of arXiv 2309.12307.

    python -m experiments.sweep --sweep=experiments/papers/longlora/sweep.py --workdir=runs/longlora --parallel=2

Sizes: ../extension/config.py has them; `sweep.py:gpu` and `:paper` for the others. cpu has three seeds and
leaves out norms and embedding one by one, and groups that are not shifted.

Time: cpu 15 minutes on two cores; gpu half an hour an arm on one H100. Expected: docs/results.md.
"""

from experiments.papers.extension.sweep import bases, extended
from ropelab.cli.sweeps.runs import Sweep, chain, run, with_report

TABLES = ("longlora", "longlora_costs")
ARMS = ("pi4", "lora4", "plus4", "longlora4", "shifted4")
MORE = ("norms4", "embedding4", "short4")


def get_sweep(size: str = "cpu") -> Sweep:
    return with_report(runs(size), TABLES)


def runs(size: str) -> Sweep:
    arms = ARMS if size == "cpu" else ARMS + MORE
    model = "meta-llama/Llama-2-7b-hf" if size == "paper" else "smollm2"
    costs = run("experiments.papers.longlora.costs", name="costs", model=model, lengths="4096,8192,16384")
    return chain(bases(size), *(extended(arm, size) for arm in arms), costs)
