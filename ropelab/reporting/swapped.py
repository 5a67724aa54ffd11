"""What `experiments.swap` wrote, as parts of a page: perplexity by position, and what was applied."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ropelab.reporting import grid
from ropelab.reporting.numbers import perplexity
from ropelab.reporting.page import Cell, Chart, Part, Point, Section, Series, Table, code
from ropelab.reporting.perplexity_figure import averaged
from ropelab.reporting.readings import Number, Readings

WINDOWS = 24  # of a text: perplexity is averaged over one of them, 512 tokens at most
RECEIPT = (
    "encoding", "pattern", "inv_freq_first", "inv_freq_last", "inv_freq_hash", "amplitude", "first_position",
    "max_logit_difference", "cache", "statement",
)  # fmt: skip


def is_swap(root: Path) -> bool:
    return (root / "results.csv").is_file() and (root / "per_token.npz").is_file()


def readings(root: Path, band: str = "all") -> Readings:
    """Perplexity by length over one band of positions."""
    found: Readings = {}
    with (root / "results.csv").open(newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.DictReader(file), 2):
            if row["band"] == band:
                number = Number(perplexity(float(row["nll"])), (f"results.csv:{line}",))
                found.setdefault(row["arm"], {}).setdefault(int(row["length"]), {})[0] = number
    return found


def position_chart(root: Path) -> tuple[list[Chart], str]:
    """`(chart, protocol)`, the chart of the longest text; neither where nothing was measured."""
    path = root / "per_token.npz"
    if not path.is_file():
        return [], ""
    with np.load(path) as archive:
        protocol = str(archive["protocol"])
        nll = {name: archive[name] for name in archive.files if name != "protocol"}
    longest = max(values.shape[1] for values in nll.values()) + 1
    window = max(min(512, longest // WINDOWS), 1)
    series = []
    for name, values in nll.items():
        arm, _, length = name.rpartition(" @ ")
        if int(length) == longest:
            points = [Point(float(x), float(y)) for x, y in zip(*averaged(values, window), strict=True)]
            series.append(Series(code(arm), points))
    trained = trained_length(root)
    marks = ((trained, f"trained on {trained}"),) if trained and trained < longest else ()
    y = f"perplexity over {window} tokens"
    return [Chart("Perplexity by position", "position, tokens", y, series, False, True, marks, protocol)], protocol


def receipts(root: Path) -> Mapping[str, Mapping[str, Any]]:
    path = root / "receipts.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def trained_length(root: Path) -> int:
    return next((receipt.get("trained_length", 0) for receipt in receipts(root).values()), 0)


def receipts_of(root: Path) -> list[Part]:
    """What was applied, an arm a row; nothing without receipts."""
    found = receipts(root)
    rows = [[Cell(code(arm)), *(told(receipt.get(name)) for name in RECEIPT)] for arm, receipt in found.items()]
    head = ["arm", *(name.replace("_", " ") for name in RECEIPT)]
    note = "Receipts: what is applied, and from which position on the logits differ from the model as loaded."
    return [Table("What was applied", head, rows, note)] if rows else []


def told(value: Any) -> Cell:
    if value is None:
        return Cell("–")
    return Cell(f"{value:.6g}", value) if isinstance(value, float) else Cell(code(str(value)))


def swap_section(root: Path) -> Section:
    """The page of one swap experiment."""
    found = readings(root)
    lengths = sorted({c for by in found.values() for c in by if isinstance(c, int)})
    chart, protocol = position_chart(root)
    arms = {arm: code(arm) for arm in found}
    return Section(
        f"Swapped encodings: {root.name}",
        "What does each encoding do to the perplexity of the model, as it is and beyond its trained length?",
        (),
        [grid.table("Perplexity by length", found, arms, lengths, note=protocol), *chart, *receipts_of(root)],
    )
