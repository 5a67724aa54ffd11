"""What `experiments.evaluate` and `experiments.measure` wrote, as a section of a page."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ropelab.reporting.distance_table import distance
from ropelab.reporting.evaluation_report import EFFECTIVE_HEAD, EFFECTIVE_NOTE
from ropelab.reporting.evaluation_table import HEAD, Mean, best, kind
from ropelab.reporting.page import Cell, Chart, Heat, Part, Point, Section, Series, Table, code
from ropelab.reporting.readings import lines
from ropelab.reporting.schema import read_texts
from ropelab.reporting.swapped import receipts_of

Record = dict[str, Any]
FEW = 12  # depths of a heat map; questions at more are a line against distance


def is_evaluation(root: Path) -> bool:
    return (root / "records.jsonl").is_file()


def evaluation_section(roots: Sequence[Path]) -> Section:
    """Tables, heat maps and lines of one evaluation, or of several, their arms named after the folder."""
    records: list[Record] = []
    for root in roots:
        prefix = f"{root.name}: " if len(roots) > 1 else ""
        where = f"{root.name}/" if len(roots) > 1 else ""
        found = lines(root / "records.jsonl", root)
        records += [r | {"arm": prefix + r["arm"], "source": where + r["source"]} for r in found]
    parts: list[Part] = effective_contexts(roots)
    for name in dict.fromkeys(record["eval"] for record in records if HEAD not in record["eval"]):
        own = [record for record in records if record["eval"] == name and record["value"] is not None]
        parts += [by_length(name, own), *by_depth(name, own)] if own else []
    several = len(roots) > 1
    applied: list[Part] = [part for root in roots for part in receipts_of(root, root.name if several else "")]
    title = f"Evaluation: {', '.join(root.name for root in roots)}"
    asked = "What does each arm score, with what interval, and how was it measured?"
    return Section(title, asked, (), [*parts, *applied], lead(parts))


def lead(parts: Sequence[Part]) -> str:
    """Who is the best at the longest length, by table."""
    said = []
    for part in parts:
        if isinstance(part, Table) and part.rows and part.head[-1].isdecimal():
            best = [row[0].text for row in part.rows if row[-1].best]
            found = f"best {' and '.join(best)}" if best else "no variant stands out"
            said.append(f"{part.title} at {part.head[-1]} tokens: {found}.")
    return " ".join(said)


def effective_contexts(roots: Sequence[Path]) -> list[Part]:
    """How long a context is used, by four definitions, as the evaluation found; nothing without questions."""
    rows = []
    for root in roots:
        path, prefix = root / "effective.json", f"{root.name}: " if len(roots) > 1 else ""
        rows += [[Cell(code(prefix + line[0])), *map(Cell, line[1:])] for line in read_texts(path)]
    return [Table("Effective context", EFFECTIVE_HEAD, rows, EFFECTIVE_NOTE)] if rows else []


def mean_of(records: Sequence[Record]) -> Mean:
    """Of parts that were measured apart, such as depths, as if they had been measured at once."""
    count = sum(record["count"] for record in records)
    if not count:
        return Mean(None, 0)
    value = sum(record["value"] * record["count"] for record in records) / count
    squares = 0.0
    for record in records:
        parted, own = record["count"], record.get("deviation")
        if parted > 1 and own is None:
            return Mean(value, count)
        squares += parted * (record["value"] - value) ** 2 + (parted - 1) * (own or 0.0) ** 2
    return Mean(value, count, math.sqrt(squares / (count - 1)) if count > 1 else None)


def by_length(name: str, records: Sequence[Record]) -> Table:
    """Arms down, lengths across; the depths and seeds of a length added up."""
    how, parts = kind(name), {}
    for record in records:
        parts.setdefault(record["arm"], {}).setdefault(record["length"], []).append(record)
    lengths = sorted({record["length"] for record in records})
    means = {arm: {n: mean_of(own) for n, own in by.items()} for arm, by in parts.items()}
    tops = {n: best({arm: by.get(n, Mean(None, 0)) for arm, by in means.items()}, name) for n in lengths}
    rows = []
    for arm, by in means.items():
        cells = [Cell(code(arm))]
        for n in lengths:
            sources = tuple(record["source"] for record in parts[arm].get(n, ()))
            mean = by.get(n, Mean(None, 0))
            cells.append(Cell(how.text(mean), mean.value, None, arm in tops[n], sources))
        rows.append(cells)
    note = f"{how.things}: {counted(records)}. {records[0]['protocol']}."
    return Table(how.title, ["arm", *map(str, lengths)], rows, note)


def counted(records: Sequence[Record]) -> str:
    """Over how many things the cells are, by length."""
    found = {}
    for record in records:
        key = record["length"], record["arm"]
        found[key] = found.get(key, 0) + record["count"]
    by = {n: sorted({count for (length, _), count in found.items() if length == n}) for n, _ in sorted(found)}
    return ", ".join(f"{' or '.join(map(str, counts))} at {n}" for n, counts in by.items())


def by_depth(name: str, records: Sequence[Record]) -> list[Part]:
    """Of questions: a heat map of depth by length for each arm; a line against distance where there are many depths."""
    asked = [record for record in records if record["depth"] is not None]
    if not asked or kind(name).title.endswith("answer"):
        return []
    depths = sorted({record["depth"] for record in asked})
    if len(depths) > FEW:
        return [against_distance(name, asked)]
    lengths = sorted({record["length"] for record in asked})
    if len(depths) < 2:
        return []
    return [heat(name, arm, [r for r in asked if r["arm"] == arm], depths, lengths) for arm in arms(asked)]


def arms(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(record["arm"] for record in records))


def heat(name: str, arm: str, records: Sequence[Record], depths: Sequence[float], lengths: Sequence[int]) -> Heat:
    cells: dict[tuple[float, int], list[Record]] = {}
    for record in records:
        cells.setdefault((record["depth"], record["length"]), []).append(record)
    values = [[mean_of(cells[d, n]).value if (d, n) in cells else None for n in lengths] for d in depths]
    sources = [[[record["source"] for record in cells.get((d, n), ())] for n in lengths] for d in depths]
    rows, columns = [f"{100 * depth:.0f} %" for depth in depths], list(map(str, lengths))
    return Heat(
        f"{name}: {code(arm)}", "depth", "tokens", rows, columns, values, "Share of questions answered.", sources
    )


def against_distance(name: str, records: Sequence[Record]) -> Chart:
    """The share answered by distance from the end, at the longest length."""
    longest = max(record["length"] for record in records)
    series = []
    for arm in arms(records):
        own: dict[int, list[Record]] = {}
        for record in records:
            if (record["arm"], record["length"]) == (arm, longest):
                own.setdefault(distance(record), []).append(record)
        series.append(Series(code(arm), [Point(float(k), mean_of(own[k]).value or 0.0) for k in sorted(own)]))
    return Chart(f"{name} by distance, texts of {longest}", "tokens from the end", "share answered", series)
