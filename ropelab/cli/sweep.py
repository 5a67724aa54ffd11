"""Run a sweep: many runs from one file, on this machine or a cluster, as often as it takes.

    python -m experiments.sweep --sweep=configs/sweeps/smoke.py --workdir=runs/smoke_sweep --parallel=2

All runs are written to manifest.json before the first one starts. Runs that are done are not run again, interrupted
ones go on, failed ones are tried again and reported with the end of their log, without stopping the others; of a file
with runs added a second call runs those. --index=3 does one run and nothing else, for array jobs. Exit code 0: all are
done. 1: some failed. 2: bad input. 130, 143: interrupted; the runs under way were asked to save and have ended.
"""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from absl import flags

from experiments import launch
from experiments.sweeps import live, manifest, one
from experiments.sweeps.executors import EXECUTORS, Options, run_all
from ropelab.reporting import files
from ropelab.spec import suggest_name

HELP = {
    "sweep": "File with a function get_sweep, a variant after a colon.",
    "workdir": "Folder of the sweep; each run has a folder in it.",
    "executor": "Where runs run.",
    "parallel": "Runs at once.",
    "retries": "Further attempts of a run that failed.",
    "resources": "For submitit or Ray, by their own names: timeout_min=120,gpus_per_node=1.",
    "index": "Do this run of the manifest alone, here, counting from 0.",
    "only": "Do these runs alone, by name, and what they wait for.",
    "dry_run": "Write the manifest and print it; run nothing.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; `argv` has the program's name first."""
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
    return launch.answer(act, values, argv)


def act(values: flags.FlagValues, words: list[str], command: str) -> int:
    launch.no_words(words, "settings are given as --name=value")
    if not values.workdir or not values.sweep:
        raise ValueError("--sweep or --workdir is missing; name a file as configs/sweeps/smoke.py, and a folder")
    folder = Path(values.workdir).expanduser().absolute()
    found = manifest.entries(manifest.read_sweep(values.sweep))
    manifest.write(folder, found)
    files.write_json(folder / "sweep.json", {"command": command})
    if values.dry_run:
        for entry in found:
            print(entry["id"], *entry["command"])
        return 0
    if values.index is not None:
        return by_index(folder, found, values.index, values.retries)
    options = Options(values.parallel, values.retries, resources(values.resources))
    return run(folder, chosen(found, values.only), values.executor, options)


def by_index(folder: Path, found: list[manifest.Entry], index: int, retries: int) -> int:
    """One run of the manifest, here."""
    if index >= len(found):
        raise ValueError(f"--index={index} is no run of the manifest; there are 0 to {len(found) - 1}")
    name = found[index]["name"]
    missing = [n for n in found[index]["after"] if one.state(folder, n)["state"] != one.DONE]
    if missing:
        raise ValueError(f"--index={index}, {name}, waits for {', '.join(missing)}; do those first")
    one.let_run(folder, name)
    return finish(folder, [found[index]], skipped=[], ended=[(name, one.perform(folder, name, retries=retries))])


def run(folder: Path, found: list[manifest.Entry], executor: str, options: Options) -> int:
    """All runs, under a live table."""
    skipped = [entry["name"] for entry in found if one.state(folder, entry["name"])["state"] == one.DONE]
    left = [entry for entry in found if entry["name"] not in skipped]
    ended = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked)
    with live.Shown(folder, found) as shown:
        for name in run_all(EXECUTORS[executor], folder, left, options, shown.look):
            ended.append((name, one.state(folder, name)["state"]))
    return finish(folder, found, skipped, ended)


class Asked(KeyboardInterrupt):
    """A signal to stop: SIGTERM would else end the sweep at once and leave its runs behind, at work and unwatched, and
    SIGINT would not reach one in the background of a script, whose shell has it ignored."""

    def __init__(self, number: int):
        super().__init__(number)
        self.code = 128 + number


def asked(number: int, frame: FrameType | None) -> None:
    del frame
    raise Asked(number)


def finish(folder: Path, found: list[manifest.Entry], skipped: list[str], ended: list[tuple[str, str]]) -> int:
    """Say what became of the runs; the exit code."""
    failed = [name for name, became in ended if became != one.DONE]
    for name in failed:
        waited = next(entry["after"] for entry in found if entry["name"] == name)
        lost = [other for other in waited if one.state(folder, other)["state"] != one.DONE]
        why = f"waits for {', '.join(lost)}" if lost else one.last_lines(folder, name)
        print(f"{name}: {one.state(folder, name)['state']}\n{why}\n", file=sys.stderr)
    done = len(ended) - len(failed)
    print(f"{len(found)} runs: {done} done, {len(skipped)} skipped, {len(failed)} failed")
    return 1 if failed else 0


def chosen(found: list[manifest.Entry], names: Sequence[str]) -> list[manifest.Entry]:
    """These runs and all that they wait for, all runs if none is named."""
    by_name = {entry["name"]: entry for entry in found}
    wanted: set[str] = set()
    left = [name.strip() for name in names]
    while left:
        name = left.pop()
        if name not in by_name:
            raise ValueError(f"--only names no run {name!r}.{suggest_name(name, by_name)} manifest.json lists them")
        wanted.add(name)
        left += [other for other in by_name[name]["after"] if other not in wanted]
    return [entry for entry in found if entry["name"] in wanted or not names]


def resources(pairs: Sequence[str]) -> dict[str, int | str]:
    """What --resources lists, whole numbers as such."""
    found: dict[str, int | str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--resources={pair!r} is no pair; write timeout_min=120,gpus_per_node=1")
        found[name.strip()] = int(value) if value.strip().isdecimal() else value.strip()
    return found


if __name__ == "__main__":
    sys.exit(main())
