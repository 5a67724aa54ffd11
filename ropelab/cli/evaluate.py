"""Evaluate a model under encodings and patterns: perplexity, retrieval, RULER's tasks, attention resolution and more.

    python -m experiments.evaluate --model=smollm2 --encodings="YaRN(factor=2.0, original_length=8192)" \
        --evals="perplexity(tokens=16384), passkey, lines, ruler" --lengths=1024,2048,4096 --workdir=runs/evaluate

The unchanged model is always the first arm. Evaluations: perplexity, longppl, resolution, attention, heads, passkey,
lines, topics, ruler (or niah_single_1, niah_multikey_2, niah_multikey_3, vt, cwe, fwe), json_kv, kmax, summaries,
solved, and any task on symbols; their settings in brackets: passkey(trials=4, depths=3, way="generation"). Interrupt it
and run the same command again: what was measured is not measured again. Written to the workdir: records.jsonl and .csv,
report.md, heatmap and heads .png and .pdf, receipts.json, settings.json. Exit code 0: done. 2: bad input.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

from experiments import devices, launch
from experiments.swap import ANY_LENGTH, labelled, parse_arm
from ropelab import attention, spec
from ropelab.data.text import read_text
from ropelab.evaluation import runner
from ropelab.evaluation.effective_context import BASE_LENGTH, k_max, nolima_length, ruler_length, yarn_length
from ropelab.evaluation.evals import registry
from ropelab.evaluation.evals.base import merged
from ropelab.evaluation.variants import UNCHANGED, Variant
from ropelab.lab import Lab, load, tokens_of
from ropelab.models.parameters import fingerprint
from ropelab.reporting import files
from ropelab.reporting.charts.heat_maps import draw_heads, draw_scores
from ropelab.reporting.charts.perplexity import render
from ropelab.reporting.distance_table import distance, distance_sections
from ropelab.reporting.evaluation_report import effective_table, evaluation_report
from ropelab.reporting.evaluation_table import by_length, print_tables

HELP = {
    "model": "smollm2, a .gguf file, a Hugging Face directory or hub id, or the folder of a training.",
    "encodings": "Variants besides the unchanged model, separated by ;: an encoding, a pattern, or both joined by a "
    "plus, each with a label before it if wanted: Log = mine.py:LogRoPE(window=128).",
    "patterns": "Patterns, separated by ;: every arm is measured under its own and under each of these.",
    "evals": "Evaluations, separated by commas, settings in brackets.",
    "lengths": "Tokens of context.",
    "text": "Text for perplexity and attention: python-reference, python-stdlib, a UTF-8 file or a folder.",
    "workdir": "Folder for everything the run writes.",
    "dtype": "Of the parameters and the computation.",
    "seed": "Of everything drawn.",
}
FIGURES = {"heatmap": draw_scores, "heads": draw_heads}
TITLES = {"heatmap": "By depth and length", "heads": "Every head"}


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; `argv` has the program's name first."""
    values = flags.FlagValues()
    texts = {"model": "smollm2", "encodings": "", "patterns": "", "evals": "perplexity", "text": "python-reference"}
    for name, default in (texts | {"workdir": None, "dtype": "float32"}).items():
        flags.DEFINE_string(name, default, HELP[name], flag_values=values)
    flags.DEFINE_list("lengths", ["1024", "2048", "4096"], HELP["lengths"], flag_values=values)
    flags.DEFINE_integer("seed", 0, HELP["seed"], 0, flag_values=values)
    launch.define_allow_nonfinite(values)
    devices.define(values)
    return launch.answer(act, values, argv)


