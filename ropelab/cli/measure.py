"""Evaluate many trainings on held-out text of their data, unchanged and with other encodings or patterns.

    python -m experiments.measure --runs="runs/lex/alibi-*,runs/lex/sinusoidal-*" --workdir=runs/overlap \
        --evals="perplexity(tokens=2048, stride=8, trials=8)" --lengths=64,512

A run is the folder of a finished training, <arm>-<seed>. A record has the arm and the seed as separate fields; a
swapped encoding or pattern follows the arm after a plus: "base + PI(factor=2.0)". The same command resumes after an
interruption. Written to the workdir: records.jsonl and .csv. Exit code 0: done. 2: bad input.
"""

import glob
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

from ropelab.cli import launching
from ropelab.cli.variants import parse_variants
from ropelab.data.held_out import load_held_out
from ropelab.evaluation import runner
from ropelab.evaluation.evals import registry
from ropelab.evaluation.evals.base import Evaluation
from ropelab.evaluation.record import Record, aggregate
from ropelab.evaluation.store import Store
from ropelab.evaluation.variants import Variant
from ropelab.lab import Lab, load
from ropelab.models.parameters import fingerprint
from ropelab.reporting import files
from ropelab.reporting.run_files import finished
from ropelab.training.runs import plan_of

HELP = {
    "runs": "Folders of trainings, separated by commas; * matches any part of a name.",
    "encodings": "Variants of each training, separated by ;: an encoding, a pattern, or both, with an optional label.",
    "evals": "Evaluations, separated by commas, settings in parentheses.",
    "lengths": "Context lengths in tokens.",
    "tokens": "Tokens at the beginning of the test split, from which texts are taken.",
    "own": "Also measure each training unchanged.",
    "workdir": "Folder for everything that the command writes.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    for name in ("runs", "lengths"):
        flags.DEFINE_list(name, [], HELP[name], flag_values=values)
    for name, default in (("encodings", ""), ("evals", "perplexity"), ("workdir", None)):
        flags.DEFINE_string(name, default, HELP[name], flag_values=values)
    flags.DEFINE_integer("tokens", 2**20, HELP["tokens"], 2, flag_values=values)
    flags.DEFINE_bool("own", True, HELP["own"], flag_values=values)
    return launching.run_with_flags(run, values, argv)


def run(values: flags.FlagValues, words: list[str], command: str) -> int:
    workdir = launching.workdir_of(values, words)
    lengths = launching.parse_lengths(values.lengths)
    evaluations = registry.parse(values.evals)
    swaps: dict[str, tuple[Any, Any]] = ({"": (None, None)} if values.own else {}) | parse_variants(
        values.encodings, ""
    )
    records: list[Record] = []
    store = Store(workdir / "measurements.jsonl")
    for run in tqdm(runs_named(values.runs), unit="run"):
        records += measured(run, swaps, evaluations, lengths, values.tokens, store)
    files.write_records(workdir / "records.jsonl", records)
    files.write_json(workdir / "settings.json", {"command": command})
    print(f"{len(records)} records written to {workdir}: records.jsonl, records.csv")
    return 0


def runs_named(patterns: Sequence[str]) -> list[Path]:
    """Return the finished trainings that match, in order.

    Raises:
        ValueError: if a pattern matches none.
    """
    found: list[Path] = []
    for pattern in patterns:
        there = [Path(path) for path in sorted(glob.glob(pattern)) if (Path(path) / "plan.json").is_file()]
        done = [path for path in there if finished(path)]
        if not done:
            raise ValueError(f"--runs={pattern!r} matches no finished training; train first")
        found += done
    if not found:
        raise ValueError("--runs is missing; name folders of trainings, as runs/lex/alibi-*")
    return list(dict.fromkeys(found))


def measured(
    run: Path,
    swaps: dict[str, tuple[Any, Any]],
    evaluations: dict[str, Evaluation],
    lengths: Sequence[int],
    tokens: int,
    store: Store,
) -> list[Record]:
    """Return the records of one training."""
    lab, (name, _, seed) = load(run), run.name.rpartition("-")
    name, seed = (name, int(seed)) if seed.isdecimal() else (run.name, 0)
    labs = {f"{name} + {swap}" if swap else name: lab.swap(*what) for swap, what in swaps.items()}
    settings = settings_of(run, lab, tokens, seed)
    jobs = runner.make_jobs([Variant(variant, one.model) for variant, one in labs.items()], evaluations, lengths)
    runner.check_jobs(jobs, settings)
    return aggregate(runner.run_jobs(jobs, settings, store))


def settings_of(run: Path, lab: Lab, tokens: int, seed: int) -> runner.RunSettings:
    """Return the settings: the text is the beginning of the test split of the training's data."""
    data = plan_of(run).data
    text = load_held_out(data, length=tokens, tokens=tokens, tokenizer=lab.tokenizer)
    there = int(text.weights[0].sum())
    text_T = np.concatenate([text.tokens[0, :there], text.targets[0, there - 1 : there]]).astype(np.int32)
    digest = hashlib.sha256(text_T.tobytes()).hexdigest()
    return runner.RunSettings(
        *(
            lab.full_name,
            fingerprint(lab.params),
            lab.tokenizer,
            f"{data.source}, held out",
            digest,
            text_T,
            seed,
            "float32",
        )
    )
