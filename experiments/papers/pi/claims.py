"""Table 4 of PI: how far back a model finds what it was told, by steps of fine-tuning."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, One, judged
from ropelab.reporting.distance_table import distance
from ropelab.reporting.page import Cell, Heat, Section, Table
from ropelab.reporting.readings import Column, Number, Readings, arm_and_seed, columns, lines, setting_of

FAMILY, TRIALS = "kmax", 0.2
PAPER = """
Llama | 200 | 400 | 600 | 800 | 1000 | 10000
7B directly, 8192 | 1792 | 2048 | 2048 | 2048 | 2304 | 2560
33B directly, 8192 | 1792 | 2048 | 1792 | 2048 | 2304 | -
7B PI, 8192 | 8192 | 8192 | 8192 | 8192 | 8192 |
7B PI, 16384 | 16384 | 16384 | 16384 | 16384 | 16384 |
7B PI, 32768 | 32768 | 32768 | 18432 | 32768 | 32768 |
33B PI, 8192 | 8192 | 8192 | 8192 | 8192 | 8192 |
33B PI, 16384 | 16384 | 16384 | 16384 | 16384 | 16384 |
"""
SOURCE = (
    "Chen et al., arXiv 2306.15595, table 4: the largest distance from the end such that it and all shorter ones are "
    "answered in 20 % of ten trials; 32 distances. The unchanged models were trained on 2048 tokens."
)
ARMS = {
    "direct2": "directly, to twice",
    "direct4": "directly, to four times",
    "pi2": "PI, to twice",
    "pi4": "PI, to four times",
}
FACTORS = {"direct2": 2, "direct4": 4, "pi2": 2, "pi4": 4}


def k_max(by_distance: dict[int, float]) -> int:
    """The largest distance such that it and all shorter ones reach 20 %; 0 if the shortest does not."""
    reached = 0
    for k in sorted(by_distance):
        if by_distance[k] < TRIALS:
            break
        reached = k
    return reached


def asked(root: Path) -> list[dict[str, Any]]:
    """Records of questions, their arm taken apart: `pi2-0@25` is pi2 with seed 0 after 25 steps."""
    found = []
    for row in lines(root / FAMILY / "kmax.jsonl", root):
        name, _, step = row["arm"].partition("@")
        arm, seed = arm_and_seed(name)
        if row["eval"] == "kmax":
            found.append(row | {"arm": arm, "seed": seed, "step": int(step), "distance": distance(row)})
    return found


def readings(rows: list[dict[str, Any]], trained: int) -> Readings:
    """k_max by step; `raw2` and `raw4` are the base in texts of twice and four times its length, in column 0."""
    shares: dict[tuple[str, Column, int], dict[int, dict[str, Any]]] = {}
    for row in rows:
        arm = f"raw{row['length'] // trained}" if row["arm"] == "base" else row["arm"]
        column = 0 if row["arm"] == "base" else row["step"]
        shares.setdefault((arm, column, row["seed"]), {})[row["distance"]] = row
    found: Readings = {}
    for (arm, column, seed), by in shares.items():
        number = Number(k_max({k: row["value"] for k, row in by.items()}), tuple(row["source"] for row in by.values()))
        found.setdefault(arm, {}).setdefault(column, {})[seed] = number
    return found


def tokens(margin: float) -> str:
    return f"{margin:+.0f} tokens"


def claims(trained: int, last: int, factors: Sequence[int]) -> list[Claim]:
    def reaches(arm: str, step: int):
        return lambda one: one(arm, step) - FACTORS[arm] * trained + 0.5

    def behind(arm: str):
        def margin(one: One) -> float:
            return FACTORS[arm] * trained - one(arm, last) - 0.5

        return margin

    found = []
    for times in factors:
        raw = f"raw{times}"
        found += [
            Claim(f"in texts of {times} times the trained length the unchanged model finds at most 1.25 times as far "
                  "back as that length", lambda one, raw=raw: 1.25 * trained - one(raw, 0) + 0.5, tokens),
            Claim(f"PI to {times} times finds over the whole of its length after {last} steps",
                  reaches(f"pi{times}", last), tokens),
            Claim(f"fine-tuned directly to {times} times the model stays behind its length",
                  behind(f"direct{times}"), tokens),
        ]  # fmt: skip
    return found


def by_steps(found: Readings, steps: list[Column]) -> Table:
    """In every cell the seeds, because their mean is no distance that any of them reached."""
    rows = []
    for arm in (arm for arm in ARMS if arm in found):
        cells = [Cell(ARMS[arm])]
        for step in steps:
            numbers = found[arm].get(step, {})
            text = ", ".join(f"{one.value:.0f}" for one in numbers.values())
            sources = tuple(source for one in numbers.values() for source in one.sources)
            mean = sum(one.value for one in numbers.values()) / len(numbers) if numbers else None
            cells.append(Cell(text or "–", mean, None, False, sources))
        rows.append(cells)
    return Table("Ours, k_max by steps, in each cell the seeds", ["arm", *map(str, steps)], rows)


def grids(rows: list[dict[str, Any]], last: int) -> Heat:
    """The share answered at each distance after the last step, mean over seeds."""
    by: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for row in rows:
        if row["arm"] in ARMS and row["step"] == last:
            by.setdefault((row["arm"], row["distance"] / row["length"]), []).append(row)
    arms, far = [arm for arm in ARMS if any(arm == a for a, _ in by)], sorted({k for _, k in by})
    values = [[mean([row["value"] for row in by.get((arm, k), ())]) for k in far] for arm in arms]
    sources = [[[row["source"] for row in by.get((arm, k), ())] for k in far] for arm in arms]
    names, shares = [ARMS[arm] for arm in arms], [f"{k:.2f}" for k in far]
    note = "Mean over seeds, ten trials each."
    title, across = "Share answered after the last step", "distance from the end, share of the text"
    return Heat(title, "arm", across, names, shares, values, note, sources)


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def section(root: Path) -> Section:
    rows, trained = asked(root), int(setting_of(root, FAMILY, "length") or 0)
    trained = next((r["length"] for r in sorted(rows, key=lambda r: r["length"]) if r["arm"] == "base"), trained)
    found = readings(rows, trained) if trained else {}
    steps = columns(found, *ARMS)
    last = max((c for c in steps if isinstance(c, int)), default=0)
    factors = sorted({factor for arm, factor in FACTORS.items() if arm in found}) or [4]
    raw = {f"raw{n}": f"unchanged, texts of {n} times" for n in (1, 2, 4)}
    parts = [
        by_steps(found, steps),
        grid.table("Ours, the unchanged model", found, raw, [0], heads={0: "k_max"}, best=None,
                   note=f"Trained on {trained} tokens."),
        grid.printed("As printed", PAPER, SOURCE),
        grids(rows, last),
    ]  # fmt: skip
    return Section(
        "How far back a model finds (PI, table 4)",
        "Over how much of the extended length does the model find what it was told, and after how many steps?",
        judged(claims(trained, last, factors), found),
        parts,
    )