def act(values: flags.FlagValues, words: list[str], command: str) -> int:
    launch.no_words(words, "settings are given as --name=value")
    if not values.workdir:
        raise ValueError("--workdir is missing; name a folder for everything the run writes")
    workdir = Path(values.workdir).expanduser()
    evaluations = registry.parse(values.evals)
    arms_asked_for(values.encodings, values.patterns)  # bad input is answered before the model is loaded
    lengths = launch.lengths(values.lengths)
    text = read_text(values.text)
    launch.warn_if_slow(values.dtype)
    lab = load(values.model, dtype=values.dtype, mesh=devices.mesh_of(values))
    labs = swapped(lab, arms_asked_for(values.encodings, values.patterns, lab.config.trained_length))
    text_T = tokens_of(lab, text.content) if lab.tokenizer else np.zeros(0, np.int32)
    weights = fingerprint(lab.params)
    setting = runner.RunSettings(
        *(lab.full_name, weights, lab.tokenizer, text.name, text.sha256, text_T, values.seed, values.dtype)
    )
    work = runner.make_jobs([Variant(name, one.model) for name, one in labs.items()], evaluations, lengths)
    runner.check_jobs(work, setting)
    receipts = {name: dataclasses.asdict(one.receipt()) for name, one in labs.items()}
    files.write_json(
        workdir / "settings.json", {"command": command, "evals": {n: repr(e) for n, e in evaluations.items()}}
    )
    files.write_json(workdir / "receipts.json", receipts)
    records = measured(work, setting, workdir / "measurements")
    totals = merged(records, over_depths=True)
    grids, lengths_used = distance_sections(records), effective(records, totals)
    titles = drawn(workdir, records)
    files.write_jsonl(workdir / "records.jsonl", records)
    files.write_csv(workdir / "records.csv", records)
    files.write_json(workdir / "effective.json", lengths_used)
    page = evaluation_report(totals, grids, receipts, lengths_used, command, titles)
    files.write(workdir / "report.md", page)
    print_tables(totals)
    print(*effective_table(lengths_used), *grids, sep="\n\n", end="\n\n")
    print(f"written to {workdir}: report.md, records.jsonl, receipts.json")
    return 0


def arms_asked_for(encodings: str, patterns: str, trained_length: int = ANY_LENGTH) -> dict[str, tuple[Any, Any]]:
    """Encoding and pattern of every arm but the first, by name; None is the model's own."""
    asked = {name: parse_arm(spec, trained_length) for name, spec in labelled(spec.split_list(encodings, ";")).items()}
    also = {name: attention.parse(spec) for name, spec in labelled(spec.split_list(patterns, ";")).items()}
    for name, pattern in also.items():
        asked |= {f"{n} + {name}": (encoding, pattern) for n, (encoding, own) in list(asked.items()) if own is None}
    return {name: (None, pattern) for name, pattern in also.items()} | asked


def swapped(lab: Lab, wanted: dict[str, tuple[Any, Any]]) -> dict[str, Lab]:
    """The unchanged model and the arms.

    Raises:
        ValueError: for an arm that is another one, or the unchanged model.
    """
    labs = {UNCHANGED: lab} | {name: lab.swap(encoding, pattern) for name, (encoding, pattern) in wanted.items()}
    seen: dict[Any, str] = {}
    for name, one in labs.items():
        other = seen.setdefault(one.model.wiring, name)
        if other != name:
            raise ValueError(f"the arms {other!r} and {name!r} are the same; leave one out")
    return labs


def measured(work: list[runner.Job], setting: runner.RunSettings, folder: Path) -> list[dict[str, Any]]:
    """All records, under a bar that counts trials."""
    with tqdm(total=sum(piece.unit.trials for piece in work), unit="trial", dynamic_ncols=True) as bar:

        def begin(piece: runner.Job) -> None:
            bar.set_description(f"{piece.arm.name}: {piece.name} @ {piece.unit.length}")

        return merged(runner.run_jobs(work, setting, folder, begin=begin, advance=bar.update))


def drawn(workdir: Path, records: list[dict[str, Any]]) -> dict[str, str]:
    """Draw the figures that there are records for; their titles by the names of their files."""
    found = {name: figure for name, draw in FIGURES.items() if (figure := draw(records)) is not None}
    for name, figure in found.items():
        for kind in ("png", "pdf"):
            files.write(workdir / f"{name}.{kind}", render(figure, kind))
    return {name: TITLES[name] for name in found}


def effective(records: list[dict[str, Any]], totals: list[dict[str, Any]]) -> list[list[str]]:
    """How long a context each arm uses for each family of questions, by four definitions."""
    found = []
    for name in dict.fromkeys(r["eval"] for r in records if r["depth"] is not None and "." not in r["eval"]):
        for arm in dict.fromkeys(r["arm"] for r in records):
            mine = [r for r in records if (r["eval"], r["arm"]) == (name, arm)]
            longest = max(r["length"] for r in mine)
            by_distance = {distance(r): r["value"] for r in mine if r["length"] == longest}
            scores = {n: mean.value or 0.0 for n, mean in by_length(totals, name)[arm].items()}
            short = min(scores) <= BASE_LENGTH
            lengths = (yarn_length(scores), ruler_length(scores), nolima_length(scores) if short else "–")
            found.append([arm, name, f"{k_max(by_distance)} of {longest}", *map(str, lengths)])
    return found


if __name__ == "__main__":
    sys.exit(main())
