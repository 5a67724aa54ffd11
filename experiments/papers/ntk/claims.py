"""Scaling without fine-tuning, in byte models: PI, NTK, YaRN and dynamic NTK at two, four and eight times."""

from pathlib import Path

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, One, below, judged
from ropelab.reporting.numbers import log_ratio, perplexity
from ropelab.reporting.page import Section
from ropelab.reporting.readings import Readings, columns, lines, read
from ropelab.reporting.studies.extended import trained_length

BASE = "base"


def name(text: str) -> str:
    return f"{BASE} + {text}"


def arms(trained: int) -> dict[str, str]:
    """As `experiments.measure` names them: the model, and what was swapped in."""
    found = {BASE: "unchanged"}
    for s in (2, 4, 8):
        found |= {
            name(f"PI(factor={s}.0)"): f"PI(factor={s})",
            name(f"NTK(alpha={s}.0)"): f"NTK(alpha={s})",
            name(f"YaRN(factor={s}.0, original_length={trained})"): f"YaRN(factor={s})",
        }
    return found | {dynamic(trained): "dynamic NTK"}


def dynamic(trained: int) -> str:
    return name(f"DynamicNTK(factor=1.0, original_length={trained})")


def readings(root: Path) -> Readings:
    rows = [r for r in lines(root / "untuned" / "bytes" / "records.jsonl", root) if r["eval"] == "perplexity.nll"]
    return read(rows, lambda row: row["length"], value=lambda row: perplexity(row["value"]))


def claims(trained: int) -> list[Claim]:
    found = []
    for s in (2, 4, 8):
        at, pi, ntk = s * trained, name(f"PI(factor={s}.0)"), name(f"NTK(alpha={s}.0)")
        yarn = name(f"YaRN(factor={s}.0, original_length={trained})")
        found += [
            Claim(f"at {s} times NTK is below PI", below((ntk, at), (pi, at))),
            Claim(f"at {s} times NTK is below the unchanged model", below((ntk, at), (BASE, at))),
        ]
        found += [Claim(f"at {s} times YaRN is below NTK", below((yarn, at), (ntk, at)))] if s > 2 else []

    def same(one: One) -> float:
        return 1e-4 - abs(log_ratio(one(dynamic(trained), trained), one(BASE, trained)))

    return [
        *found,
        Claim("within the trained length dynamic NTK is the unchanged model, to 1 in 10000", same, exact=True),
        Claim("at four times dynamic NTK is below PI and YaRN for that factor",
              lambda one: min(below((dynamic(trained), 4 * trained), (other, 4 * trained))(one) for other in (
                  name("PI(factor=4.0)"), name(f"YaRN(factor=4.0, original_length={trained})")))),
    ]  # fmt: skip


def section(root: Path) -> Section:
    found, trained = readings(root), trained_length(root)
    rows = lines(root / "untuned" / "bytes" / "records.jsonl", root)
    note = f"Byte models trained on {trained} bytes, not fine-tuned. {rows[0]['protocol']}." if rows else ""
    labels = arms(trained)
    marks = ((trained, f"trained on {trained}"),)
    return Section(
        "Without fine-tuning, in small models",
        "Which scaling does least harm to a model that was never trained with it?",
        judged(claims(trained), found),
        [
            grid.table("Ours", found, labels, columns(found), note=note),
            grid.chart("Perplexity by length", found,
                       {a: labels[a] for a in labels if "8" not in labels[a] and "2)" not in labels[a]},
                       x="length of the text, bytes", y="perplexity per byte", marks=marks, note=note),
        ],
    )  # fmt: skip
