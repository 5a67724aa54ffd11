"""LEX: five encodings with and without blockwise causal attention, their attention resolution, and ALiBi's overlap.

Reproduces: table 2 and the attention resolution of arXiv 2212.10554, and of ALiBi (arXiv 2108.12409, section 5 and
appendix) how much of its gain beyond the trained length is left when windows overlap.

    python -m experiments.sweep --sweep=experiments/papers/lex/sweep.py --workdir=runs/lex --parallel=2

Sizes: config.py has them; `sweep.py:gpu` and `:paper` for the others. Three seeds.

Time: cpu 15 minutes on two cores; gpu 20 minutes an arm on one H100. Expected: docs/results.md.
"""

from ropelab.cli.sweeps.runs import FOLDER, Sweep, chain, names, product, run, seeds, with_report

ARMS = ("sinusoidal", "nope", "rope", "alibi", "xpos")
LENGTHS = {"cpu": (64, 128, 256), "gpu": (1024, 2048, 4096), "paper": (1024, 2048, 4096)}
TABLES = ("lex", "resolution", "overlap")


def get_sweep(size: str = "cpu") -> Sweep:
    return with_report(runs(size), TABLES)


def runs(size: str) -> Sweep:
    trained, *_ = lengths = LENGTHS[size]
    arms = chain(*(run("train", f"experiments/papers/lex/config.py:{arm}@{size}", name=f"lex/{arm}") for arm in ARMS))
    trainings = product(arms, seeds(3))
    after = names(trainings)
    text = ",".join(map(str, lengths))
    resolution = run(
        "experiments.papers.lex.resolution", name="lex/resolution", after=after, lengths=text, workdir=f"{FOLDER}/lex"
    )
    return chain(trainings, resolution, overlap("apart", trained, after), overlap("sliding", trained, after))


def overlap(name: str, trained: int, after: tuple[str, ...]) -> Sweep:
    """The same texts in windows that do not overlap, and in windows that move by an eighth of the trained length."""
    stride = trained // 8 if name == "sliding" else 0
    return run(
        "measure",
        name=f"overlap/{name}",
        after=tuple(one for one in after if "alibi" in one or "sinusoidal" in one),
        runs=f"{FOLDER}/lex/alibi-*,{FOLDER}/lex/sinusoidal-*",
        evals=f"perplexity(tokens={16 * trained}, stride={stride}, trials=16)",
        lengths=f"{trained},{2 * trained},{8 * trained}",
    )
