"""Compare the names that tools have for one RoPE setting.

Reproduces: the identities between compress_pos_emb, alpha_value, llama.cpp's flags and transformers' settings that the
text-generation-webui documents (2023), 64/63 included.

    python -m experiments.sweep --sweep=experiments/papers/rope_settings/sweep.py --workdir=runs/knobs

Sizes: one; nothing is trained.

Time: seconds. Expected: docs/results.md.
"""

from ropelab.cli.sweeps.runs import Sweep, run, with_report

TABLES = ("knobs",)


def get_sweep(size: str = "cpu") -> Sweep:
    return with_report(runs(size), TABLES)


def runs(size: str) -> Sweep:
    del size
    return run("experiments.papers.rope_settings.comparison", name="knobs")
