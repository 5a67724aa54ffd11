"""Attention resolution of trainings, within the length they were trained at and beyond: table, figure and verdict.

    python -m experiments.papers.lex.resolution --workdir=runs/lex --lengths=64,128,256

The runs are folders <arm>-<seed>, such as config.py makes. Each is read on held-out text of its data, and its
scaled scores are averaged by distance. Written to the workdir: resolution.md, .png and .jsonl, and resolution.npz with
the scores by distance. Exit code 0: done. 2: bad input.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from absl import flags
from tqdm import tqdm

from experiments.papers.lex.report import Curves, resolution_figure, resolution_report
from ropelab.cli import launching
from ropelab.data.held_out import load_held_out
from ropelab.evaluation.attention_taps import SeenByDistance
from ropelab.evaluation.capture import capture
from ropelab.evaluation.evals.attention import measure_resolution
from ropelab.evaluation.evals.base import Measurement
from ropelab.evaluation.record import Protocol, Record
from ropelab.evaluation.resolution import attention_resolution, expected_scores
from ropelab.evaluation.store import describe_versions
from ropelab.lab import Lab, load
from ropelab.reporting import files
from ropelab.reporting.charts.style import render
from ropelab.reporting.run_files import finished, names
from ropelab.training.plan import Plan
from ropelab.training.runs import plan_of


class Measured(NamedTuple):
    """One training under one pattern: records, and the scores by distance at the longest length, `expected` those of
    q = k = 1."""

    records: list[Record]
    scores: np.ndarray
    expected: np.ndarray | None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "Folder of the runs.", flag_values=values)
    flags.DEFINE_list("lengths", ["64", "128", "256"], "Tokens of context.", flag_values=values)
    flags.DEFINE_integer("texts", 64, "Texts at each length.", 1, flag_values=values)
    flags.DEFINE_integer("sinks", 4, "First tokens whose keys do not count.", 0, flag_values=values)
    return launching.run_with_flags(run, values, argv)


def run(values: flags.FlagValues, words: list[str], command: str) -> int:
    workdir, lengths = launching.workdir_of(values, words), launching.parse_lengths(values.lengths)
    if lengths[0] < values.sinks + 2:
        raise ValueError(f"--sinks={values.sinks} leave no two distances of {lengths[0]} tokens")
    runs = [name for name in names(workdir) if finished(workdir / name)]
    if not runs:
        raise ValueError(
            f"{workdir} holds no run that is finished; train first, experiments/papers/lex/config.py says how"
        )
    found: dict[str, Measured] = {}
    for name in tqdm(runs, unit="run"):
        found |= measured(workdir, name, lengths, values.texts, values.sinks)
    write(workdir, found, plan_of(workdir / runs[0]).length, command)
    return 0


def measured(workdir: Path, name: str, lengths: Sequence[int], texts: int, sinks: int) -> dict[str, Measured]:
    """One training under the pattern that it was trained under, and those that it was measured under besides."""
    lab, plan = load(workdir / name), plan_of(workdir / name)
    arm, _, seed = name.rpartition("-")
    found = {}
    for pattern in dict.fromkeys((lab.pattern, *plan.held.patterns)):
        own = arm if pattern == lab.pattern else f"{arm} + {type(pattern).__name__}"
        found[f"{own}-{seed}"] = of_arm(lab.swap(pattern=pattern), plan, (own, int(seed)), lengths, texts, sinks)
    return found


def of_arm(lab: Lab, plan: Plan, arm: tuple[str, int], lengths: Sequence[int], texts: int, sinks: int) -> Measured:
    """An arm of a seed at all lengths."""
    method = (
        f"{texts} texts; mean scaled score of all pairs that are seen but those with a "
        f"key among the first {sinks} tokens, over texts, layers and heads, up to the farthest that is seen; per_head: "
        "mean of each head's R"
    )
    protocol = Protocol(text=f"{plan.data.source}, held out", method=method, versions=describe_versions())
    records, scores, expected = [], np.zeros(0), None
    for length in lengths:
        text = load_held_out(plan.data, length=length, tokens=texts * length, block=length, tokenizer=lab.tokenizer)
        s_LBNn = capture(lab.model, text.tokens[:texts], {"s": SeenByDistance(sinks=sinks)})["s"]
        s_LBNn = s_LBNn[..., : farthest(s_LBNn) + 1]
        expected, scores = expected_curve(lab, s_LBNn.shape[-1], length), s_LBNn.mean(axis=(0, 1, 2))
        each = [attention_resolution(s_n) for s_n in s_LBNn.mean(axis=1).reshape(-1, s_LBNn.shape[-1])]
        rows = [
            measure_resolution(s_LBNn.mean(axis=(0, 2))),
            Measurement("per_head", float(np.mean(each)), s_LBNn.shape[1]),
        ]
        rows += [] if expected is None else [Measurement("expected", attention_resolution(expected), 1)]
        records += [
            Record(
                model=lab.full_name, variant=arm[0], encoding=repr(lab.encoding), pattern=repr(lab.pattern),
                evaluation="resolution", metric=row.metric, length=length, seed=arm[1], value=row.value,
                count=row.count, deviation=row.deviation, protocol=protocol,
            )
            for row in rows
        ]  # fmt: skip
    return Measured(records, scores, expected)


def farthest(s_LBNn: np.ndarray) -> int:
    """The last distance that all heads see, without a gap before it."""
    seen = np.isfinite(s_LBNn).all(axis=(0, 1, 2))
    return int(np.argmin(seen)) - 1 if not seen.all() else seen.size - 1


def expected_curve(lab: Lab, distances: int, length: int) -> np.ndarray | None:
    """s[n] with q and k of ones; None of an encoding that is added to the input, whose scores would be flat."""
    if lab.encoding.adds_to_input:
        return None
    sizes = {"num_heads": lab.config.heads, "params": lab.params.get("encoding")}
    return expected_scores(lab.encoding, lab.config.head_dim, np.arange(distances), length=length, **sizes).mean


def write(workdir: Path, found: dict[str, Measured], trained: int, command: str) -> None:
    """The page, the figure, the records and the curves."""
    records = [record for one in found.values() for record in one.records]
    scores: Curves = {name: one.scores for name, one in found.items()}
    expected: Curves = {name: one.expected for name, one in found.items() if one.expected is not None}
    page = resolution_report(records, scores, trained)
    text = f"# Attention resolution\n\n{page}\n![Scores by distance](resolution.png)\n\n    {command}\n"
    files.write_records(workdir / "resolution.jsonl", records)
    files.write(workdir / "resolution.md", text)
    figure = resolution_figure(scores, expected, trained, records[0].protocol.line())
    files.write(workdir / "resolution.png", render(figure, "png"))
    curves = scores | {f"{name}.expected": s_n for name, s_n in expected.items()}
    np.savez_compressed(workdir / "resolution.npz", **cast(dict[str, Any], curves))
    print(page)


if __name__ == "__main__":
    sys.exit(main())
