"""Figure 1 of LongLoRA: memory and arithmetic of full fine-tuning, LoRA and LongLoRA."""

from pathlib import Path

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, One, below, judged
from ropelab.reporting.page import Section
from ropelab.reporting.readings import Column, Readings, columns, lines, read

PAPER = """
Llama-2-7B, 8 A100 | hours, LoRA | hours, LongLoRA | GB, LoRA | GB, LongLoRA
65536 | 92.5 | 52.4 | 71.1 | 69.8
"""
SOURCE = "Chen et al., arXiv 2309.12307, figure 1 and its table: full fine-tuning is out of memory at 65536."
ARMS = ("full fine-tuning", "LoRA", "LongLoRA")


def of(root: Path, name: str) -> Readings:
    rows = [row for row in lines(root / "costs" / "records.jsonl", root) if row["eval"] == f"costs.{name}"]
    return read(rows, lambda row: row["length"], value=lambda row: row["value"], arm=lambda r: f"{name}: {r['arm']}")


def longest(one: One, arm: str) -> Column:
    return one.columns(arm)[-1]


def order(low: str, high: str, times: float = 1.0):
    return lambda one: below((low, longest(one, low)), (high, longest(one, high)), times=times)(one)


CLAIMS = [
    Claim("LoRA takes less memory than full fine-tuning", order("gib: LoRA", "gib: full fine-tuning")),
    Claim("LongLoRA takes at most a tenth more memory than LoRA", order("gib: LongLoRA", "gib: LoRA", 1 / 1.1)),
    Claim("LoRA is less arithmetic than full fine-tuning", order("gflop: LoRA", "gflop: full fine-tuning")),
    Claim("LongLoRA is less arithmetic than LoRA", order("gflop: LongLoRA", "gflop: LoRA")),
]  # fmt: skip


def section(root: Path) -> Section:
    memory, work = of(root, "gib"), of(root, "gflop")
    rows = lines(root / "costs" / "records.jsonl", root)
    note = f"The longest text decides. {rows[0]['protocol']}." if rows else ""
    tables = [
        grid.table(title, found, {f"{unit}: {arm}": arm for arm in ARMS}, columns(found), note=note)
        for title, unit, found in (
            ("Ours, GiB of a compiled step", "gib", memory),
            ("Ours, GFLOP of a step, counted", "gflop", work),
        )
    ]
    return Section(
        "What LongLoRA saves (figure 1)",
        "How much memory and arithmetic does a step take? Hours and gigabytes of an accelerator are not measured here; "
        "memory is the compiler's account, arithmetic is counted.",
        judged([claim._replace(exact=True) for claim in CLAIMS], memory | work),
        [*tables, grid.printed("As printed", PAPER, SOURCE)],
    )
