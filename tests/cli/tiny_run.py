"""A swap experiment on a tiny model and a short text, called as the command line calls it."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from ropelab.cli import swap
from tests.models import tiny

TEXT = "".join(f"The {n}th line of this text says that {n} times {n} is {n * n}.\n" for n in range(1, 40))
ENCODINGS = 'PI(factor=2.0); RoPE(pairing="interleaved") + SlidingWindow(window=9); ALiBi'
ARMS = ["unchanged", "unchanged, chopped at 32", *ENCODINGS.split("; ")]
LENGTHS, WINDOWS = (16, 80), 2
OUTPUTS = (
    "records.csv",
    "records.jsonl",
    "records.protocols.json",
    "measurements.jsonl",
    "command.json",
    "figures",
    "per_token.npz",
    "receipts.json",
    "config.json",
    "report.md",
    *(f"{name}.{kind}" for name in ("perplexity", "difference") for kind in ("png", "pdf", "svg")),
)


def place(folder: Path) -> Path:
    """A model and a text to read."""
    tiny.write(folder / "model", tokenizer=True)
    (folder / "text.txt").write_text(TEXT)
    return folder


def arguments(folder: Path, workdir: Path, **changes: Any) -> list[str]:
    """The command line, without the program's name."""
    fields: dict[str, Any] = {
        "model": folder / "model",
        "text": folder / "text.txt",
        "encodings": ENCODINGS,
        "lengths": ",".join(map(str, LENGTHS)),
        "windows": WINDOWS,
        "edges": "16,32",
        "last": 8,
    }
    return [f"--workdir={workdir}", *(f"--config.{name}={value}" for name, value in (fields | changes).items())]


def run(argv: list[str]) -> int:
    """The exit code."""
    return swap.main(["swap", *argv])


def results(workdir: Path) -> list[dict[str, str]]:
    with (workdir / "records.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def numbers(workdir: Path) -> list[dict[str, str]]:
    """The results without what depends on the machine's mood."""
    return [row for row in results(workdir) if row["metric"] != "tokens_per_second"]


def per_token(workdir: Path) -> dict[str, np.ndarray]:
    with np.load(workdir / "per_token.npz") as archive:
        return dict(archive)
