"""Swap the positional encoding inside a pretrained Llama and measure perplexity against position.

    python -m experiments.swap --config=configs/swap_smollm2.py --workdir=runs/swap \
        --config.encodings="PI(factor=2.0); YaRN(factor=2.0, original_length=8192)" --config.lengths=4096,12288

Variants are separated by semicolons. A label, as in "Log = mine.py:LogRoPE(window=128)", names a variant in all tables
and figures. The first variant is always the unchanged model, and, if a text is longer than its trained length, the
second is the unchanged model on text chopped at that length. Written to the workdir: records.jsonl and .csv,
per_token.npz, receipts.json, config.json, report.md, and as PNG, PDF and SVG the figures perplexity and difference, the
loss minus that of the unchanged model on chopped text. The same command resumes; a workdir with results under other
settings raises an error, unless --accept names the settings that may differ.
"""

import dataclasses
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

from ropelab import spec as specs
from ropelab.attention import registry
from ropelab.attention.exchanges import Exchange
from ropelab.cli import launching, workdirs
from ropelab.cli.figure_flags import define_figure_flags, figure_options
from ropelab.cli.launching import Config
from ropelab.cli.variants import label_variants, parse_variant
from ropelab.data.text import Text, read_text
from ropelab.evaluation.by_position import Losses, Pass, PositionSettings, make_records, measure, plan_passes
from ropelab.evaluation.memory import check_memory
from ropelab.evaluation.perplexity import split_documents
from ropelab.evaluation.store import Store, warn_of_0_1
from ropelab.evaluation.variants import Variant, make_baselines
from ropelab.lab import Lab, load, tokens_of
from ropelab.models.parameters import fingerprint
from ropelab.reporting import files
from ropelab.reporting.charts.lines import draw_chart
from ropelab.reporting.charts.perplexity import difference_chart, perplexity_chart
from ropelab.reporting.charts.style import FORMATS, FigureOptions, render, styles_of
from ropelab.reporting.page_files import write_markdown
from ropelab.reporting.report import report
from ropelab.reporting.swap_section import verdict
from ropelab.reporting.tables import position_tables, print_table

PART = 2048
FIGURES = ("perplexity", "difference")
OUTPUTS = (
    "records.jsonl", "records.csv", "records.protocols.json", "per_token.npz", "receipts.json", "command.json",
    "report.md", *(f"{n}.{kind}" for n in FIGURES for kind in FORMATS),
)  # fmt: skip


ACCEPT = "Settings that may differ from those of the workdir; finished measurements are kept."

DEFAULTS = {
    "model": "smollm2",
    "encodings": "PI(factor=2.0); NTK(alpha=2.0); DynamicNTK(factor=1.0, original_length=8192); "
    "YaRN(factor=2.0, original_length=8192)",
    "lengths": (4096, 12288),
    "windows": 1,
    "text": "python-reference",
    "edges": (1024, 2048, 4096, 8192, 12288, 16384, 32768, 65536),
    "last": 1024,
    "dtype": "float32",
    "kernel": "auto",
}
FIELDS = {
    "model": "smollm2, a .gguf file, a Hugging Face directory or hub id, or the folder of a training.",
    "encodings": "Variants, separated by ;: an encoding, a pattern, or both joined by a plus, with an optional label "
    "before an equals sign.",
    "lengths": "Tokens of each window.",
    "windows": "Number of windows of the longest length, from the beginning of the text.",
    "text": "python-reference, python-stdlib, a UTF-8 file or a folder.",
    "edges": "Positions that separate the bands of the table by position.",
    "last": "Tokens at the end of each length that get their own column.",
    "dtype": "Type of parameters and computation; bfloat16 is slow on a CPU.",
    "kernel": "Attention kernel.",
}


def run(
    config: Config,
    folder: Path,
    command: str,
    accept: Sequence[str] = (),
    options: FigureOptions | None = None,
) -> None:
    with workdirs.lock_workdir(folder, config.to_dict(), accept):
        measure_variants(config, folder, command, options)


