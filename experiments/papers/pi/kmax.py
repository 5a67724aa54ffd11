"""Effective context of trainings on Needle, checkpoint by checkpoint: PI's table of k_max against steps.

    python -m experiments.papers.pi.kmax --workdir=runs/kmax

The runs are folders <arm>-<seed>, such as config.py makes: a base, and its extensions. Each checkpoint is
evaluated at 32 distances from the end of texts of its length, the base at the lengths of the others as well; step 0 is
the base under the encoding of the arm. The same command resumes after an interruption.
Written to the workdir: kmax.md and kmax.jsonl. Exit code 0: done. 2: bad input.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import flags
from tqdm import tqdm

from experiments.papers.pi.report import BASE, Reach, kmax_report
from ropelab.cli import launching
from ropelab.data.synthetic import parse_task
from ropelab.evaluation import runner
from ropelab.evaluation.effective_context import k_max
from ropelab.evaluation.evals.tasks import TaskEval
from ropelab.evaluation.record import Record
from ropelab.evaluation.store import Store
from ropelab.evaluation.variants import Variant
from ropelab.lab import Lab, load
from ropelab.models.parameters import fingerprint
from ropelab.reporting import files
from ropelab.reporting.run_files import finished, names
from ropelab.training.plan import Plan
from ropelab.training.runs import plan_of, saved


class Stop(NamedTuple):
    """A model of a training to be asked: after so many steps, in texts of so many tokens."""

    arm: str
    seed: int
    step: int
    length: int
    lab: Lab
    task: TaskEval


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "Folder of the runs.", flag_values=values)
    flags.DEFINE_integer("trials", 10, "Questions at each distance.", 1, flag_values=values)
    flags.DEFINE_integer("distances", 32, "How many.", 1, flag_values=values)
    return launching.run_with_flags(run, values, argv)


def run(values: flags.FlagValues, words: list[str], command: str) -> int:
    workdir = launching.workdir_of(values, words)
    plans = {name: plan_of(workdir / name) for name in names(workdir) if finished(workdir / name)}
    bases = [name for name in plans if name.rpartition("-")[0] == BASE]
    if not bases:
        raise ValueError(
            f"{workdir} holds no finished run {BASE}-<seed>; train first, experiments/papers/pi/config.py says how"
        )
    asked = {name: task_at_distances(name, plan, values.trials, values.distances) for name, plan in plans.items()}
    records, reach, store = [], {}, Store(workdir / "measurements.jsonl")
    for stop in tqdm(stops(workdir, plans, asked), unit="checkpoint"):
        own = measured(stop, store)
        records += own
        score = {one.distance: one.mean for one in own if one.metric == "score"}
        reach[stop.arm, stop.length, stop.seed, stop.step] = k_max(score)
    write(workdir, records, reach, plans[bases[0]].length, command)
    return 0


def task_at_distances(name: str, plan: Plan, trials: int, distances: int) -> TaskEval:
    """Return the questions for a training.

    Raises:
        ValueError: if it was trained on something that asks at no distance.
    """
    task = parse_task(plan.data.source)
    if task is None or not hasattr(task, "distance"):
        raise ValueError(f"{name} was trained on {plan.data.source!r}, which asks at no distance")
    return TaskEval(task=task, trials=trials, distances=distances)


def stops(workdir: Path, plans: dict[str, Plan], asked: dict[str, TaskEval]) -> Iterator[Stop]:
    """Yield every evaluation; each model is loaded when its turn comes."""
    lengths = sorted({plan.length for plan in plans.values()})
    for name, plan in plans.items():
        arm, _, seed = name.rpartition("-")
        steps = saved(workdir / name)
        if arm == BASE:
            lab = load(workdir / name)
            yield from (Stop(arm, int(seed), steps[-1], length, lab, asked[name]) for length in lengths)
            continue
        yield Stop(arm, int(seed), 0, plan.length, load(plan.model).swap(plan.encoding), asked[name])
        for step in steps:
            yield Stop(arm, int(seed), step, plan.length, load(f"{workdir / name}@{step}"), asked[name])


def measured(stop: Stop, store: Store) -> list[Record]:
    """Return the records of one checkpoint at one length."""
    weights, nothing = fingerprint(stop.lab.params), np.zeros(0, np.int32)
    settings = runner.RunSettings(
        stop.lab.full_name, weights, None, "", "", nothing, stop.seed, "float32", stop.step
    )  # fmt: skip
    jobs = runner.make_jobs([Variant(stop.arm, stop.lab.model)], {"kmax": stop.task}, [stop.length])
    runner.check_jobs(jobs, settings)
    return list(runner.run_jobs(jobs, settings, store))


def write(workdir: Path, records: list[Record], reach: Reach, trained: int, command: str) -> None:
    """The page and the records."""
    page = kmax_report(reach, records, trained)
    files.write_records(workdir / "kmax.jsonl", records)
    files.write(workdir / "kmax.md", f"# Effective context\n\n{page}\n    {command}\n")
    print(page)


if __name__ == "__main__":
    sys.exit(main())
