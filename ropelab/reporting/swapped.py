"""What `experiments.swap` wrote, as parts of a page: perplexity by position, and what was applied."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ropelab.reporting import grid
from ropelab.reporting.charts.perplexity import difference_chart, perplexity_chart
from ropelab.reporting.numbers import perplexity
from ropelab.reporting.page import Cell, Chart, Part, Section, Table, code
from ropelab.reporting.readings import Number, Readings
from ropelab.reporting.schema import REMEDY, read_arrays, read_csv, read_receipts
from ropelab.reporting.swap_report import verdict

RECEIPT = (
    "encoding", "layers", "pattern", "inv_freq_first", "inv_freq_last", "inv_freq_hash", "amplitude", "first_position",
    "max_logit_difference", "cache", "statement",
)  # fmt: skip


def is_swap(root: Path) -> bool:
    """Whether `experiments.swap` wrote there; a decoding's results have the same names and no bands of each length."""
    if not (root / "results.csv").is_file() or not (root / "per_token.npz").is_file():
        return False
    with (root / "results.csv").open(encoding="utf-8", errors="replace") as file:
        return {"arm", "length", "band", "nll"} <= set(file.readline().strip().split(","))


def protocol_of(root: Path) -> str:
    """How a swap was measured, as its archive has it."""
    return str(losses_of(root)["protocol"])


def losses_of(root: Path) -> dict[str, np.ndarray]:
    """`protocol`, and the losses of each arm at each length as `arm @ length`, [windows, length - 1].

    Raises:
        ValueError: for an archive that holds something else, naming the file.
    """
    path = root / "per_token.npz"
    found = {"protocol": np.array("")} | read_arrays(path)
    for name, values in found.items():
        losses = values.ndim == 2 and values.dtype.kind == "f" and name.rpartition(" @ ")[2].isdecimal()
        if not losses and name != "protocol":
            what = f"{name!r:.80} holds {values.dtype}{list(values.shape)}"
            raise ValueError(f"{path} is damaged: {what}, not the losses of an arm at a length; {REMEDY}")
    return found


def together(roots: Sequence[Path]) -> list[list[Path]]:
    """Swaps that were measured under one protocol, so that their variants can be compared, as one group."""
    groups: dict[str, list[Path]] = {}
    for root in roots:
        groups.setdefault(protocol_of(root), []).append(root)
    return list(groups.values())


def records_of(roots: Sequence[Path]) -> list[dict[str, str]]:
    """The records of swaps under one protocol, each with its `source`.

    A variant that several folders have is listed once if its numbers agree, and else named after its folder.
    """
    found: dict[str, dict[Path, list[dict[str, str]]]] = {}
    for root in roots:
        where = f"{root.name}/" if len(roots) > 1 else ""
        for line, row in read_csv(root / "results.csv", {"arm": str, "length": int, "band": str, "nll": float}):
            source = f"{where}results.csv:{line}"
            found.setdefault(row["arm"], {}).setdefault(root, []).append(row | {"source": source})
    rows = []
    for arm, by_root in found.items():
        numbers = {tuple((r["length"], r["band"], r["nll"]) for r in own) for own in by_root.values()}
        for root, own in by_root.items():
            name = arm if len(numbers) == 1 else f"{root.name}: {arm}"
            rows += [row | {"arm": name} for row in own]
            if len(numbers) == 1:
                break
    return rows


def readings(rows: Sequence[Mapping[str, str]], band: str = "all") -> Readings:
    """Perplexity by length over one band of positions."""
    found: Readings = {}
    for row in rows:
        if row["band"] == band:
            number = Number(perplexity(float(row["nll"])), (row["source"],))
            found.setdefault(row["arm"], {}).setdefault(int(row["length"]), {})[0] = number
    return found


def losses_by_arm(roots: Sequence[Path], arms: Sequence[str]) -> dict[str, np.ndarray]:
    """The losses of some arms at the longest length, [windows, length - 1], as `records_of` names them."""
    nll: dict[str, np.ndarray] = {}
    for root in roots:
        for name, values in losses_of(root).items():
            for arm in (name, f"{root.name}: {name}"):
                if arm.rpartition(" @ ")[0] in arms:
                    nll.setdefault(arm, values)
    longest = max((int(name.rpartition(" @ ")[2]) for name in nll), default=0)
    return {
        code(arm): values
        for name, values in nll.items()
        for arm, _, length in [name.rpartition(" @ ")]
        if int(length) == longest
    }


def position_charts(roots: Sequence[Path], arms: Sequence[str]) -> list[Chart]:
    """Perplexity by position in the longest text, and the difference to the unchanged model on chopped text."""
    nll = losses_by_arm(roots, arms)
    options: Any = {"trained_length": trained_length(roots[0]), "note": protocol_of(roots[0])}
    difference = difference_chart(nll, **options)
    return [perplexity_chart(nll, **options), *([difference] if difference else [])]


def receipts(root: Path) -> Mapping[str, Mapping[str, Any]]:
    return read_receipts(root / "receipts.json")


def trained_length(root: Path) -> int:
    return next((receipt.get("trained_length") or 0 for receipt in receipts(root).values()), 0)


def receipts_of(root: Path, name: str = "") -> list[Part]:
    """What was applied, a field a row and a variant a column; nothing without receipts.

    Args:
        name: of the folder, where there are several.
    """
    found = receipts(root)
    rows = [[Cell(field.replace("_", " ")), *(told(one.get(field)) for one in found.values())] for field in RECEIPT]
    note = "Receipts: what is applied, and from which position on the logits differ from the model as loaded."
    title = f"What was applied: {name}" if name else "What was applied"
    return [Table(title, ["", *map(code, found)], rows, note)] if found else []


def told(value: Any) -> Cell:
    """A value of a receipt, as text: a column holds values of all kinds."""
    if value is None:
        return Cell("–")
    return Cell(f"{value:.6g}" if isinstance(value, float) else code(str(value)))


def swap_section(roots: Sequence[Path]) -> Section:
    """The page of a swap experiment, or of several under one protocol side by side."""
    several = len(roots) > 1
    rows = records_of(roots)
    found = readings(rows)
    lengths = sorted({c for by in found.values() for c in by if isinstance(c, int)})
    arms = {arm: code(arm) for arm in found}
    table = grid.table("Perplexity by length", found, arms, lengths, note=protocol_of(roots[0]))
    applied = [part for root in roots for part in receipts_of(root, root.name if several else "")]
    return Section(
        f"Swapped encodings: {', '.join(root.name for root in roots)}",
        "What does each encoding do to the perplexity of the model, as it is and beyond its trained length?",
        (),
        [table, *position_charts(roots, list(found)), *applied],
        verdict(rows),
    )
