"""The page of a swap experiment: verdict, table, figure, receipts, protocol, and how to get it again."""

from collections.abc import Mapping, Sequence
from typing import Any

from ropelab.reporting.page_markdown import inline, prose
from ropelab.reporting.perplexity_table import Record, by_band, by_length, is_chopped, markdown, number

RECEIPT_COLUMNS = (
    "encoding", "inv_freq_first", "inv_freq_last", "inv_freq_hash", "amplitude", "dimensions_beyond_trained_length",
    "max_logit_difference", "first_position",
)  # fmt: skip


def verdict(records: Sequence[Record]) -> str:
    """Which arms are below the two baselines at the longest length, by the mean NLL of all its tokens."""
    longest = max((int(r["length"]) for r in records), default=0)
    nll = {r["arm"]: float(r["nll"]) for r in records if int(r["length"]) == longest and r["band"] == "all"}
    if not nll:
        return ""
    unchanged, *others = nll
    chopped = next((arm for arm in others if is_chopped(arm)), None)
    swapped = [arm for arm in others if arm != chopped]
    lines = [f"At {longest} tokens the unchanged model has a mean NLL of {nll[unchanged]:.4f}."]
    if not swapped:
        return lines[0]
    below = [arm for arm in swapped if nll[arm] < nll[unchanged]]
    lines.append(f"Below it: {listed(below, nll)}.")
    if chopped is not None:
        below = [arm for arm in swapped if nll[arm] < nll[chopped]]
        lines.append(f"Below the unchanged model on chopped text ({nll[chopped]:.4f}): {listed(below, nll)}.")
    return " ".join(lines)


def listed(arms: Sequence[str], nll: Mapping[str, float]) -> str:
    return ", ".join(f"{arm} ({nll[arm]:.4f})" for arm in arms) if arms else "none"


def receipt_table(receipts: Mapping[str, Mapping[str, Any]]) -> str:
    """The receipts side by side; their statements below."""
    head = ("arm", *RECEIPT_COLUMNS)
    lines = ["| " + " | ".join(name.replace("_", " ") for name in head) + " |", "|---|" + "---|" * len(RECEIPT_COLUMNS)]
    for arm, receipt in receipts.items():
        values = (inline(shown(receipt[name])) for name in RECEIPT_COLUMNS)
        lines.append(f"| {inline(arm)} | " + " | ".join(values) + " |")
    statements = [f"- **{inline(arm)}**: {inline(receipt['statement'])}." for arm, receipt in receipts.items()]
    return "\n".join([*lines, "", *statements])


def shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def by_position(records: Sequence[Record]) -> list[str]:
    """The table of bands, if there is more than one band."""
    shown = by_band(records)
    longest = max(int(r["length"]) for r in records)
    return [f"Perplexity by position, {longest} tokens.", markdown(records, shown)] if shown else []


def swap_report(
    records: Sequence[Record], receipts: Mapping[str, Mapping[str, Any]], *, protocol: str, command: str
) -> str:
    """report.md."""
    speeds = {r["arm"]: number(float(r["tokens_per_second"])) for r in records}
    speed = ", ".join(f"{arm} {value}" for arm, value in speeds.items())
    return (
        "\n\n".join(
            [
                "# Perplexity under swapped positional encodings",
                prose(verdict(records)),
                "Perplexity by length, and over the last tokens of each; lowest of each column in bold.",
                markdown(records, by_length(records)),
                *by_position(records),
                "![Perplexity against position](perplexity.png)",
                "![Loss minus that of the unchanged model on chopped text](difference.png)" if len(speeds) > 1 else "",
                "## What was applied",
                receipt_table(receipts),
                "## Protocol",
                prose(protocol),
                prose(f"Tokens per second, compilation included: {speed}."),
                "## Again",
                f"```\n{command}\n```\n\nPer-token values are in `per_token.npz`, all records in `results.csv`.",
            ]
        )
        + "\n"
    )
