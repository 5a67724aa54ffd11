"""Evaluate a model under encodings and patterns: perplexity, retrieval, RULER's tasks, attention resolution and more.

    python -m experiments.evaluate --model=smollm2 --encodings="YaRN(factor=2.0, original_length=8192)" \
        --evals="perplexity(tokens=16384), passkey, lines, ruler" --lengths=1024,2048,4096 --workdir=runs/evaluate

The unchanged model is always the first variant. Evaluations: perplexity, longppl, resolution, attention, heads,
passkey, lines, topics, ruler (or niah_single_1, niah_multikey_2, niah_multikey_3, vt, cwe, fwe), json_kv, kmax,
summaries, solved, and any task on symbols, with settings in parentheses: passkey(trials=4, depths=3, way="generation").
The same command resumes after an interruption. Written to the workdir: records.jsonl and .csv, report.md, heatmap and
heads .png and .pdf, receipts.json, settings.json. Exit code 0: done. 2: bad input.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

from ropelab.cli import launching
from ropelab.cli.variants import parse_variants
from ropelab.data.text import read_text
from ropelab.evaluation import runner
from ropelab.evaluation.effective_context import BASE_LENGTH, k_max, nolima_length, ruler_length, yarn_length
from ropelab.evaluation.evals import registry
from ropelab.evaluation.record import Record, aggregate
from ropelab.evaluation.store import Store, warn_of_0_1
from ropelab.evaluation.variants import UNCHANGED, Variant
from ropelab.lab import Lab, load, tokens_of
from ropelab.models.parameters import fingerprint
from ropelab.reporting import files
from ropelab.reporting.charts.heat_maps import draw_heads, draw_scores
from ropelab.reporting.charts.style import FORMATS, render
from ropelab.reporting.evaluation_section import effective_table
from ropelab.reporting.page_files import write_markdown
from ropelab.reporting.report import report
from ropelab.reporting.tables import distance_tables, evaluation_tables, print_table

HELP = {
    "model": "smollm2, a .gguf file, a Hugging Face directory or hub id, or the folder of a training.",
    "encodings": "Variants besides the unchanged model, separated by ;: an encoding, a pattern, or both joined by a "
    "plus, with an optional label: Log = mine.py:LogRoPE(window=128).",
    "patterns": "Patterns, separated by ;: every variant is measured under its own and under each of these.",
    "evals": "Evaluations, separated by commas, settings in parentheses.",
    "lengths": "Context lengths in tokens.",
    "text": "Text for perplexity and attention: python-reference, python-stdlib, a UTF-8 file or a folder.",
    "workdir": "Folder for everything that the command writes.",
    "dtype": "Type of parameters and computation.",
    "seed": "Seed of everything that is sampled.",
}
FIGURES = {"heatmap": draw_scores, "heads": draw_heads}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    texts = {"model": "smollm2", "encodings": "", "patterns": "", "evals": "perplexity", "text": "python-reference"}
    for name, default in (texts | {"workdir": None, "dtype": "float32"}).items():
        flags.DEFINE_string(name, default, HELP[name], flag_values=values)
    flags.DEFINE_list("lengths", ["1024", "2048", "4096"], HELP["lengths"], flag_values=values)
    flags.DEFINE_integer("seed", 0, HELP["seed"], 0, flag_values=values)
    launching.define_allow_nonfinite(values)
    launching.define_mesh_flags(values)
    return launching.run_with_flags(run, values, argv)


def run(values: flags.FlagValues, words: list[str], command: str) -> int:
    workdir = launching.workdir_of(values, words)
    evaluations = registry.parse(values.evals)
    parse_variants(values.encodings, values.patterns)  # bad input fails before the model is loaded
    lengths = launching.parse_lengths(values.lengths)
    text = read_text(values.text)
    launching.warn_if_slow(values.dtype)
    lab = load(values.model, dtype=values.dtype, mesh=launching.mesh_from_flags(values))
    labs = swapped(lab, parse_variants(values.encodings, values.patterns, lab.config.trained_length))
    text_T = tokens_of(lab, text.content) if lab.tokenizer else np.zeros(0, np.int32)
    weights = fingerprint(lab.params)
    settings = runner.RunSettings(
        *(lab.full_name, weights, lab.tokenizer, text.name, text.sha256, text_T, values.seed, values.dtype)
    )
    jobs = runner.make_jobs([Variant(name, one.model) for name, one in labs.items()], evaluations, lengths)
    runner.check_jobs(jobs, settings)
    store = Store(workdir / "measurements.jsonl")
    receipts = {name: dataclasses.asdict(one.receipt()) for name, one in labs.items()}
    files.write_json(
        workdir / "settings.json", {"command": command, "evals": {n: repr(e) for n, e in evaluations.items()}}
    )
    files.write_json(workdir / "receipts.json", receipts)
    records = measured(jobs, settings, store)
    draw(workdir, records)
    files.write_records(workdir / "records.jsonl", records)
    files.write_json(workdir / "effective.json", effective_contexts(records))
    write_markdown(report([workdir]), workdir / "report.md", workdir / "figures")
    for table in (*evaluation_tables(records), effective_table(workdir), *distance_tables(records)):
        if table.rows:
            print_table(table)
    print(warn_of_0_1(workdir), f"written to {workdir}: report.md, records.jsonl, receipts.json", sep="\n")
    return 0


def swapped(lab: Lab, wanted: dict[str, tuple[Any, Any]]) -> dict[str, Lab]:
    """Return the unchanged model and the variants.

    Raises:
        ValueError: for a variant that equals another one, or the unchanged model.
    """
    labs = {UNCHANGED: lab} | {name: lab.swap(encoding, pattern) for name, (encoding, pattern) in wanted.items()}
    seen: dict[Any, str] = {}
    for name, one in labs.items():
        other = seen.setdefault(one.model.wiring, name)
        if other != name:
            raise ValueError(f"the variants {other!r} and {name!r} are the same; leave one out")
    return labs


def measured(jobs: list[runner.Job], settings: runner.RunSettings, store: Store) -> list[Record]:
    """Measure all records, with a progress bar of trials."""
    with tqdm(total=sum(job.case.trials for job in jobs), unit="trial", dynamic_ncols=True) as bar:

        def begin(job: runner.Job) -> None:
            bar.set_description(f"{job.variant.name}: {job.name} @ {job.case.length}")

        return aggregate(runner.run_jobs(jobs, settings, store, begin=begin, advance=bar.update))


def draw(workdir: Path, records: list[Record]) -> None:
    """Draw the figures that have records."""
    for name, draw_figure in FIGURES.items():
        figure = draw_figure(records)
        if figure is not None:
            for kind in FORMATS:
                files.write(workdir / f"{name}.{kind}", render(figure, kind))


def effective_contexts(records: list[Record]) -> list[list[str]]:
    """Return the effective context of each variant for each family of questions, by four definitions."""
    scores = [record for record in records if record.depth is not None and record.metric == "score"]
    found = []
    for name in dict.fromkeys(record.evaluation for record in scores):
        for variant in dict.fromkeys(record.variant for record in records):
            own = [record for record in scores if (record.evaluation, record.variant) == (name, variant)]
            longest = max(record.length for record in own)
            by_distance = {record.distance: record.mean for record in own if record.length == longest}
            by_length = {one.length: one.value or 0.0 for one in aggregate(own, by=("length",))}
            short = min(by_length) <= BASE_LENGTH
            lengths = (
                yarn_length(by_length), ruler_length(by_length), nolima_length(by_length) if short else "–"
            )  # fmt: skip
            found.append([variant, name, f"{k_max(by_distance)} of {longest}", *map(str, lengths)])
    return found
