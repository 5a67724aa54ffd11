"""PI (arXiv 2306.15595): tables 1 and 2, perplexity by length; table 3, by steps; table 4, the effective context."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from experiments.papers.extension.readings import Extended, read_extended
from ropelab.evaluation.record import Record
from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, Missing, One, below, judged
from ropelab.reporting.page import Cell, Heat, Section, Table
from ropelab.reporting.readings import Column, Number, Readings, columns, setting_of
from ropelab.reporting.run_files import read_records

_KMAX_FAMILY, _KMAX_SHARE = "kmax", 0.2
_KMAX_PRINTED = """
Llama | 200 | 400 | 600 | 800 | 1000 | 10000
7B directly, 8192 | 1792 | 2048 | 2048 | 2048 | 2304 | 2560
33B directly, 8192 | 1792 | 2048 | 1792 | 2048 | 2304 | -
7B PI, 8192 | 8192 | 8192 | 8192 | 8192 | 8192 |
7B PI, 16384 | 16384 | 16384 | 16384 | 16384 | 16384 |
7B PI, 32768 | 32768 | 32768 | 18432 | 32768 | 32768 |
33B PI, 8192 | 8192 | 8192 | 8192 | 8192 | 8192 |
33B PI, 16384 | 16384 | 16384 | 16384 | 16384 | 16384 |
"""
_KMAX_SOURCE = (
    "Chen et al., arXiv 2306.15595, table 4: the largest distance from the end such that it and all shorter ones are "
    "answered in 20 % of ten trials; 32 distances. The unchanged models were trained on 2048 tokens."
)
_KMAX_ARMS = {
    "direct2": "directly, to twice",
    "direct4": "directly, to four times",
    "pi2": "PI, to twice",
    "pi4": "PI, to four times",
}
_FACTORS = {"direct2": 2, "direct4": 4, "pi2": 2, "pi4": 4}


def k_max(by_distance: dict[int, float]) -> int:
    """The largest distance such that it and all shorter ones reach 20 %; 0 if the shortest does not."""
    reached = 0
    for k in sorted(by_distance):
        if by_distance[k] < _KMAX_SHARE:
            break
        reached = k
    return reached


def _read_questions(root: Path) -> list[Record]:
    """Return the records of questions."""
    records = read_records(root / _KMAX_FAMILY / "kmax.jsonl", root)
    return [record for record in records if record.evaluation == "kmax" and record.metric == "score"]


def _kmax_readings(records: Sequence[Record], trained: int) -> Readings:
    """Return k_max by step; `raw2` and `raw4` are the base in texts of twice and four times its length, column 0."""
    shares: dict[tuple[str, Column, int], dict[int, Record]] = {}
    for record in records:
        is_base = record.variant == "base"
        variant = f"raw{record.length // trained}" if is_base else record.variant
        column = 0 if is_base else record.step or 0
        shares.setdefault((variant, column, record.seed), {})[record.distance] = record
    found: Readings = {}
    for (variant, column, seed), by in shares.items():
        sources = tuple(source for record in by.values() for source in record.sources)
        number = Number(k_max({k: record.mean for k, record in by.items()}), sources)
        found.setdefault(variant, {}).setdefault(column, {})[seed] = number
    return found


def _as_tokens(margin: float) -> str:
    return f"{margin:+.0f} tokens"


def _kmax_claims(trained: int, last: int, factors: Sequence[int]) -> list[Claim]:
    def reaches(arm: str, step: int):
        return lambda one: one(arm, step) - _FACTORS[arm] * trained + 0.5

    def behind(arm: str):
        def margin(one: One) -> float:
            return _FACTORS[arm] * trained - one(arm, last) - 0.5

        return margin

    found = []
    for times in factors:
        raw = f"raw{times}"
        found += [
            Claim(f"in texts of {times} times the trained length the unchanged model finds at most 1.25 times as far "
                  "back as that length", lambda one, raw=raw: 1.25 * trained - one(raw, 0) + 0.5, _as_tokens),
            Claim(f"PI to {times} times finds over the whole of its length after {last} steps",
                  reaches(f"pi{times}", last), _as_tokens),
            Claim(f"fine-tuned directly to {times} times the model stays behind its length",
                  behind(f"direct{times}"), _as_tokens),
        ]  # fmt: skip
    return found


def _table_by_steps(found: Readings, steps: list[Column]) -> Table:
    """In every cell the seeds, because their mean is no distance that any of them reached."""
    rows = []
    for arm in (arm for arm in _KMAX_ARMS if arm in found):
        cells = [Cell(_KMAX_ARMS[arm])]
        for step in steps:
            numbers = found[arm].get(step, {})
            text = ", ".join(f"{one.value:.0f}" for one in numbers.values())
            sources = tuple(source for one in numbers.values() for source in one.sources)
            mean = sum(one.value for one in numbers.values()) / len(numbers) if numbers else None
            cells.append(Cell(text or "–", mean, None, False, sources))
        rows.append(cells)
    return Table("Ours, k_max by steps, in each cell the seeds", ["arm", *map(str, steps)], rows)


def _share_heat_map(records: Sequence[Record], last: int) -> Heat:
    """Return the share answered at each distance after the last step, mean over seeds."""
    by: dict[tuple[str, float], list[Record]] = {}
    for record in records:
        if record.variant in _KMAX_ARMS and record.step == last:
            by.setdefault((record.variant, record.distance / record.length), []).append(record)
    arms, far = [arm for arm in _KMAX_ARMS if any(arm == a for a, _ in by)], sorted({k for _, k in by})
    values = [[_mean([record.mean for record in by.get((arm, k), ())]) for k in far] for arm in arms]
    sources = [[[one for record in by.get((arm, k), ()) for one in record.sources] for k in far] for arm in arms]
    names, shares = [_KMAX_ARMS[arm] for arm in arms], [f"{k:.2f}" for k in far]
    note = "Mean over seeds, ten trials each."
    title, across = "Share answered after the last step", "distance from the end, share of the text"
    return Heat(title, "arm", across, names, shares, values, note, sources)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def kmax_section(root: Path) -> Section:
    rows, trained = _read_questions(root), int(setting_of(root, _KMAX_FAMILY, "length") or 0)
    trained = min((record.length for record in rows if record.variant == "base"), default=trained)
    found = _kmax_readings(rows, trained) if trained else {}
    steps = columns(found, *_KMAX_ARMS)
    last = max((c for c in steps if isinstance(c, int)), default=0)
    factors = sorted({factor for arm, factor in _FACTORS.items() if arm in found}) or [4]
    raw = {f"raw{n}": f"unchanged, texts of {n} times" for n in (1, 2, 4)}
    parts = [
        _table_by_steps(found, steps),
        grid.table("Ours, the unchanged model", found, raw, [0], heads={0: "k_max"}, best=None,
                   note=f"Trained on {trained} tokens."),
        grid.printed("As printed", _KMAX_PRINTED, _KMAX_SOURCE),
        _share_heat_map(rows, last),
    ]  # fmt: skip
    return Section(
        "How far back a model finds (PI, table 4)",
        "Over how much of the extended length does the model find what it was told, and after how many steps?",
        judged(_kmax_claims(trained, last, factors), found),
        parts,
    )


# Tables 1 and 2 of PI: perplexity by length after fine-tuning directly and by PI.

_TABLE1_PRINTED = """
Llama 7B, PG-19 | 2048 | 4096 | 8192 | 16384 | 32768
unchanged | 7.20 | >10^3 | >10^3 | >10^3 | >10^3
directly, 8192 | 7.21 | 7.34 | 7.69 | |
PI, 8192 | 7.13 | 6.96 | 6.95 | |
PI, 16384 | 7.11 | 6.93 | 6.82 | 6.83 |
PI, 32768 | 7.23 | 7.04 | 6.91 | 6.80 | 6.77
"""
_TABLE2_PRINTED = """
Llama 7B, Proof-pile | 2048 | 4096 | 8192 | 16384 | 32768
unchanged | 2.77 | >10^3 | >10^3 | >10^3 | >10^3
directly, 8192 | 2.85 | 2.74 | 2.73 | |
PI, 8192 | 2.79 | 2.57 | 2.39 | |
PI, 16384 | 2.79 | 2.57 | 2.37 | 2.25 |
PI, 32768 | 2.82 | 2.59 | 2.39 | 2.24 | 2.48
"""
_TABLE1_SOURCE = "Chen et al., arXiv 2306.15595, tables 1 and 2: windows that move by 256 tokens."
_TABLE1_ARMS = {"base": "unchanged", "direct2": "directly, to twice", "pi2": "PI, to twice", "pi4": "PI, to four times"}


def _table1_claims(trained: int) -> list[Claim]:
    return [
        Claim("the unchanged model is more perplexed at twice its trained length than at it, by half at least",
              below(("base", trained), ("base", 2 * trained), times=1.5)),
        Claim("PI at twice the trained length is below the unchanged model at the trained length",
              below(("pi2", 2 * trained), ("base", trained))),
        Claim("PI at four times is below the unchanged model at the trained length",
              below(("pi4", 4 * trained), ("base", trained))),
        Claim("fine-tuned directly the model stays above PI at twice the trained length",
              below(("pi2", 2 * trained), ("direct2", 2 * trained))),
        Claim("PI loses at most 3 % at the trained length",
              below(("pi2", trained), ("base", trained), times=1 / 1.03)),
        Claim("PI gains from the longer text: lower at twice the trained length than at it",
              below(("pi2", 2 * trained), ("pi2", trained))),
    ]  # fmt: skip


def table1_section(root: Path) -> Section:
    found = read_extended(root)
    trained, values = found.trained, found.last()
    wanted = [int(times * trained) for times in (0.5, 1, 2, 4)]
    return Section(
        "Position Interpolation (PI, tables 1 and 2)",
        "After a short fine-tuning, is the model better at longer texts, and is direct fine-tuning not?",
        judged(_table1_claims(trained), values),
        [
            grid.table("Ours", values, _TABLE1_ARMS, wanted, note=found.note()),
            grid.printed("As printed, table 1", _TABLE1_PRINTED, _TABLE1_SOURCE),
            grid.printed(
                "As printed, table 2",
                _TABLE2_PRINTED,
                f"{_TABLE1_SOURCE} At 32768 the longest extension gets worse again.",
            ),
        ],
    )


# Table 3 of PI: perplexity at the extended length by steps of fine-tuning.

_TABLE3_PRINTED = """
Llama 7B, PG-19 | 0 | 200 | 400 | 600 | 800 | 1000
PI, 8192 | 16.10 | 7.12 | 7.10 | 7.02 | 6.99 | 6.95
PI, 16384 | 112.13 | 7.05 | 6.93 | 6.88 | 6.84 | 6.83
"""
_TABLE3_SOURCE = "Chen et al., arXiv 2306.15595, table 3. Unchanged at 2048: 7.20."
_TABLE3_ARMS = {"pi2": "PI, to twice", "pi4": "PI, to four times", "direct2": "directly, to twice"}


def _table3_readings(found: Extended) -> Readings:
    """Each arm by steps at its own target; `base` is the unchanged model at the trained length, in column 0."""
    twice, four = found.by_step(2 * found.trained), found.by_step(4 * found.trained)
    base = found.last().get("base", {}).get(found.trained, {})
    by_arm: Readings = {"base": {0: base}} if base else {}
    for arm, of in (("pi2", twice), ("pi4", four), ("direct2", twice)):
        by_arm |= {arm: of[arm]} if arm in of else {}
    return by_arm


def _gained_early(arm: str):
    """More than half of all that is gained is gained in the first fifth of the steps."""

    def margin(one: One) -> float:
        steps = [c for c in one.columns(arm) if isinstance(c, int)]
        if len(steps) < 3:
            raise Missing(arm)
        first, second, last = one(arm, steps[0]), one(arm, steps[1]), one(arm, steps[-1])
        return (first - second) / (first - last) - 0.5

    return margin


def _monotone(arm: str):
    """Falls from look to look, by less than 1 % at worst."""

    def margin(one: One) -> float:
        steps = one.columns(arm)
        if len(steps) < 3:
            raise Missing(arm)
        return min(below((arm, b), (arm, a), times=1 / 1.01)(one) for a, b in itertools.pairwise(steps))

    return margin


def _table3_claims(last: int) -> list[Claim]:
    return [
        Claim("PI to twice falls at every look, within 1 %", _monotone("pi2")),
        Claim("PI to four times falls at every look, within 1 %", _monotone("pi4")),
        Claim("more than half of what PI to twice gains is gained in the first fifth of the steps",
              _gained_early("pi2"), lambda m: f"{50 + 100 * m:.0f} % of it"),
        Claim("PI to four times begins above PI to twice", below(("pi2", 0), ("pi4", 0))),
        Claim("by the end PI to twice is below the unchanged model at the trained length",
              below(("pi2", last), ("base", 0))),
        Claim("before any step PI is below 20 times the perplexity of the unchanged model at the trained length",
              below(("pi2", 0), ("base", 0), times=1 / 20)),
    ]  # fmt: skip


def table3_section(root: Path) -> Section:
    found = read_extended(root)
    values = _table3_readings(found)
    steps = columns(values, "pi2")
    last = max((c for c in steps if isinstance(c, int)), default=0)
    note = f"Each at its own target. {found.note()}"
    return Section(
        "How many steps PI needs (PI, table 3)",
        "How fast does perplexity at the extended length fall?",
        judged(_table3_claims(last), values),
        [
            grid.table("Ours, by steps", values, _TABLE3_ARMS, steps, note=note),
            grid.printed("As printed", _TABLE3_PRINTED, _TABLE3_SOURCE),
            grid.chart("Perplexity at the target, by steps", values, _TABLE3_ARMS, x="steps of fine-tuning",
                       y="perplexity per token", log_x=False, note=note),
        ],
    )  # fmt: skip


TABLES = {"pi1": table1_section, "pi3": table3_section, "kmax": kmax_section}
