"""Swap the positional encoding inside a pretrained Llama and measure perplexity against position.

    python -m experiments.swap --config=configs/swap_smollm2.py --workdir=runs/swap \
        --config.encodings="PI(factor=2.0); YaRN(factor=2.0, original_length=8192)" --config.lengths=4096,12288

Variants are separated by semicolons; one with a label, "Log = mine.py:LogRoPE(window=128)", has it in all tables and
figures. The unchanged model is always the first variant, and where a text is longer than its trained length, the
unchanged model on text chopped at that length the second. Written to the workdir: results.csv, per_token.npz,
receipts.json, config.json, perplexity.png and .pdf, report.md. The same command resumes; a workdir that holds results
under other settings is refused, unless --accept names what may differ.
"""

import dataclasses
import io
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

from experiments import launch, workdirs
from experiments.launch import Config
from ropelab import attention
from ropelab import spec as specs
from ropelab.attention import registry
from ropelab.attention.exchanges import Exchange
from ropelab.attention.patterns import CLASSES
from ropelab.data.text import Text, read_text
from ropelab.encodings.user_module import parse_with_import
from ropelab.evaluation.memory import check_memory
from ropelab.evaluation.perplexity import split_documents
from ropelab.evaluation.protocol import Protocol
from ropelab.evaluation.study import Measured, Pass, measure, plan, records
from ropelab.evaluation.variants import UNCHANGED, Variant, make_baselines
from ropelab.lab import Lab, load, tokens_of
from ropelab.models.parameters import fingerprint
from ropelab.reporting import files
from ropelab.reporting.charts.perplexity import draw_perplexity, render
from ropelab.reporting.perplexity_table import print_tables
from ropelab.reporting.swap_report import swap_report, verdict

PART = 2048
ANY_LENGTH = 2**20  # in the place of a trained length that is not known yet
OUTPUTS = ("results.csv", "per_token.npz", "receipts.json", "perplexity.png", "perplexity.pdf", "report.md")


LABEL = re.compile(
    r"\s*(?P<label>[^=()/:]+?)\s*=\s*(?P<spec>[^=].*)", re.DOTALL
)  # a spec has no "=" before its bracket
ACCEPT = "Settings that may differ from those the workdir was begun with; measured passes are kept."

FIELDS = {
    "model": "smollm2, a .gguf file, a Hugging Face directory or hub id, or the folder of a training.",
    "encodings": "Variants, separated by ;: an encoding, a pattern, or both joined by a plus, with a label before it "
    "if wanted.",
    "lengths": "Tokens of each window.",
    "windows": "Windows of the longest length, the first ones of the text.",
    "text": "python-reference, python-stdlib, a UTF-8 file or a folder.",
    "edges": "Positions at which the bands of the table by position begin and end.",
    "last": "Tokens at the end of each length that have a column of their own.",
    "dtype": "Of the parameters and the computation; bfloat16 is slow on a CPU.",
    "kernel": "Of attention.",
}


def main(config: Config, folder: Path, command: str, accept: Sequence[str] = ()) -> None:
    with workdirs.lock_workdir(folder, config.to_dict(), accept):
        measure_variants(config, folder, command)


def measure_variants(config: Config, workdir: Path, command: str) -> None:
    asked = labelled(specs.split_list(config.encodings, ";"))
    for spec in asked.values():
        parse_arm(spec)  # bad input is answered before the model is loaded
    if isinstance(registry.parse(config.kernel), Exchange):
        raise ValueError(f"config.kernel={config.kernel!r} needs a mesh of devices; use auto, or swap in Python")
    text = read_text(config.text)
    launch.warn_if_slow(config.dtype)
    lab = load(config.model, dtype=config.dtype)
    protocol = protocol_of(config, lab, text)
    tokens = split_documents(tokens_of(lab, text.content), protocol.stride, protocol.windows)
    wanted = [(name, *parse_arm(spec, lab.config.trained_length)) for name, spec in asked.items()]
    labs = swapped(lab, wanted, config.kernel)
    arms = [
        *make_baselines(lab.swap(kernel=config.kernel).model, protocol.stride),
        *(Variant(name, one.model) for name, one in labs.items()),
    ]
    for arm in arms:
        check_memory(arm.model.wiring, protocol.stride, PART, config.dtype)
    receipts = {"unchanged": lab.swap(kernel=config.kernel).receipt()} | {n: one.receipt() for n, one in labs.items()}
    files.write_json(workdir / "config.json", config.to_dict())
    measured = measured_with_progress(arms, tokens, protocol, workdir / "measurements")
    # everything that can raise comes before the first result is replaced
    rows, figures = records(measured, protocol), drawn(measured, protocol, lab.config.trained_length)
    facts = {name: dataclasses.asdict(receipt) for name, receipt in receipts.items()}
    page = swap_report(rows, facts, protocol=protocol.line(), command=command)
    files.write_json(workdir / "receipts.json", facts)
    write_data(workdir, measured, protocol)
    for kind, figure in figures.items():
        files.write(workdir / f"perplexity.{kind}", figure)
    files.write(workdir / "report.md", page)
    print_tables(rows, protocol.line())
    print(verdict(rows))
    print(f"written to {workdir}: {', '.join(OUTPUTS)}, config.json")


