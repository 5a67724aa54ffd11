"""LongLoRA (arXiv 2309.12307): its table 2, and memory and arithmetic of figure 1."""

import math
from pathlib import Path

from experiments.papers.extension.readings import read_extended
from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, One, below, judged
from ropelab.reporting.numbers import log_ratio
from ropelab.reporting.page import Section
from ropelab.reporting.readings import Column, Readings, columns, read
from ropelab.reporting.run_files import read_records

_PERPLEXITY_PRINTED = """
Llama-2-7B to 32768, PG-19 | perplexity
full fine-tuning | 8.08
LoRA, rank 8 to 256 | 11.4 to 12.0
LoRA, norms and embeddings | 8.12
"""
_PERPLEXITY_SOURCE = "Chen et al., arXiv 2309.12307, table 2, measured under full attention."
_PERPLEXITY_ARMS = {
    "base": "unchanged",
    "pi4": "full fine-tuning",
    "lora4": "LoRA",
    "norms4": "LoRA, norms",
    "embedding4": "LoRA, embeddings",
    "plus4": "LoRA, norms and embeddings",
    "longlora4": "LongLoRA: that, in shifted groups",
    "shifted4": "all parameters, in shifted groups",
    "short4": "all parameters, in groups",
}


def _perplexity_claims(target: int) -> list[Claim]:
    def gap(one: One, arm: str) -> float:
        return log_ratio(one(arm, target), one("pi4", target))

    return [
        Claim("LoRA alone stays above full fine-tuning", below(("pi4", target), ("lora4", target))),
        Claim("with norms and embeddings the gap to full fine-tuning is smaller",
              lambda one: gap(one, "lora4") - gap(one, "plus4")),
        Claim("with norms and embeddings it is within 3 % of full fine-tuning",
              below(("plus4", target), ("pi4", target), times=1 / 1.03)),
        Claim("all parameters trained in shifted groups are within 3 % of those trained under full attention",
              lambda one: math.log(1.03) - abs(gap(one, "shifted4"))),
        Claim("LongLoRA is within 3 % of the same adapters under full attention",
              lambda one: math.log(1.03) - abs(gap(one, "longlora4") - gap(one, "plus4"))),
        Claim("groups that are not shifted are worse than shifted ones",
              below(("shifted4", target), ("short4", target))),
    ]  # fmt: skip


def perplexity_section(root: Path) -> Section:
    found = read_extended(root)
    target, values = 4 * found.trained, found.last()
    wanted = [found.trained, 2 * found.trained, target]
    return Section(
        "LoRA for longer texts (LongLoRA, table 2)",
        "How near does LoRA come to full fine-tuning, and what do shifted groups cost?",
        judged(_perplexity_claims(target), values),
        [
            grid.table(
                "Ours", values, _PERPLEXITY_ARMS, wanted, note=f"Rank 8, alpha 16, under PI(factor=4). {found.note()}"
            ),
            grid.printed("As printed", _PERPLEXITY_PRINTED, _PERPLEXITY_SOURCE),
        ],
    )


# Figure 1 of LongLoRA: memory and arithmetic of full fine-tuning, LoRA and LongLoRA.

_COSTS_PRINTED = """
Llama-2-7B, 8 A100 | hours, LoRA | hours, LongLoRA | GB, LoRA | GB, LongLoRA
65536 | 92.5 | 52.4 | 71.1 | 69.8
"""
_COSTS_SOURCE = "Chen et al., arXiv 2309.12307, figure 1 and its table: full fine-tuning is out of memory at 65536."
_COSTS_ARMS = ("full fine-tuning", "LoRA", "LongLoRA")


def _read_costs(root: Path, name: str) -> Readings:
    records = read_records(root / "costs" / "records.jsonl", root)
    return read((r for r in records if r.metric == name), variant=lambda record: f"{name}: {record.variant}")


def _longest(one: One, arm: str) -> Column:
    return one.columns(arm)[-1]


def _order(low: str, high: str, times: float = 1.0):
    return lambda one: below((low, _longest(one, low)), (high, _longest(one, high)), times=times)(one)


_COSTS_CLAIMS = [
    Claim("LoRA takes less memory than full fine-tuning", _order("gib: LoRA", "gib: full fine-tuning")),
    Claim("LongLoRA takes at most a tenth more memory than LoRA", _order("gib: LongLoRA", "gib: LoRA", 1 / 1.1)),
    Claim("LoRA is less arithmetic than full fine-tuning", _order("gflop: LoRA", "gflop: full fine-tuning")),
    Claim("LongLoRA is less arithmetic than LoRA", _order("gflop: LongLoRA", "gflop: LoRA")),
]  # fmt: skip


def costs_section(root: Path) -> Section:
    memory, work = _read_costs(root, "gib"), _read_costs(root, "gflop")
    rows = read_records(root / "costs" / "records.jsonl", root)
    note = f"The longest text decides. {rows[0].protocol.line()}." if rows else ""
    tables = [
        grid.table(title, found, {f"{unit}: {arm}": arm for arm in _COSTS_ARMS}, columns(found), note=note)
        for title, unit, found in (
            ("Ours, GiB of a compiled step", "gib", memory),
            ("Ours, GFLOP of a step, counted", "gflop", work),
        )
    ]
    return Section(
        "What LongLoRA saves (figure 1)",
        "How much memory and arithmetic does a step take? Hours and gigabytes of an accelerator are not measured here; "
        "memory is the compiler's account, arithmetic is counted.",
        judged([claim._replace(exact=True) for claim in _COSTS_CLAIMS], memory | work),
        [*tables, grid.printed("As printed", _COSTS_PRINTED, _COSTS_SOURCE)],
    )


TABLES = {"longlora": perplexity_section, "longlora_costs": costs_section}
