"""The recipe of MPT-30B: the last twentieth of the training at four times the length."""

from pathlib import Path

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, below, judged
from ropelab.reporting.page import Section
from ropelab.reporting.readings import as_perplexity, columns, last_step, read, setting_of, steps_of, trainings

_ARMS = {"alibi": "ALiBi, short all along", "curriculum": "ALiBi, the last twentieth at four times"}


def section(root: Path) -> Section:
    rows = [row for family in ("lex", "mpt") for row in last_step(trainings(root, family))]
    rows = [row for row in rows if row.variant in _ARMS and row.pattern == "Causal()"]
    found = read(rows, value=as_perplexity)
    trained = int(setting_of(root, "lex", "length") or 0)
    claims = [
        Claim("at four times the length the recipe is below short training all along",
              below(("curriculum", 4 * trained), ("alibi", 4 * trained))),
        Claim("at the trained length it loses at most 1 %",
              below(("curriculum", trained), ("alibi", trained), times=1 / 1.01)),
    ]  # fmt: skip
    note = (
        f"Trained on {trained} bytes a row, {steps_of(rows)}, as many bytes in all. MPT-30B, ALiBi, was trained on "
        "1000 billion tokens at 2048 and 50 billion at 8192; no table was printed. Mean over seeds ± the half-width of "
        "the 95 % t interval."
    )
    return Section(
        "Short, then a little long (MPT-30B)",
        "Does ALiBi gain from a last twentieth of training on longer texts?",
        judged(claims, found),
        [
            grid.table("Ours", found, _ARMS, columns(found), note=note),
            grid.chart("Perplexity by length", found, _ARMS, x="length of the text, bytes", y="perplexity per byte",
                       marks=((trained, f"trained on {trained}"),), note=note),
        ],
    )  # fmt: skip


TABLES = {"mpt": section}
