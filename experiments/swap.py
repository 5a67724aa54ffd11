"""Swap the positional encoding inside a pretrained Llama and measure perplexity against position.

    python -m experiments.swap --config=configs/swap_smollm2.py --workdir=runs/swap \
        --config.encodings="PI(factor=2.0); YaRN(factor=2.0, original_length=8192)" --config.lengths=4096,12288

The unchanged model is always the first arm, the unchanged model on text chopped at its trained length the second.
Written to the workdir: results.csv, per_token.npz, receipts.json, config.json, perplexity.png and .pdf, report.md.
"""

import dataclasses
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from experiments import launch
from experiments.launch import Config
from ropelab import attention
from ropelab.attention.patterns import CLASSES
from ropelab.data.text import Text, read_text
from ropelab.encodings import specs
from ropelab.encodings.outside import parse_from
from ropelab.evaluation.arms import Arm, baselines
from ropelab.evaluation.memory import check_memory
from ropelab.evaluation.perplexity import documents
from ropelab.evaluation.protocol import Protocol
from ropelab.evaluation.study import Measured, Pass, measure, plan, records
from ropelab.lab import Lab, load, tokens_of
from ropelab.models.parameters import fingerprint
from ropelab.reporting import files
from ropelab.reporting.perplexity_figure import image, perplexity_figure
from ropelab.reporting.perplexity_table import print_tables
from ropelab.reporting.swap_report import swap_report, verdict

PART = 2048
OUTPUTS = ("results.csv", "per_token.npz", "receipts.json", "perplexity.png", "perplexity.pdf", "report.md")


def main(config: Config, workdir: Path, command: str) -> None:
    wanted = [(text, *parse_arm(text)) for text in specs.split(config.encodings, ";")]
    text = read_text(config.text)
    lab = load(config.model, dtype=config.dtype)
    protocol = protocol_of(config, lab, text)
    tokens = documents(tokens_of(lab, text.content), protocol.stride, protocol.windows)
    labs = swapped(lab, wanted, config.kernel)
    arms = [*baselines(lab.swap(kernel=config.kernel).model), *(Arm(name, one.model) for name, one in labs.items())]
    for arm in arms:
        check_memory(arm.model.wiring, protocol.stride, PART, config.dtype)
    receipts = {"unchanged": lab.swap(kernel=config.kernel).receipt()} | {n: one.receipt() for n, one in labs.items()}
    for name in OUTPUTS:
        (workdir / name).unlink(missing_ok=True)
    files.write_json(workdir / "config.json", config.to_dict())
    files.write_json(workdir / "receipts.json", {name: dataclasses.asdict(r) for name, r in receipts.items()})
    measured = measured_with_progress(arms, tokens, protocol, workdir / "measurements")
    write_data(workdir, measured, protocol)
    write_figure(workdir, measured, protocol, lab.config.trained_length)
    rows = records(measured, protocol)
    facts = {name: dataclasses.asdict(receipt) for name, receipt in receipts.items()}
    files.write(workdir / "report.md", swap_report(rows, facts, protocol=protocol.line(), command=command))
    print_tables(rows, protocol.line())
    print(verdict(rows))
    print(f"written to {workdir}: {', '.join(OUTPUTS)}, config.json")


def parse_arm(text: str) -> tuple[Any, Any]:
    """An encoding, a pattern, or both joined by a plus: `NTK(alpha=2.0) + SlidingWindow(window=4096)`.

    An encoding of a user's own is written with its file: `my_encoding.py:Mine(a=1)`.
    """
    parts = specs.split(text, "+")
    known = set(CLASSES)
    seen = [attention.parse(part) for part in parts if part.split("(")[0].strip() in known]
    encoded = [parse_from(part) for part in parts if part.split("(")[0].strip() not in known]
    if len(seen) > 1 or len(encoded) > 1:
        raise ValueError(f"the arm {text!r} has more than one encoding or more than one pattern; separate arms by ;")
    return next(iter(encoded), None), next(iter(seen), None)


def swapped(lab: Lab, wanted: list[tuple[str, Any, Any]], kernel: str) -> dict[str, Lab]:
    """The arms that were asked for, by the text that asked."""
    labs = {text: lab.swap(encoding, pattern, kernel) for text, encoding, pattern in wanted}
    wirings = [one.model.wiring for one in labs.values()]
    if len(labs) < len(wanted) or len(set(wirings)) < len(wirings):
        raise ValueError("two arms are the same; leave one out")
    for text, one in labs.items():
        if one.model.wiring[:3] == lab.model.wiring[:3]:
            raise ValueError(f"the arm {text!r} is the unchanged model, which is always measured; leave it out")
    return labs


def protocol_of(config: Config, lab: Lab, text: Text) -> Protocol:
    """The protocol that a configuration asks for."""
    lengths = tuple(sorted(set(launch.integers(config, "lengths"))))
    if not lengths or lengths[0] < 2 or config.windows < 1 or config.last < 1:
        raise ValueError(f"config.lengths={lengths} must be at least 2, config.windows and config.last at least 1")
    return Protocol(
        model=lab.name,
        weights=fingerprint(lab.params),
        text=text.name,
        text_sha256=text.sha256,
        lengths=lengths,
        windows=config.windows,
        edges=launch.integers(config, "edges"),
        last=config.last,
        dtype=config.dtype,
        kernel=config.kernel,
        part=PART,
    )


def measured_with_progress(arms: list[Arm], tokens: np.ndarray, protocol: Protocol, folder: Path) -> list[Measured]:
    """`measure` under a bar that counts tokens."""
    total = sum(one.length - 1 for one in plan(arms, protocol))
    with tqdm(total=total, unit="tok", dynamic_ncols=True, smoothing=0.05) as bar:

        def begin(one: Pass) -> None:
            bar.set_description(f"{one.arm.name} @ {one.length}")

        return measure(arms, tokens, protocol, folder, begin=begin, advance=bar.update)


def write_data(workdir: Path, measured: list[Measured], protocol: Protocol) -> None:
    """All records, and the values of every token."""
    files.write_csv(workdir / "results.csv", records(measured, protocol))
    archive = io.BytesIO()
    per_token: dict[str, Any] = {f"{one.arm.name} @ {one.length}": one.nll for one in measured}
    np.savez_compressed(archive, protocol=np.array(protocol.line()), **per_token)
    files.write(workdir / "per_token.npz", archive.getvalue())


def write_figure(workdir: Path, measured: list[Measured], protocol: Protocol, trained_length: int) -> None:
    """Perplexity against position at the longest length."""
    figure = perplexity_figure(
        {one.arm.name: one.nll for one in measured if one.length == protocol.stride},
        trained_length=trained_length,
        title=f"{protocol.model} on {protocol.text}, {protocol.stride} tokens",
        protocol=protocol.line(),
    )
    for kind in ("png", "pdf"):
        files.write(workdir / f"perplexity.{kind}", image(figure, kind))


if __name__ == "__main__":
    sys.exit(launch.run(main, "configs/swap_smollm2.py"))
