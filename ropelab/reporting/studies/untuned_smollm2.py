"""Scaling without fine-tuning, in SmolLM2: what `experiments.swap` measured, beside the unchanged model."""

import csv
from pathlib import Path

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, One, below, judged
from ropelab.reporting.numbers import log_ratio, perplexity
from ropelab.reporting.page import Section, code
from ropelab.reporting.readings import Column, Number, Readings
from ropelab.reporting.swapped import is_swap, position_chart, receipts_of

FOLDER = Path("untuned") / "smollm2"
BASE = "unchanged"


def readings(root: Path) -> Readings:
    """Perplexity by length, over all of it."""
    path, found = root / FOLDER / "results.csv", {}
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.DictReader(file), 2):
            if row["band"] == "all":
                number = Number(perplexity(float(row["nll"])), (f"{path.relative_to(root).as_posix()}:{line}",))
                found.setdefault(row["arm"], {}).setdefault(int(row["length"]), {})[0] = number
    return found


def named(readings: Readings, start: str) -> str:
    """The first arm whose name begins so; the beginning itself if there is none, so that a claim finds it missing."""
    return next((arm for arm in readings if arm.startswith(start)), start)


def claims(found: Readings, trained: int, far: Column) -> list[Claim]:
    pi, ntk, yarn, dynamic = (named(found, start) for start in ("PI", "NTK", "YaRN", "DynamicNTK"))

    def same(one: One) -> float:
        within = [c for c in one.columns(dynamic) if isinstance(c, int) and c <= trained]
        return 1e-4 - max(abs(log_ratio(one(dynamic, c), one(BASE, c))) for c in within)

    return [
        Claim("beyond the trained length NTK is below PI", below((ntk, far), (pi, far))),
        Claim("beyond the trained length NTK is below the unchanged model", below((ntk, far), (BASE, far))),
        Claim("beyond the trained length YaRN is below the unchanged model", below((yarn, far), (BASE, far))),
        Claim("beyond the trained length dynamic NTK is below NTK and PI",
              lambda one: min(below((dynamic, far), (other, far))(one) for other in (ntk, pi))),
        Claim("within the trained length dynamic NTK is the unchanged model, to 1 in 10000", same, exact=True),
    ]  # fmt: skip


def section(root: Path) -> Section:
    found, folder = readings(root), root / FOLDER
    lengths = sorted({c for by in found.values() for c in by if isinstance(c, int)})
    far = lengths[-1] if lengths else 0
    charts = [position_chart([folder], list(found))] if is_swap(folder) else []
    return Section(
        "Without fine-tuning, in SmolLM2",
        "Which scaling carries a pretrained model beyond its trained length as it is?",
        judged(claims(found, 8192, far), found),
        [
            grid.table(
                "Ours, perplexity by length",
                found,
                {arm: code(arm) for arm in found},
                lengths,
                note=charts[0].note if charts else "",
            ),
            *charts,
            *receipts_of(folder),
        ],
    )
