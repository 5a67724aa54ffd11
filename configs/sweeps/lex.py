"""LEX at the size of a laptop: five encodings, three seeds, the table and the attention resolution.

Reproduces: table 2 and the resolutions of arXiv 2212.10554, as configs/lex.py has them.

    python -m experiments.sweep --sweep=configs/sweeps/lex.py --workdir=runs/lex --parallel=2

Sizes: 15 trainings of 2.5 million bytes.

Time: 25 minutes on two CPU cores. Expected: report.md and resolution.md as in docs/training.md and docs/evaluation.md.
"""

from experiments.sweeps.runs import FOLDER, Sweep, chain, product, run, seeds

ARMS = ("sinusoidal", "nope", "rope", "alibi", "xpos")


def get_sweep() -> Sweep:
    arms = chain(*(run("train", f"configs/lex.py:{arm}", name=arm) for arm in ARMS))
    trainings = product(arms, seeds(3))
    done = tuple(one.name for one in trainings)
    return chain(
        trainings,
        run("verdicts", name="table", after=done, table="lex", workdir=FOLDER),
        run("resolution", name="resolution", after=done, lengths="64,128,256", workdir=FOLDER),
    )
