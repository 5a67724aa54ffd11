"""The section of a swap: perplexity by length and by position, which variants beat the baselines, and the receipts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ropelab.evaluation.record import Protocol, Record
from ropelab.reporting.charts.perplexity import difference_chart, perplexity_chart
from ropelab.reporting.numbers import number
from ropelab.reporting.page import Cell, Chart, Facts, Part, Section, Table, code
from ropelab.reporting.run_files import REMEDY, has_records, read_arrays, read_csv, read_receipts, read_records
from ropelab.reporting.tables import BY_POSITION, position_tables

RECEIPT = (
    "encoding", "layers", "pattern", "inv_freq_first", "inv_freq_last", "inv_freq_hash", "amplitude",
    "dimensions_beyond_trained_length", "first_position", "max_logit_difference", "cache", "statement",
)  # fmt: skip
LOSSES, RESULTS_0_1 = "per_token.npz", "results.csv"


def is_swap(root: Path) -> bool:
    """Return whether `experiments.swap` wrote there, of this version or of 0.1.

    The results that 0.1 has of a decoding have the same names and no bands of each length.
    """
    if not (root / LOSSES).is_file():
        return False
    if has_records(root):
        return any(record.evaluation == BY_POSITION for record in read_records(root))
    if not (root / RESULTS_0_1).is_file():
        return False
    with (root / RESULTS_0_1).open(encoding="utf-8", errors="replace") as file:
        return {"arm", "length", "band", "nll"} <= set(file.readline().strip().split(","))


def protocol_of(root: Path) -> str:
    """Return how a swap was measured, as its archive has it."""
    return str(read_losses(root)["protocol"])


def read_losses(root: Path) -> dict[str, np.ndarray]:
    """Return `protocol`, and the losses of each variant at each length as `variant @ length`, [windows, length - 1].

    Raises:
        ValueError: for an archive that holds something else, naming the file.
    """
    path = root / LOSSES
    found = {"protocol": np.array("")} | read_arrays(path)
    for name, values in found.items():
        losses = values.ndim == 2 and values.dtype.kind == "f" and name.rpartition(" @ ")[2].isdecimal()
        if not losses and name != "protocol":
            what = f"{name!r:.80} holds {values.dtype}{list(values.shape)}"
            raise ValueError(f"{path} is damaged: {what}, not the losses of a variant at a length; {REMEDY}")
    return found


def group_by_protocol(roots: Sequence[Path]) -> list[list[Path]]:
    """Group the swaps that were measured under one protocol, so that their variants can be compared."""
    groups: dict[str, list[Path]] = {}
    for root in roots:
        groups.setdefault(protocol_of(root), []).append(root)
    return list(groups.values())


def read_swap(root: Path) -> list[Record]:
    """Return the records of a swap, of this version or of 0.1."""
    if has_records(root):
        return read_records(root)
    protocol = Protocol(method=protocol_of(root))
    rows = read_csv(root / RESULTS_0_1, {"arm": str, "length": int, "band": str, "nll": float})
    return [_upgrade_0_1(row, protocol, f"{RESULTS_0_1}:{line}") for line, row in rows]


def _upgrade_0_1(row: Mapping[str, str], protocol: Protocol, source: str) -> Record:
    """Return the record of a line of 0.1's table, whose band was "all", "[first, last)" or "last n"."""
    length, band = int(row["length"]), row["band"]
    first, last = None, None
    if band.startswith("["):
        first, last = map(int, band[1:-1].split(","))
    elif band.startswith("last "):
        first, last = length - int(band[5:]), length
    return Record(
        variant=row["arm"],
        encoding=row.get("encoding", ""),
        pattern=row.get("pattern", ""),
        evaluation=BY_POSITION,
        metric="nll_tail" if band.startswith("last") else "nll",
        length=length,
        first=first,
        last=last,
        window=_chopped_0_1(row["arm"]),
        value=float(row["nll"]),
        count=int(row.get("tokens", 1)),
        protocol=protocol,
        sources=(source,),
    )


def _chopped_0_1(arm: str) -> int | None:
    before, _, window = arm.partition("unchanged, chopped at ")
    return int(window) if not before and window.isdecimal() else None


def combine(roots: Sequence[Path]) -> list[Record]:
    """Return the records of swaps under one protocol.

    A variant that several folders have is listed once if its numbers agree, and else named after its folder.
    """
    found: dict[str, dict[Path, list[Record]]] = {}
    for root in roots:
        where = f"{root.name}/" if len(roots) > 1 else ""
        for record in read_swap(root):
            record = record.replace(sources=tuple(where + source for source in record.sources))
            found.setdefault(record.variant, {}).setdefault(root, []).append(record)
    records = []
    for variant, by_root in found.items():
        numbers = {
            tuple((r.length, r.metric, r.first, r.value) for r in own if r.metric.startswith("nll"))
            for own in by_root.values()
        }
        for root, own in by_root.items():
            name = variant if len(numbers) == 1 else f"{root.name}: {variant}"
            records += [record.replace(variant=name) for record in own]
            if len(numbers) == 1:
                break
    return records