def labelled(texts: Sequence[str]) -> dict[str, str]:
    """The spec of each variant by its name: the label before an equals sign, or the spec itself.

    Raises:
        ValueError: for a name that two variants have, or a label that is the unchanged model's.
    """
    found: dict[str, str] = {}
    for text in texts:
        match = LABEL.fullmatch(text)
        name, spec = (match["label"], match["spec"]) if match else (text, text)
        if name.startswith(UNCHANGED):
            raise ValueError(f"the label {name!r} is that of the model as it is; take another")
        if name in found:
            raise ValueError(f"two arms are the same, or have the label {name!r}; leave one out, or name them apart")
        found[name] = spec
    return found


def parse_arm(text: str, trained_length: int = ANY_LENGTH) -> tuple[Any, Any]:
    """An encoding, a pattern, or both joined by a plus: `NTK(alpha=2.0) + SlidingWindow(window=4096)`.

    An encoding of a user's own is written with its file: `my_encoding.py:Mine(a=1)`.

    Args:
        trained_length: the `original_length` of an encoding that leaves it out; 0 if the checkpoint does not say.
    """
    inherited = {"original_length": trained_length} if trained_length else {}
    parts = specs.split_list(text, "+")
    known = set(CLASSES)
    seen = [attention.parse(part) for part in parts if part.split("(")[0].strip() in known]
    encoded = [parse_with_import(part, inherited) for part in parts if part.split("(")[0].strip() not in known]
    if len(seen) > 1 or len(encoded) > 1:
        raise ValueError(f"the arm {text!r} has more than one encoding or more than one pattern; separate arms by ;")
    return next(iter(encoded), None), next(iter(seen), None)


def swapped(lab: Lab, wanted: list[tuple[str, Any, Any]], kernel: str) -> dict[str, Lab]:
    """The arms that were asked for, by the text that asked."""
    labs = {text: lab.swap(encoding, pattern, kernel) for text, encoding, pattern in wanted}
    wirings = [one.model.wiring for one in labs.values()]
    if len(set(wirings)) < len(wirings):
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
        model=lab.full_name,
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


def measured_with_progress(arms: list[Variant], tokens: np.ndarray, protocol: Protocol, folder: Path) -> list[Measured]:
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


def drawn(measured: list[Measured], protocol: Protocol, trained_length: int) -> dict[str, bytes]:
    """Perplexity against position at the longest length, by kind of file."""
    figure = draw_perplexity(
        {one.arm.name: one.nll for one in measured if one.length == protocol.stride},
        trained_length=trained_length,
        title=f"{protocol.model} on {protocol.text}, {protocol.stride} tokens",
        protocol=protocol.line(),
    )
    return {kind: render(figure, kind) for kind in ("png", "pdf")}


def run(argv: Sequence[str] | None = None) -> int:
    """The exit code of a command line."""
    options = flags.FlagValues()
    flags.DEFINE_list("accept", [], ACCEPT, flag_values=options)
    launch.define_allow_nonfinite(options)
    experiment = partial(with_options, options=options)
    return launch.run(experiment, "configs/swap_smollm2.py", argv, options=options, words=FIELDS)


def with_options(config: Config, folder: Path, command: str, options: flags.FlagValues) -> None:
    main(config, folder, command, options.accept)


if __name__ == "__main__":
    sys.exit(run())
