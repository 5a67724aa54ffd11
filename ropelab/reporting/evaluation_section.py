"""The section of an evaluation: a table per metric, scores by depth and distance, effective contexts, receipts."""

from collections.abc import Sequence
from pathlib import Path

from ropelab.evaluation.record import Record, aggregate
from ropelab.reporting.page import Cell, Chart, Heat, Part, Point, Section, Series, Table, code
from ropelab.reporting.run_files import has_records, read_records, read_texts
from ropelab.reporting.swap_section import receipt_tables
from ropelab.reporting.tables import DECODING, decoding_table, distance_tables, evaluation_tables

MANY = 12  # depths beyond which a line against distance replaces the heat map
EFFECTIVE_HEAD = ("variant", "questions", "k_max of PI", "YaRN, 80 %", "RULER, 85.6 %", "NoLiMa, 0.85 of base")
EFFECTIVE_NOTE = (
    "Tokens. k_max is a distance from the end of the longest text that has, as all shorter ones, a score of 20 %; the "
    "others are the longest length with such a score, over all depths."
)


def is_evaluation(root: Path) -> bool:
    """Return whether a folder has records of evaluations."""
    return has_records(root)


def read_evaluations(roots: Sequence[Path]) -> list[Record]:
    """Return the records of one evaluation, or of several, whose variants are then named after the folder."""
    if len(roots) == 1:
        return read_records(roots[0])
    return [
        record.replace(
            variant=f"{root.name}: {record.variant}",
            sources=tuple(f"{root.name}/{source}" for source in record.sources),
        )
        for root in roots
        for record in read_records(root)
    ]


def evaluation_section(roots: Sequence[Path]) -> Section:
    """Return tables, heat maps and lines of one evaluation, or of several side by side."""
    records = read_evaluations(roots)
    tables = evaluation_tables(records)
    effective = [effective_table(root, f"{root.name}: " if len(roots) > 1 else "") for root in roots]
    applied = [part for root in roots for part in receipt_tables(root, root.name if len(roots) > 1 else "")]
    decoded = [decoding_table(records)] if any(record.evaluation == DECODING for record in records) else []
    parts: list[Part] = [*tables, *decoded, *(one for one in effective if one.rows), *depth_parts(records), *applied]
    title = f"Evaluation: {', '.join(root.name for root in roots)}"
    question = "What does each variant score, with what interval, and how was it measured?"
    return Section(title, question, (), parts, lead(tables))


def lead(tables: Sequence[Table]) -> str:
    """Return which variant is the best at the longest length, by table."""
    said = []
    for table in tables:
        names = table.head.index("variant")
        if table.rows and names == 0:
            best = [row[0].text for row in table.rows if row[-1].best]
            found = f"best {' and '.join(best)}" if best else "no variant stands out"
            said.append(f"{table.title} at {table.head[-1]} tokens: {found}.")
    return " ".join(said)


def effective_table(root: Path, prefix: str = "") -> Table:
    """Return how long a context is used, by four definitions, as the evaluation found; no rows without questions."""
    rows = [[Cell(code(prefix + line[0])), *map(Cell, line[1:])] for line in read_texts(root / "effective.json")]
    return Table("Effective context", EFFECTIVE_HEAD, rows, EFFECTIVE_NOTE)


def depth_parts(records: Sequence[Record]) -> list[Part]:
    """Return a heat map of depth by length per variant and family of questions; lines and tables of many distances."""
    scores = [r for r in records if r.depth is not None and r.metric == "score" and r.value is not None]
    parts: list[Part] = []
    for name in dict.fromkeys(record.evaluation for record in scores):
        own = [record for record in scores if record.evaluation == name]
        depths = sorted({record.depth for record in own if record.depth is not None})
        if len(depths) > MANY:
            parts += [distance_chart(name, own), *distance_tables(own)]
        elif len(depths) > 1:
            lengths = sorted({record.length for record in own})
            variants = dict.fromkeys(record.variant for record in own)
            parts += [heat_map(name, v, [r for r in own if r.variant == v], depths, lengths) for v in variants]
    return parts


def heat_map(
    name: str, variant: str, records: Sequence[Record], depths: Sequence[float], lengths: Sequence[int]
) -> Heat:
    """Return the share of questions answered by depth and length."""
    found = {(one.depth, one.length): one for one in aggregate(records, by=("length", "depth"))}
    values = [[found[d, n].value if (d, n) in found else None for n in lengths] for d in depths]
    sources = [[list(found[d, n].sources) if (d, n) in found else [] for n in lengths] for d in depths]
    rows, columns = [f"{100 * depth:.0f} %" for depth in depths], list(map(str, lengths))
    title, note = f"{name}: {code(variant)}", "Share of questions answered."
    return Heat(title, "depth", "tokens", rows, columns, values, note, sources)


def distance_chart(name: str, records: Sequence[Record]) -> Chart:
    """Return the share answered by distance from the end, at the longest length."""
    longest = max(record.length for record in records)
    found = aggregate((r for r in records if r.length == longest), by=("variant", "length", "depth"))
    series = [
        Series(
            code(variant),
            [
                Point(float(one.distance), one.mean)
                for one in sorted(found, key=lambda one: one.distance)
                if one.variant == variant
            ],
        )
        for variant in dict.fromkeys(one.variant for one in found)
    ]
    return Chart(f"{name} by distance, texts of {longest}", "tokens from the end", "share answered", series)