def measure_variants(config: Config, workdir: Path, command: str, options: FigureOptions | None = None) -> None:
    asked = label_variants(specs.split_list(config.encodings, ";"))
    for spec in asked.values():
        parse_variant(spec)  # bad input fails before the model is loaded
    if isinstance(registry.parse(config.kernel), Exchange):
        raise ValueError(f"config.kernel={config.kernel!r} needs a mesh of devices; use auto, or swap in Python")
    text = read_text(config.text)
    launching.warn_if_slow(config.dtype)
    lab = load(config.model, dtype=config.dtype)
    settings = settings_of(config, lab, text)
    tokens = split_documents(tokens_of(lab, text.content), settings.stride, settings.windows)
    wanted = [(name, *parse_variant(spec, lab.config.trained_length)) for name, spec in asked.items()]
    labs = swapped(lab, wanted, config.kernel)
    variants = [
        *make_baselines(lab.swap(kernel=config.kernel).model, settings.stride),
        *(Variant(name, one.model) for name, one in labs.items()),
    ]
    for variant in variants:
        check_memory(variant.model.wiring, settings.stride, PART, config.dtype)
    receipts = {"unchanged": lab.swap(kernel=config.kernel).receipt()} | {n: one.receipt() for n, one in labs.items()}
    store = Store(workdir / "measurements.jsonl")  # a damaged one fails before anything is measured
    files.write_json(workdir / "config.json", config.to_dict())
    files.write_json(workdir / "command.json", {"command": command})
    measured = measured_with_progress(variants, tokens, settings, store)
    # everything that can raise runs before the first result is replaced
    records, figures = make_records(measured, settings), drawn(measured, settings, lab.config.trained_length, options)
    files.write_json(workdir / "receipts.json", {n: dataclasses.asdict(receipt) for n, receipt in receipts.items()})
    write_losses(workdir / "per_token.npz", measured, settings)
    files.write_records(workdir / "records.jsonl", records)
    for name, figure in figures.items():
        files.write(workdir / name, figure)
    write_markdown(report([workdir]), workdir / "report.md", workdir / "figures")
    for table in position_tables(records):
        print_table(table._replace(note=""), remark=" (lowest of each column in bold)")
    print(settings.protocol().line(), verdict(records), warn_of_0_1(workdir), sep="\n")
    print(f"written to {workdir}: {', '.join(name for name in OUTPUTS if (workdir / name).exists())}, config.json")


def swapped(lab: Lab, wanted: list[tuple[str, Any, Any]], kernel: str) -> dict[str, Lab]:
    """Return the requested variants by their names."""
    labs = {text: lab.swap(encoding, pattern, kernel) for text, encoding, pattern in wanted}
    wirings = [one.model.wiring for one in labs.values()]
    if len(set(wirings)) < len(wirings):
        raise ValueError("two variants are the same; leave one out")
    for text, one in labs.items():
        if one.model.wiring[:3] == lab.model.wiring[:3]:
            raise ValueError(f"the variant {text!r} is the unchanged model, which is always measured; leave it out")
    return labs


def settings_of(config: Config, lab: Lab, text: Text) -> PositionSettings:
    """Return what a configuration measures."""
    lengths = tuple(sorted(set(launching.integers_field(config, "lengths"))))
    if not lengths or lengths[0] < 2 or config.windows < 1 or config.last < 1:
        raise ValueError(f"config.lengths={lengths} must be at least 2, config.windows and config.last at least 1")
    return PositionSettings(
        model=lab.full_name,
        weights=fingerprint(lab.params),
        text=text.name,
        text_sha256=text.sha256,
        lengths=lengths,
        windows=config.windows,
        edges=launching.integers_field(config, "edges"),
        last=config.last,
        dtype=config.dtype,
        kernel=config.kernel,
        part=PART,
    )


def measured_with_progress(
    variants: list[Variant], tokens: np.ndarray, settings: PositionSettings, store: Store
) -> list[Losses]:
    """Call `measure` with a progress bar of tokens."""
    total = sum(one.length - 1 for one in plan_passes(variants, settings))
    with tqdm(total=total, unit="tok", dynamic_ncols=True, smoothing=0.05) as bar:

        def begin(one: Pass) -> None:
            bar.set_description(f"{one.variant.name} @ {one.length}")

        return measure(variants, tokens, settings, store, begin=begin, advance=bar.update)


def write_losses(path: Path, measured: list[Losses], settings: PositionSettings) -> None:
    """Write the loss of every token."""
    archive = io.BytesIO()
    per_token: dict[str, Any] = {f"{one.variant.name} @ {one.length}": one.nll for one in measured}
    np.savez_compressed(archive, protocol=np.array(settings.protocol().line()), **per_token)
    files.write(path, archive.getvalue())


def drawn(
    measured: list[Losses], settings: PositionSettings, trained_length: int, options: FigureOptions | None = None
) -> dict[str, bytes]:
    """Draw the figures at the longest length; return them by the names of their files."""
    nll = {one.variant.name: one.nll for one in measured if one.length == settings.stride}
    where = f"{settings.model} on {settings.text}, {settings.stride} tokens"
    more: dict[str, Any] = {"trained_length": trained_length, "note": settings.protocol().line()}
    charts = {
        "perplexity": perplexity_chart(nll, title=f"Perplexity of {where}", **more),
        "difference": difference_chart(nll, where=where, **more),
    }
    styles = styles_of(chart for chart in charts.values() if chart)
    figures = {name: draw_chart(chart, options, styles) for name, chart in charts.items() if chart}
    return {f"{name}.{kind}": render(figure, kind) for name, figure in figures.items() for kind in FORMATS}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    options = flags.FlagValues()
    flags.DEFINE_list("accept", [], ACCEPT, flag_values=options)
    define_figure_flags(options)
    launching.define_allow_nonfinite(options)
    experiment = partial(with_options, options=options)
    return launching.run_with_config(
        experiment, "configs/swap_smollm2.py", argv, options=options, defaults=DEFAULTS, words=FIELDS
    )


def with_options(config: Config, folder: Path, command: str, options: flags.FlagValues) -> None:
    run(config, folder, command, options.accept, figure_options(options))
