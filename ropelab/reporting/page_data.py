"""The values of a part as rows, one a number: as CSV, which anything reads, and as Parquet, which keeps types."""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from ropelab.reporting.page import Cell, Chart, Heat, Table, uncoded

Row = dict[str, Any]
COLUMNS = {
    Table: ("row", "column", "text", "value", "half", "best", "records"),
    Chart: ("series", "x", "y", "low", "high"),
    Heat: ("row", "column", "value", "records"),
}
TEXT = frozenset(("row", "column", "text", "records", "series"))
FORMULA = tuple("=+-@\t\r\n")  # what a formula begins with
NUMBER = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?( ?%)?( ± [\d.]+(e[-+]?\d+)?)?( \[[-+\d.,e% ]+\])?")
BETWEEN = "; "  # records of one number


def rows(part: Table | Chart | Heat) -> list[Row]:
    """Every value of a part.

    Returns:
        Of a table its cells but those of the first column, which names the row: `row, column, text, value, half, best,
        records`, the records as `file:line` with "; " between. Of a chart its points: `series, x, y, low, high`. Of a
        heat map its cells: `row, column, value, records`. None where there is none.
    """
    if isinstance(part, Table):
        return list(table_rows(part))
    if isinstance(part, Chart):
        return [{"series": uncoded(line.name)} | point._asdict() for line in part.series for point in line.points]
    return list(heat_rows(part))


def heat_rows(heat: Heat) -> Iterator[Row]:
    nothing = [[()] * len(heat.columns)] * len(heat.rows)
    for name, values, sources in zip(heat.rows, heat.values, heat.sources or nothing, strict=True):
        for column, value, records in zip(heat.columns, values, sources, strict=True):
            named = {"row": uncoded(name), "column": uncoded(column)}
            yield named | {"value": value, "records": BETWEEN.join(records)}


def table_rows(table: Table) -> Iterator[Row]:
    for first, *cells in table.rows:
        for column, cell in zip(table.head[1:], cells, strict=True):
            texts = {"row": first.text, "column": column, "text": cell.text}
            named = {name: uncoded(text) for name, text in texts.items()}
            yield named | {"value": cell.value, "half": cell.half, "best": cell.best} | recorded(cell)


def recorded(cell: Cell) -> Row:
    return {"records": BETWEEN.join(cell.sources)}


def as_csv(part: Table | Chart | Heat) -> bytes:
    """With a line of names; None is empty. A text that a spreadsheet would compute begins with an apostrophe."""
    text = io.StringIO()
    table = csv.DictWriter(text, fieldnames=COLUMNS[type(part)], lineterminator="\n")
    table.writeheader()
    table.writerows({k: inert(v) if isinstance(v, str) else v for k, v in row.items()} for row in rows(part))
    return text.getvalue().encode()


def inert(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula; numbers as they are."""
    return text if text[:1] not in FORMULA or NUMBER.fullmatch(text) else f"'{text}"


def as_parquet(part: Table | Chart | Heat) -> bytes:
    """The same rows: numbers as float64, `best` as bool, all else as text.

    Raises:
        ModuleNotFoundError: without pyarrow, naming what installs it.
    """
    arrow, parquet = libraries()
    kinds = {"best": arrow.bool_()} | dict.fromkeys(TEXT, arrow.string())
    schema = arrow.schema([(name, kinds.get(name, arrow.float64())) for name in COLUMNS[type(part)]])
    buffer = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist(rows(part), schema=schema), buffer)
    return buffer.getvalue()


def libraries() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        message = f"Parquet is written by pyarrow ({error}); pip install 'ropelab[report]'"
        raise ModuleNotFoundError(message, name="pyarrow") from None
    return pyarrow, pyarrow.parquet