def losses_by_variant(roots: Sequence[Path], variants: Sequence[str]) -> dict[str, np.ndarray]:
    """Return losses at the longest length, [windows, length - 1], of variants as `combine` names them."""
    nll: dict[str, np.ndarray] = {}
    for root in roots:
        for name, values in read_losses(root).items():
            for variant in (name, f"{root.name}: {name}"):
                if variant.rpartition(" @ ")[0] in variants:
                    nll.setdefault(variant, values)
    longest = max((int(name.rpartition(" @ ")[2]) for name in nll), default=0)
    return {
        code(variant): values
        for name, values in nll.items()
        for variant, _, length in [name.rpartition(" @ ")]
        if int(length) == longest
    }


def position_charts(roots: Sequence[Path], variants: Sequence[str]) -> list[Chart]:
    """Return perplexity by position in the longest text, and the difference to the unchanged model on chopped text."""
    nll = losses_by_variant(roots, variants)
    options: Any = {"trained_length": trained_length(roots[0]), "note": protocol_of(roots[0])}
    difference = difference_chart(nll, **options)
    return [perplexity_chart(nll, **options), *([difference] if difference else [])]


def trained_length(root: Path) -> int:
    """Return the trained length that the receipts name, 0 if none does."""
    receipts = read_receipts(root / "receipts.json").values()
    return next((receipt.get("trained_length") or 0 for receipt in receipts), 0)


def receipt_tables(root: Path, name: str = "") -> list[Table]:
    """Return what was applied; nothing without receipts.

    Args:
        name: of the folder, where there are several.
    """
    found = read_receipts(root / "receipts.json")
    return [receipt_table(found, f"What was applied: {name}" if name else "What was applied")] if found else []


def receipt_table(receipts: Mapping[str, Mapping[str, Any]], title: str = "What was applied") -> Table:
    """Return receipts side by side, a field per row and a variant per column."""
    rows = [[Cell(field.replace("_", " ")), *(_fact(one.get(field)) for one in receipts.values())] for field in RECEIPT]
    note = "Receipts: what is applied, and from which position on the logits differ from the model as loaded."
    return Table(title, ["", *map(code, receipts)], rows, note)


def _fact(value: Any) -> Cell:
    """Return a value of a receipt as text: a column holds values of all kinds."""
    if value is None:
        return Cell("–")
    return Cell(f"{value:.6g}" if isinstance(value, float) else code(str(value)))


def verdict(records: Sequence[Record]) -> str:
    """Return which variants are below the two baselines at the longest length, by the mean NLL of all its tokens."""
    longest = max((record.length for record in records), default=0)
    own = [r for r in records if r.length == longest and r.metric == "nll" and r.first is None]
    nll = {record.variant: record.mean for record in own}
    if not nll:
        return ""
    unchanged, *others = nll
    chopped = next((record.variant for record in own if record.window is not None), None)
    swapped = [variant for variant in others if variant != chopped]
    lines = [f"At {longest} tokens the unchanged model has a mean NLL of {nll[unchanged]:.4f}."]
    if not swapped:
        return lines[0]
    below = [variant for variant in swapped if nll[variant] < nll[unchanged]]
    lines.append(f"Below it: {_list(below, nll)}.")
    if chopped is not None:
        below = [variant for variant in swapped if nll[variant] < nll[chopped]]
        lines.append(f"Below the unchanged model on chopped text ({nll[chopped]:.4f}): {_list(below, nll)}.")
    return " ".join(lines)


def _list(variants: Sequence[str], nll: Mapping[str, float]) -> str:
    return ", ".join(f"{variant} ({nll[variant]:.4f})" for variant in variants) if variants else "none"


def speed_facts(records: Sequence[Record]) -> list[Facts]:
    """Return the speed of each variant at its longest length, compilation included; nothing where it is unknown."""
    own = sorted((r for r in records if r.metric == "tokens_per_second"), key=lambda record: record.length)
    speeds = {record.variant: number(record.mean) for record in own}
    pairs = [(code(variant), f"{speed} tokens per second") for variant, speed in speeds.items()]
    return [Facts("Speed, compilation included", pairs)] if pairs else []


def swap_section(roots: Sequence[Path]) -> Section:
    """Return the section of a swap, or of several under one protocol side by side."""
    several = len(roots) > 1
    records = combine(roots)
    variants = list(dict.fromkeys(record.variant for record in records))
    applied: list[Part] = [part for root in roots for part in receipt_tables(root, root.name if several else "")]
    return Section(
        f"Swapped encodings: {', '.join(root.name for root in roots)}",
        "What does each encoding do to the perplexity of the model, as it is and beyond its trained length?",
        (),
        [*position_tables(records), *position_charts(roots, variants), *applied, *speed_facts(records)],
        verdict(records),
    )
