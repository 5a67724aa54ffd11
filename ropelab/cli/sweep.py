"""Run a sweep: many runs from one file, on this machine or a cluster.

    python -m experiments.sweep --sweep=configs/sweeps/smoke.py --workdir=runs/smoke_sweep --parallel=2

All runs are written to manifest.json before the first one starts. The same command resumes: finished runs are skipped,
interrupted ones resume, failed ones are retried, and runs added to the file are run. A failure is reported with the end
of its log and does not stop the others. --index=3 runs one run only, for array jobs. Exit code 0: all are done. 1: some
failed. 2: bad input. 130, 143: interrupted; the active runs saved their state and stopped.
"""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from absl import flags

from ropelab.cli import launching
from ropelab.cli.sweeps import live, manifest, worker
from ropelab.cli.sweeps.executors import EXECUTORS, Options, run_all
from ropelab.reporting import files
from ropelab.spec import suggest_name

HELP = {
    "sweep": "File with a function get_sweep; a variant follows a colon.",
    "workdir": "Folder of the sweep, with a folder per run.",
    "executor": "What runs are started by.",
    "parallel": "Runs at the same time.",
    "retries": "Further attempts of a run that failed.",
    "resources": "For submitit or Ray, by their own names: timeout_min=120,gpus_per_node=1.",
    "index": "Run only this run of the manifest, counting from 0, in this process.",
    "only": "Run only these runs, by name, and those they wait for.",
    "dry_run": "Write the manifest and print it; run nothing.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    for name in ("sweep", "workdir"):
        flags.DEFINE_string(name, None, HELP[name], flag_values=values)
    flags.DEFINE_enum("executor", "local", list(EXECUTORS), HELP["executor"], flag_values=values)
    flags.DEFINE_integer("parallel", 1, HELP["parallel"], 1, flag_values=values)
    flags.DEFINE_integer("retries", 1, HELP["retries"], 0, flag_values=values)
    flags.DEFINE_integer("index", None, HELP["index"], 0, flag_values=values)
    for name in ("resources", "only"):
        flags.DEFINE_list(name, [], HELP[name], flag_values=values)
    flags.DEFINE_bool("dry_run", False, HELP["dry_run"], flag_values=values)
    return launching.run_with_flags(run, values, argv)


def run(values: flags.FlagValues, words: list[str], command: str) -> int:
    launching.refuse_words(words, "settings are given as --name=value")
    if not values.workdir or not values.sweep:
        raise ValueError("--sweep or --workdir is missing; name a file as configs/sweeps/smoke.py, and a folder")
    folder = Path(values.workdir).expanduser().absolute()
    entries = manifest.make_entries(manifest.read_sweep(values.sweep))
    manifest.write(folder, entries)
    files.write_json(folder / "sweep.json", {"command": command})
    if values.dry_run:
        for entry in entries:
            print(entry["id"], *entry["command"])
        return 0
    if values.index is not None:
        return run_by_index(folder, entries, values.index, values.retries)
    options = Options(values.parallel, values.retries, _parse_resources(values.resources))
    return run_entries(folder, _select(entries, values.only), values.executor, options)


def run_by_index(folder: Path, entries: list[manifest.Entry], index: int, retries: int) -> int:
    """Run one run of the manifest in this process."""
    if index >= len(entries):
        raise ValueError(f"--index={index} is not a run of the manifest; there are 0 to {len(entries) - 1}")
    name = entries[index]["name"]
    missing = [n for n in entries[index]["after"] if worker.read_state(folder, n)["state"] != worker.DONE]
    if missing:
        raise ValueError(f"--index={index}, {name}, waits for {', '.join(missing)}; run those first")
    worker.clear_stop(folder, name)
    ended = [(name, worker.perform(folder, name, retries=retries))]
    return _report_outcome(folder, [entries[index]], skipped=[], ended=ended)


def run_entries(folder: Path, entries: list[manifest.Entry], executor: str, options: Options) -> int:
    """Run all runs that are not done, under a live table."""
    skipped = [entry["name"] for entry in entries if worker.read_state(folder, entry["name"])["state"] == worker.DONE]
    left = [entry for entry in entries if entry["name"] not in skipped]
    ended = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _raise_interrupt)
    with live.LiveTable(folder, entries) as table:
        for name in run_all(EXECUTORS[executor], folder, left, options, table.refresh):
            ended.append((name, worker.read_state(folder, name)["state"]))
    return _report_outcome(folder, entries, skipped, ended)


class _Interrupt(KeyboardInterrupt):
    """SIGTERM or SIGINT as an exception.

    By default SIGTERM would end the sweep at once and leave its runs without supervision, and a background job of a
    script ignores SIGINT.
    """

    def __init__(self, number: int):
        super().__init__(number)
        self.code = 128 + number


def _raise_interrupt(number: int, frame: FrameType | None) -> None:
    del frame
    raise _Interrupt(number)


def _report_outcome(
    folder: Path, entries: list[manifest.Entry], skipped: list[str], ended: list[tuple[str, str]]
) -> int:
    """Print the outcome of the runs and return the exit code."""
    failed = [name for name, state in ended if state != worker.DONE]
    for name in failed:
        after = next(entry["after"] for entry in entries if entry["name"] == name)
        lost = [other for other in after if worker.read_state(folder, other)["state"] != worker.DONE]
        reason = f"waits for {', '.join(lost)}" if lost else worker.read_last_lines(folder, name)
        print(f"{name}: {worker.read_state(folder, name)['state']}\n{reason}\n", file=sys.stderr)
    done = len(ended) - len(failed)
    print(f"{len(entries)} runs: {done} done, {len(skipped)} skipped, {len(failed)} failed")
    return 1 if failed else 0


def _select(entries: list[manifest.Entry], names: Sequence[str]) -> list[manifest.Entry]:
    """Return these runs and all that they wait for; all runs if none is named."""
    by_name = {entry["name"]: entry for entry in entries}
    selected: set[str] = set()
    left = [name.strip() for name in names]
    while left:
        name = left.pop()
        if name not in by_name:
            raise ValueError(f"--only names no run {name!r}.{suggest_name(name, by_name)} manifest.json lists them")
        selected.add(name)
        left += [other for other in by_name[name]["after"] if other not in selected]
    return [entry for entry in entries if entry["name"] in selected or not names]


def _parse_resources(pairs: Sequence[str]) -> dict[str, int | str]:
    """Parse the pairs of --resources; numbers become integers."""
    resources: dict[str, int | str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--resources={pair!r} is not a pair; write timeout_min=120,gpus_per_node=1")
        resources[name.strip()] = int(value) if value.strip().isdecimal() else value.strip()
    return resources
