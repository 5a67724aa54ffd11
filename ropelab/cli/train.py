"""Train a model from random parameters, or extend a pretrained one.

    python -m experiments.train --config=configs/smoke.py --workdir=runs/smoke
    python -m experiments.train --config=configs/smoke.py --config.optimizer.lr=1e-3 --workdir=runs/smoke_lr

Runs are preemptible: the same command resumes bit-exactly. Written to the workdir, which may be a bucket (gs://...):
plan.json, metrics.csv, evaluations.csv, speed.csv, skipped.csv (each also as .jsonl), tensorboard/, checkpoints/. On
several machines, start it on each: TPU pods, Slurm and Kubernetes are detected.
"""

import contextlib
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from absl import flags
from rich.console import Console
from rich.table import Table

import ropelab
from ropelab.cli import launching
from ropelab.cli.launching import Config
from ropelab.cli.planning import defaults, plan_of, words
from ropelab.cli.workdirs import refuse_others
from ropelab.reporting.numbers import as_number, number
from ropelab.training.checkpointing import is_first_process
from ropelab.training.manifest import DamagedError
from ropelab.training.metrics import Diverged
from ropelab.training.run_folder import CONFIG_FILE
from ropelab.training.trainer import Stopped, train


def run(config: Config, workdir: Path, command: str, options: flags.FlagValues) -> int:
    refuse_others(workdir, CONFIG_FILE)
    wanted = plan_of(config.to_dict())
    ropelab.init_distributed(options.coordinator, options.processes, options.process)
    launching.warn_if_slow(config.compute.dtype)
    try:
        rows = train(wanted, workdir, accept=options.accept, command=command)
    except (Diverged, DamagedError) as end:
        return launching.fail(str(end), code=3)
    except Stopped as end:
        with contextlib.suppress(OSError):  # the terminal may be closed
            print(end, file=sys.stderr)
        return end.code
    if is_first_process():
        print_perplexity(rows)
        print(f"written to {workdir}: plan.json, metrics.csv, evaluations.csv, speed.csv, checkpoints/")
    return 0


def print_perplexity(rows: list[dict[str, Any]]) -> None:
    """Print the last evaluation as a table of patterns and lengths."""
    if not rows:
        return
    lengths = sorted({row["length"] for row in rows})
    table = Table("pattern")
    for length in lengths:
        table.add_column(str(length), justify="right")
    for pattern in dict.fromkeys(row["pattern"] for row in rows):
        found = {row["length"]: as_number("perplexity", row["perplexity"]) for row in rows if row["pattern"] == pattern}
        table.add_row(pattern, *(number(found[n]) if n in found else "–" for n in lengths))
    print(f"perplexity of held-out text after step {rows[0]['step']}, in windows that do not overlap")
    Console().print(table)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    options = flags.FlagValues()
    flags.DEFINE_list("accept", [], "Settings that may differ from those of the workdir.", flag_values=options)
    flags.DEFINE_string("coordinator", None, "host:port of process 0, if it is not detected.", flag_values=options)
    flags.DEFINE_integer("processes", None, "Number of processes.", flag_values=options)
    flags.DEFINE_integer("process", None, "Index of this process, from 0.", flag_values=options)
    experiment = partial(run, options=options)
    return launching.run_with_config(
        experiment, "configs/smoke.py", argv, options=options, defaults=defaults(), words=words(), is_closed=False
    )
