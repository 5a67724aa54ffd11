"""Every encoding inside one pretrained model: the receipt, the perplexity of a short text, and a few generated words.

    python -m experiments.papers.catalogue.table --workdir=runs/catalogue

An encoding that cannot be applied, or that changes nothing where it should, stops the run with exit code 2. Written to
the workdir as it goes: receipts.json, results.csv, report.md, config.json. Nothing is trained: a bias or a table that
the model has never seen is expected to hurt.
"""

import dataclasses
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ropelab import spec as specs
from ropelab.cli import launching
from ropelab.cli.launching import Config
from ropelab.data.text import read_text
from ropelab.evaluation.perplexity import split_documents
from ropelab.evaluation.store import describe_versions
from ropelab.lab import Lab, load, tokens_of
from ropelab.models.parameters import fingerprint
from ropelab.reporting import files

DEFAULTS = {
    "model": "smollm2",
    "encodings": "RoPE()",
    "length": 512,
    "text": "python-reference",
    "prompt": "The capital of France is",
    "max_new_tokens": 12,
    "dtype": "float32",
    "kernel": "auto",
}
FIELDS = {
    "model": "smollm2, a .gguf file, a Hugging Face directory or hub id, or the folder of a training.",
    "encodings": "Separated by ;.",
    "length": "Tokens of the text that are scored.",
    "text": "python-reference, python-stdlib, a UTF-8 file or a folder.",
    "prompt": "Text that each model continues.",
    "max_new_tokens": "Tokens that it adds at most.",
    "dtype": "Type of parameters and computation; bfloat16 is slow on a CPU.",
    "kernel": "Attention kernel.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    return launching.run_with_config(
        run, "experiments/papers/catalogue/config.py", argv, defaults=DEFAULTS, words=FIELDS
    )


def run(config: Config, workdir: Path, command: str) -> None:
    launching.warn_if_slow(config.dtype)
    text, lab = read_text(config.text), load(config.model, dtype=config.dtype)
    tokens_1T = split_documents(tokens_of(lab, text.content), config.length, 1)
    wanted = specs.split_list(config.encodings, ";")
    labs = {spec: lab.swap(spec, kernel=config.kernel) for spec in wanted}
    files.write_json(workdir / "config.json", config.to_dict())
    protocol = (
        f"model {lab.full_name} (weights {fingerprint(lab.params)}); text {text.name} (sha256 {text.sha256[:12]}), "
        f"first {config.length} tokens, BOS none added; greedy from {config.prompt!r}; {config.dtype}; "
        f"{describe_versions()}"
    )
    rows, receipts = [], {}
    for spec, one in tqdm(labs.items(), unit="encoding", dynamic_ncols=True):
        row, receipts[spec] = measured(spec, one, tokens_1T, config)
        rows.append(row | {"protocol": protocol})
        files.write_json(workdir / "receipts.json", receipts)
        files.write_csv(workdir / "results.csv", rows)
    files.write(workdir / "report.md", report(rows, protocol, command))
    print(report(rows, protocol, command))


def measured(spec: str, lab: Lab, tokens_1T: np.ndarray, config: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    """One row of the table, and the receipt."""
    receipt = lab.receipt()
    nll = float(np.mean(lab.nll(tokens_1T)))
    written = lab.generate(config.prompt, max_new_tokens=config.max_new_tokens)
    row = {
        "encoding": spec,
        "perplexity": round(math.exp(min(nll, 50.0)), 2),
        "largest_logit_difference": round(receipt.max_logit_difference, 3),
        "statement": receipt.statement,
        "cache": receipt.cache,
        "text": written,
    }
    return row, dataclasses.asdict(receipt)


def report(rows: list[dict[str, Any]], protocol: str, command: str) -> str:
    """The table in Markdown."""
    lines = ["| encoding | perplexity | largest logit difference | it writes |", "|---|---:|---:|---|"]
    for row in rows:
        shown = row["encoding"] if len(row["encoding"]) <= 80 else row["encoding"][:77] + "..."
        text = row["text"].replace("|", "\\|").replace("\n", " ").strip()
        lines.append(f"| `{shown}` | {row['perplexity']} | {row['largest_logit_difference']} | {text} |")
    return "\n".join(["# Every encoding inside one model", "", *lines, "", protocol, "", f"    {command}", ""])


if __name__ == "__main__":
    sys.exit(main())
