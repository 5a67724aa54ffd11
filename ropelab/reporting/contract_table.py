"""Verdicts on encodings as tables: one encoding line by line, or all of them against all properties."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

Verdicts = Sequence[tuple[str, str, str]]  # property, result, words
Findings = Mapping[str, Verdicts]  # by the spec of the encoding

MARKS = {"pass": "✓", "FAIL": "✗", "n/a": "n/a"}
STYLES = {"pass": "green", "FAIL": "bold red", "n/a": "dim"}


def print_verdicts(encoding: str, verdicts: Verdicts, console: Console | None = None) -> None:
    """Every property of one encoding, and the first counterexample of each that fails below."""
    console = console or Console()
    console.print(Text(encoding, style="bold"), soft_wrap=True)
    table = Table("property", "verdict")
    for name, result, words in verdicts:
        table.add_row(name, Text(f"n/a: {words}" if result == "n/a" else result, style=STYLES[result]))
    console.print(table)
    print_counterexamples(encoding, verdicts, console)


def print_counterexamples(encoding: str, verdicts: Verdicts, console: Console) -> None:
    """What fails, in words."""
    failures = [(name, words) for name, result, words in verdicts if result == "FAIL"]
    for name, words in failures:
        console.print(Text(name, style="bold red"))
        console.print(Text(f"  {words}"), soft_wrap=True)
    said = sum(result != "n/a" for _, result, _ in verdicts)
    summary = f"{len(failures)} of {said} properties fail" if failures else f"all {said} properties hold"
    console.print(Text(f"{encoding}: {summary}"), soft_wrap=True)


def print_matrix(findings: Findings, console: Console | None = None) -> None:
    """Classes against properties, which are numbered and named below."""
    console = console or Console()
    rows = by_class(findings)
    properties = list(next(iter(rows.values())))
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("\nencoding", no_wrap=True)
    for n, _ in enumerate(properties, 1):
        table.add_column(f"{n // 10 or ' '}\n{n % 10}", no_wrap=True)  # 22 numbers side by side do not fit a terminal
    for name, row in rows.items():
        table.add_row(name, *(Text(MARKS[row[p]].replace("n/a", "·"), style=STYLES[row[p]]) for p in properties))
    console.print(table)
    for n, name in enumerate(properties, 1):
        console.print(Text(f"{n:>2}  {name}"))
    for encoding, verdicts in findings.items():
        if any(result == "FAIL" for _, result, _ in verdicts):
            print_counterexamples(encoding, verdicts, console)


def by_class(findings: Findings) -> dict[str, dict[str, str]]:
    """The results of each class over all its examples: failed by one is failed, and n/a is so for all of them."""
    worst = ("n/a", "pass", "FAIL")
    rows: dict[str, dict[str, str]] = {}
    for encoding, verdicts in findings.items():
        row = rows.setdefault(encoding.split("(")[0], {})
        for name, result, _ in verdicts:
            row[name] = max(row.get(name, result), result, key=worst.index)
    return rows


def markdown(findings: Findings, sentences: Mapping[str, str], *, made_by: str) -> str:
    """The matrix as a page.

    Args:
        sentences: what each property says, by its name.
        made_by: the command that writes the page, and what it ran on.
    """
    rows = by_class(findings)
    lines = [
        "# The contract, encoding by encoding",
        "",
        f"Written by {made_by}. ✓ holds, ✗ fails, n/a: has nothing to say about this encoding.",
        "",
        "| | " + " | ".join(str(n) for n, _ in enumerate(sentences, 1)) + " |",
        "|---|" + ":---:|" * len(sentences),
    ]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(MARKS[row[p]] for p in sentences) + " |")
    lines += ["", "## Properties", ""]
    lines += [f"{n}. `{name}`: {' '.join(sentence.split())}" for n, (name, sentence) in enumerate(sentences.items(), 1)]
    lines += ["", "## What was tried", "", *(f"- `{encoding}`" for encoding in findings), ""]
    return "\n".join(lines)
