"""Table 2 of LongLoRA: LoRA, with norms and embeddings as well, in shifted groups, beside full fine-tuning."""

import math
from pathlib import Path

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, One, below, judged
from ropelab.reporting.numbers import log_ratio
from ropelab.reporting.page import Section
from ropelab.reporting.studies.extended import extended

PAPER = """
Llama-2-7B to 32768, PG-19 | perplexity
full fine-tuning | 8.08
LoRA, rank 8 to 256 | 11.4 to 12.0
LoRA, norms and embeddings | 8.12
"""
SOURCE = "Chen et al., arXiv 2309.12307, table 2, measured under full attention."
ARMS = {
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


def claims(target: int) -> list[Claim]:
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


def section(root: Path) -> Section:
    found = extended(root)
    target, values = 4 * found.trained, found.last()
    wanted = [found.trained, 2 * found.trained, target]
    return Section(
        "LoRA for longer texts (LongLoRA, table 2)",
        "How near does LoRA come to full fine-tuning, and what do shifted groups cost?",
        judged(claims(target), values),
        [
            grid.table("Ours", values, ARMS, wanted, note=f"Rank 8, alpha 16, under PI(factor=4). {found.note()}"),
            grid.printed("As printed", PAPER, SOURCE),
        ],
    )
