"""PI, NTK, YaRN and dynamic scaling without fine-tuning, in small models and in SmolLM2-135M-Instruct (Q4_1 GGUF).

Reproduces: the perplexity plots of NTK-aware and dynamic scaling (2023) and the remarks on untuned models of YaRN
(arXiv 2309.00071).

    python -m experiments.sweep --sweep=experiments/papers/ntk/sweep.py --workdir=runs/untuned --parallel=2

Sizes: cpu: three byte models trained on 256, at two, four and eight times; SmolLM2 at 12288, one text. gpu and paper:
SmolLM2 at 16384 and 32768, twenty texts, and Llama-2-7B.

Time: cpu 15 minutes on two cores. Expected: docs/results.md.
"""

from experiments.papers.extension.sweep import bases
from ropelab.cli.sweeps.runs import FOLDER, Sweep, chain, names, run, with_report

TABLES = ("untuned", "untuned_smollm2")
ENCODINGS = (
    "PI(factor={0}.0)",
    "NTK(alpha={0}.0)",
    "YaRN(factor={0}.0, original_length={1})",
)
DYNAMIC = "DynamicNTK(factor=1.0, original_length={1})"


def get_sweep(size: str = "cpu") -> Sweep:
    return with_report(runs(size), TABLES)


def runs(size: str) -> Sweep:
    if size == "cpu":
        made = bases(size)
        return chain(made, small(names(made)), run("swap", "configs/swap_smollm2.py", name="untuned/smollm2"))
    model, original = {"gpu": ("smollm2", 8192), "paper": ("meta-llama/Llama-2-7b-hf", 4096)}[size]
    fields = {
        "model": model,
        "encodings": "; ".join(arms(original, (2, 4))),
        "lengths": (original, 2 * original, 4 * original),
        "edges": (original, 2 * original, 4 * original),
        "windows": 20,
        "text": "python-stdlib",
        "dtype": "bfloat16",
    }
    return run("swap", "configs/swap_smollm2.py", name="untuned/smollm2", fields=fields)


def small(after: tuple[str, ...]) -> Sweep:
    """Byte models at their trained length and at two, four and eight times it, every encoding at every length."""
    return run(
        "measure",
        name="untuned/bytes",
        after=after,
        runs=f"{FOLDER}/bytes/base-*",
        encodings="; ".join(arms(256, (2, 4, 8))),
        evals="perplexity(tokens=2048, trials=8)",
        lengths="256,512,1024,2048",
    )


def arms(original: int, factors: tuple[int, ...]) -> list[str]:
    return [text.format(s, original) for s in factors for text in ENCODINGS] + [DYNAMIC.format(0, original)]
