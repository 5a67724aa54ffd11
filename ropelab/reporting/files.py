"""Write outputs so that a file is either whole or not there."""

import csv
import dataclasses
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ropelab.evaluation.record import Record
from ropelab.reporting.numbers import as_words


def write(path: Path, content: str | bytes) -> Path:
    """Write beside the target, then put it in place at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    data = content.encode() if isinstance(content, str) else content
    partial.write_bytes(data)
    os.replace(partial, path)
    return path


def write_json(path: Path, value: Any) -> Path:
    """As JSON, non-finite numbers as words."""
    return write(path, json.dumps(as_words(value), indent=2, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Records, one per line, non-finite numbers as words."""
    return write(path, "".join(json.dumps(as_words(dict(row)), allow_nan=False) + "\n" for row in rows))


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Records as CSV, the columns those of the first."""
    text = io.StringIO()
    table = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return write(path, text.getvalue())


def write_records(path: Path, records: Sequence[Record]) -> list[Path]:
    """Write records as JSON lines, as CSV, and their protocols once, as `{name}.protocols.json`.

    Args:
        path: of the JSON lines, such as `records.jsonl`.
    """
    protocols = {record.protocol.key(): dataclasses.asdict(record.protocol) for record in records}
    rows = [record.row() for record in records]
    return [
        write_json(path.with_name(f"{path.stem}.protocols.json"), protocols),
        write_csv(path.with_suffix(".csv"), rows),
        write_jsonl(path, rows),
    ]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
